/* photo.h - one photo: bytes to upright pixels and facts. Internal to library/. */
#ifndef FOVEA_LIBRARY_PHOTO_H
#define FOVEA_LIBRARY_PHOTO_H

#include "library/library.h"
#include "meta/meta.h"

/* Ids count up from 1; a greater one was written by somebody else, and bitmaps go by it. */
enum { PHOTO_ID_MAX = 1 << 30 };

struct photo_limits {
    uint64_t max_bytes, max_pixels;
    uint32_t target_side_px; /* what the model wants the shorter side to be */
};
struct photo_limits photo_limits(uint64_t max_bytes, uint64_t max_pixels, uint32_t target_side_px);

struct photo_facts {
    struct store_photo photo; /* text points into this struct, or to constants */
    char camera[128];
};

/* m: what meta_read() says of these bytes. name: path, for the format of RAW files and for
 * messages. facts->photo.content is left as it is. facts may be NULL. */
enum err_code photo_decode(struct image_decoder *d, const uint8_t *bytes, size_t n,
                           const struct meta *m, const char *name,
                           const struct photo_limits *limits, struct photo_facts *facts,
                           struct image *out, struct err *err);

/* About the memory that decoding a file of n bytes takes, in bytes: three a pixel where the size is
 * known, which is also what the coefficients of a progressive JPEG take; else a guess from the
 * file's size. */
uint64_t photo_decode_bytes(const struct meta *m, size_t n);

#endif
