/* Any bytes as BMP and as GIF, the formats that the decode helper reads by itself. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "app/decode_bmp.h"
#include "app/decode_gif.h"

#define MAX_PIXELS (1u << 18)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A block of just the image's size; NULL where the helper would refuse. */
static uint8_t *pixels_for(uint32_t width_px, uint32_t height_px)
{
    uint64_t n = (uint64_t)width_px * height_px;
    return n && n <= MAX_PIXELS ? malloc(n * 3) : NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bmp b;
    struct gif g;
    uint8_t *rgb;
    if (decode_bmp_open(&b, data, size, NULL) == ERR_NONE &&
        (rgb = pixels_for(b.width_px, b.height_px))) {
        decode_bmp_pixels(&b, rgb, NULL);
        free(rgb);
    }
    if (decode_gif_open(&g, data, size, NULL) == ERR_NONE &&
        (rgb = pixels_for(g.width_px, g.height_px))) {
        decode_gif_pixels(&g, size % 2, rgb, NULL);
        free(rgb);
    }
    return 0;
}
