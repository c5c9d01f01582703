/* Affine maps in OpenCV's fixed point: positions in 1/1024, rounded to 1/32 of a pixel, and weights
 * that are products of 32nds. */
#include <math.h>

#include "image/image.h"

enum {
    POS_BITS = 10,
    PART_BITS = 5, /* of a pixel between two others */
    PARTS = 1 << PART_BITS,
    HALF_PART = 1 << (POS_BITS - PART_BITS - 1),
    SUM_BITS = 2 * PART_BITS,
};
/* Further out than any image reaches, and near enough that sums of three stay within 64 bits. */
#define FAR ((double)((int64_t)1 << 50))

static int64_t fixed(double v)
{
    v *= 1 << POS_BITS;
    return v > -FAR && v < FAR ? (int64_t)llrint(v) : -((int64_t)1 << 50); /* NaN too */
}

/* The way back: points of the result to points in the source. */
static void invert(const double m[6], double out[6])
{
    double d = m[0] * m[4] - m[1] * m[3];
    d = d != 0 ? 1.0 / d : 0;
    out[0] = m[4] * d;
    out[1] = m[1] * -d;
    out[3] = m[3] * -d;
    out[4] = m[0] * d;
    out[2] = -out[0] * m[2] - out[1] * m[5];
    out[5] = -out[3] * m[2] - out[4] * m[5];
}

static const uint8_t *pixel(const struct image *im, int64_t x, int64_t y)
{
    static const uint8_t black[3];
    if (x < 0 || y < 0 || x >= im->width_px || y >= im->height_px)
        return black;
    return im->px + ((size_t)y * im->width_px + (size_t)x) * 3;
}

/* x, y in 32nds of a pixel. */
static void sample(const struct image *im, int64_t x, int64_t y, uint8_t *out)
{
    const int fx = (int)(x & (PARTS - 1)), fy = (int)(y & (PARTS - 1));
    x >>= PART_BITS;
    y >>= PART_BITS;
    const uint8_t *a = pixel(im, x, y), *b = pixel(im, x + 1, y);
    const uint8_t *c = pixel(im, x, y + 1), *d = pixel(im, x + 1, y + 1);
    for (int i = 0; i < 3; i++) {
        int top = a[i] * (PARTS - fx) + b[i] * fx, bottom = c[i] * (PARTS - fx) + d[i] * fx;
        out[i] = (uint8_t)((top * (PARTS - fy) + bottom * fy + (1 << (SUM_BITS - 1))) >> SUM_BITS);
    }
}

void image_warp_affine(const struct image *src, const double m[6], uint32_t width_px,
                       uint32_t height_px, uint8_t *px)
{
    double back[6];
    invert(m, back);
    for (uint32_t y = 0; y < height_px; y++) {
        const int64_t row_x = fixed(back[1] * y + back[2]) + HALF_PART;
        const int64_t row_y = fixed(back[4] * y + back[5]) + HALF_PART;
        for (uint32_t x = 0; x < width_px; x++, px += 3)
            sample(src, (row_x + fixed(back[0] * x)) >> (POS_BITS - PART_BITS),
                   (row_y + fixed(back[3] * x)) >> (POS_BITS - PART_BITS), px);
    }
}
