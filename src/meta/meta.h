/* meta.h - what a photo's file says about itself: when and where it was taken, by what, which side
 * is up.
 *
 * The bytes come from anywhere, and wrong metadata is common and harmless: a photo with a broken
 * date is still a photo. So reading never fails; what is absent, malformed or out of range is
 * simply not there. EXIF is read by our own reader and not by libexif, which looks no further than
 * 64 KB (a TIFF or raw file has its tags anywhere) and parses every maker's private notes. No
 * allocation, no thread, no I/O: a function of the bytes. */
#ifndef FOVEA_META_META_H
#define FOVEA_META_META_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define META_TEXT_MAX 64

struct meta {
    /* EXIF's 1-8; 1 also where nothing is said, and for HEIC, AVIF and JPEG XL, which the decoder
     * turns (image/image.h). */
    int orientation;
    /* As stored, before turning; 0: not found (it is not looked for in HEIC, AVIF, JPEG XL). */
    uint32_t width_px, height_px;
    /* Of the exposure, else of digitizing, else by the GPS clock, else of the last change. Since
     * 1970 in UTC when has_zone; else in the unknown zone of the place, as if that were UTC. */
    bool has_time, has_zone;
    int64_t taken_ns;
    int zone_min; /* east of UTC, when has_zone; taken_ns + zone_min is the wall clock */
    /* WGS 84. */
    bool has_place, has_altitude;
    double lat_deg, lon_deg; /* [-90, 90], [-180, 180] */
    double altitude_m;       /* above the sea */
    char make[META_TEXT_MAX], model[META_TEXT_MAX], lens[META_TEXT_MAX]; /* UTF-8, "" unknown */
};

/* bytes [n]: the whole file, or as much of its beginning as was read. JPEG, PNG, WebP, GIF, TIFF
 * and the raw formats built on it, CR3, RAF, HEIC, AVIF, JPEG XL. */
void meta_read(const uint8_t *bytes, size_t n, struct meta *out);

#endif
