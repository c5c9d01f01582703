/* Perspective in Pillow's arithmetic (src/libImaging/Geometry.c): doubles throughout, the cubic
 * with a = -1, truncated to a byte; pixels beyond the edge repeat it, and what lies outside is
 * black. */
#include <math.h>
#include <string.h>

#include "image/image.h"

static double cubic(double a, double b, double c, double d, double at)
{
    const double p2 = -a + c, p3 = 2 * (a - b) + c - d, p4 = -a + b - c + d;
    return b + at * (p2 + at * (p3 + at * p4));
}

static size_t clamp(int64_t i, uint32_t n)
{
    return i < 0 ? 0 : i < n ? (size_t)i : n - 1;
}

static uint8_t byte(double v)
{
    return v <= 0 ? 0 : v >= 255 ? 255 : (uint8_t)v;
}

/* (x, y) lies in the image; (0.5, 0.5) is the first pixel's centre. */
static void sample(const struct image *im, double x, double y, uint8_t *out)
{
    x -= 0.5;
    y -= 0.5;
    const int64_t ix = (int64_t)floor(x), iy = (int64_t)floor(y);
    const double dx = x - (double)ix, dy = y - (double)iy;
    const uint8_t *row[4];
    size_t at[4];
    for (int k = 0; k < 4; k++) {
        row[k] = im->px + clamp(iy - 1 + k, im->height_px) * im->width_px * 3;
        at[k] = clamp(ix - 1 + k, im->width_px) * 3;
    }
    if (dx == 0 && dy == 0) { /* an upright box: the cubic's result, sooner */
        memcpy(out, row[1] + at[1], 3);
        return;
    }
    for (size_t c = 0; c < 3; c++) {
        double v[4];
        for (int k = 0; k < 4; k++)
            v[k] = cubic(row[k][at[0] + c], row[k][at[1] + c], row[k][at[2] + c], row[k][at[3] + c],
                         dx);
        out[c] = byte(cubic(v[0], v[1], v[2], v[3], dy));
    }
}

void image_perspective(const struct image *src, const double a[8], uint32_t x, uint32_t y,
                       bool down, uint32_t n, uint8_t *px)
{
    for (uint32_t i = 0; i < n; i++, px += 3) {
        const double u = (down ? x : x + i) + 0.5, v = (down ? y + i : y) + 0.5;
        const double w = a[6] * u + a[7] * v + 1;
        const double sx = (a[0] * u + a[1] * v + a[2]) / w, sy = (a[3] * u + a[4] * v + a[5]) / w;
        if (sx >= 0 && sx < src->width_px && sy >= 0 && sy < src->height_px) /* NaN is outside */
            sample(src, sx, sy, px);
        else
            memset(px, 0, 3);
    }
}
