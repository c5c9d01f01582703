/* decode_bmp.h - BMP from memory, in two steps, so that the caller can refuse the size between
 * them. Pure functions of their input; any thread. */
#ifndef FOVEA_APP_DECODE_BMP_H
#define FOVEA_APP_DECODE_BMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct bmp {
    const uint8_t *bytes; /* [n], the caller's */
    size_t n, pixels_at;
    uint32_t width_px, height_px, bits, compression;
    uint32_t mask[3]; /* red first, over 16 bits and more; never 0 then */
    bool is_top_down;
    uint8_t palette[256][3];
};

/* Reads the header. ERR_INVALID, ERR_UNSUPPORTED (depth, compression, header unknown). */
enum err_code decode_bmp_open(struct bmp *b, const uint8_t *bytes, size_t n, struct err *err);
/* rgb: [height_px, width_px, 3]. ERR_INVALID (cut short; some rows may be written). */
enum err_code decode_bmp_pixels(const struct bmp *b, uint8_t *rgb, struct err *err);

#endif
