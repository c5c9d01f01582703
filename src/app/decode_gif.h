/* decode_gif.h - the first frame of a GIF, in two steps as decode_bmp.h.
 *
 * libvips reads GIF well, but what lies under a transparent pixel is lost in it, and Pillow's
 * convert("RGB") shows just that. Pure functions of their input; any thread. */
#ifndef FOVEA_APP_DECODE_GIF_H
#define FOVEA_APP_DECODE_GIF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct gif {
    const uint8_t *bytes; /* [n], the caller's */
    size_t n, pixels_at;
    uint32_t width_px, height_px; /* of the screen, which the frame lies in */
    uint32_t left, top, frame_width, frame_height;
    bool is_interlaced;
    int transparent; /* index, or -1 */
    uint8_t palette[256][3];
};

/* Reads up to the first frame. ERR_INVALID. */
enum err_code decode_gif_open(struct gif *g, const uint8_t *bytes, size_t n, struct err *err);
/* rgb: [height_px, width_px, 3]. over_black: transparent pixels, and those that the frame leaves
 * out, are black; else they have the colour that their index names, as in Pillow. ERR_INVALID (cut
 * short or broken; some rows may be written). */
enum err_code decode_gif_pixels(const struct gif *g, bool over_black, uint8_t *rgb,
                                struct err *err);

#endif
