/* Bilinear scaling in OpenCV's fixed point: 11 bits of weight an axis. A row's sums lose 4 bits,
 * and between two rows each product loses 16 before they are added; so it is done here, for every
 * byte is to be the same. It also lets a scaled row be of 16 bits, of which SSE2 and NEON blend 8
 * at a time. */
#include <math.h>
#include <stdlib.h>

#include "image/image.h"
#include "image/pixels.h"

enum { WEIGHT_ONE = 1 << 11, ROW_SHIFT = 4, BLEND_SHIFT = 16 };

/* Where an output pixel lies between two input pixels. */
struct tap {
    uint32_t first;
    int16_t weight[2];
};

/* The positions are rounded to float on the way, as there. */
static void tap_at(uint32_t i, double scale, int64_t *first, float *rest)
{
    float at = (float)((i + 0.5) * scale - 0.5);
    *first = (int64_t)floorf(at);
    *rest = at - (float)*first;
}

static void set_weights(int16_t weight[2], float rest)
{
    weight[0] = (int16_t)lrintf((1.0f - rest) * WEIGHT_ONE);
    weight[1] = (int16_t)lrintf(rest * WEIGHT_ONE);
}

/* Taps of a row. Beyond its outermost pixels' centres those count whole. */
static void column_taps(struct tap *t, uint32_t n_out, uint32_t n_in)
{
    const double scale = 1.0 / ((double)n_out / n_in);
    for (uint32_t i = 0; i < n_out; i++) {
        int64_t first;
        float rest;
        tap_at(i, scale, &first, &rest);
        if (first < 0 || first >= (int64_t)n_in - 1) {
            first = first < 0 ? 0 : n_in - 1;
            rest = 0;
        }
        t[i].first = (uint32_t)first;
        set_weights(t[i].weight, rest);
    }
}

/* One input row of n_in pixels along its columns; out is [n_out, 3]. The last pixel has no right
 * neighbour to read, nor weight for one. */
static void scale_row(const uint8_t *row, uint32_t n_in, const struct tap *t, uint32_t n_out,
                      int16_t *out)
{
    for (uint32_t i = 0; i < n_out; i++, out += 3) {
        const uint8_t *a = row + (size_t)t[i].first * 3;
        const uint8_t *b = t[i].first + 1 < n_in ? a + 3 : a;
        for (int c = 0; c < 3; c++)
            out[c] = (int16_t)((a[c] * t[i].weight[0] + b[c] * t[i].weight[1]) >> ROW_SHIFT);
    }
}

static void blend_rows(const int16_t *restrict a, const int16_t *restrict b,
                       const int16_t weight[2], size_t n, uint8_t *restrict out)
{
    const int16_t wa = weight[0], wb = weight[1];
    for (size_t i = 0; i < n; i++) {
        int16_t from_a = (int16_t)((a[i] * wa) >> BLEND_SHIFT);
        int16_t from_b = (int16_t)((b[i] * wb) >> BLEND_SHIFT);
        out[i] = (uint8_t)((from_a + from_b + 2) >> 2);
    }
}

/* The last two scaled rows, so that one between the same two rows as the one before costs only
 * its blending. */
struct window {
    int16_t *row[2];
    int64_t y[2]; /* which input row each holds; -1: none */
};

/* Where the rows of the picture come from. */
struct source {
    uint32_t width_px, height_px;
    image_row_fn row_fn; /* NULL: they lie at px */
    void *ctx;
    const uint8_t *px;
    uint8_t *row; /* what row_fn writes to */
};

static const uint8_t *source_row(const struct source *src, int64_t y)
{
    if (!src->row_fn)
        return src->px + (size_t)y * src->width_px * 3;
    src->row_fn(src->ctx, (uint32_t)y, src->row);
    return src->row;
}

static const int16_t *row_at(struct window *win, int slot, int64_t y, const struct source *src,
                             const struct tap *t, uint32_t n_out)
{
    if (win->y[slot] != y && win->y[!slot] == y) {
        int16_t *row = win->row[slot];
        win->row[slot] = win->row[!slot];
        win->row[!slot] = row;
        win->y[!slot] = win->y[slot];
    } else if (win->y[slot] != y) {
        scale_row(source_row(src, y), src->width_px, t, n_out, win->row[slot]);
    }
    win->y[slot] = y;
    return win->row[slot];
}

static int64_t clamp_row(int64_t y, uint32_t n)
{
    return y < 0 ? 0 : y >= n ? (int64_t)n - 1 : y;
}

static void scale(const struct source *src, const struct tap *t, struct window *win,
                  struct image *out)
{
    const double step = 1.0 / ((double)out->height_px / src->height_px);
    const size_t n = (size_t)out->width_px * 3;
    for (uint32_t y = 0; y < out->height_px; y++) {
        int64_t first;
        float rest;
        int16_t weight[2];
        tap_at(y, step, &first, &rest);
        set_weights(weight, rest);
        int64_t y0 = clamp_row(first, src->height_px), y1 = clamp_row(first + 1, src->height_px);
        const int16_t *a = row_at(win, 0, y0, src, t, out->width_px);
        const int16_t *b = y1 == y0 ? a : row_at(win, 1, y1, src, t, out->width_px);
        blend_rows(a, b, weight, n, out->px + y * n);
    }
}

static enum err_code resize(struct source *src, uint32_t width_px, uint32_t height_px,
                            struct image *out, struct err *err)
{
    *out = (struct image){ 0 };
    if (!src->width_px || !src->height_px || !width_px || !height_px)
        return err_set(err, ERR_INVALID, "resize of %u x %u pixels to %u x %u", src->width_px,
                       src->height_px, width_px, height_px);
    if ((uint64_t)width_px * height_px > IMAGE_MAX_PIXELS)
        return err_set(err, ERR_LIMIT, "resize to %u x %u pixels: more than %llu", width_px,
                       height_px, (unsigned long long)IMAGE_MAX_PIXELS);
    struct image to = { .width_px = width_px, .height_px = height_px };
    struct window win = { .y = { -1, -1 } };
    struct tap *taps = calloc(width_px, sizeof *taps);
    int16_t *rows = calloc(width_px, 6 * sizeof *rows);
    enum err_code rc = ERR_NONE;
    to.px = image_pixels(width_px, height_px);
    src->row = src->row_fn ? image_pixels(src->width_px, 1) : NULL;
    if (!taps || !rows || !to.px || (src->row_fn && !src->row)) {
        rc = err_set(err, ERR_NOMEM, "resize to %u x %u pixels", width_px, height_px);
        goto out;
    }
    win.row[0] = rows;
    win.row[1] = rows + (size_t)width_px * 3;
    column_taps(taps, width_px, src->width_px);
    scale(src, taps, &win, &to);
    *out = to;
    to = (struct image){ 0 };
out:
    free(taps);
    free(rows);
    image_pixels_free(src->row, src->width_px, 1);
    image_clear(&to);
    return rc;
}

enum err_code image_resize_linear(const struct image *src, uint32_t width_px, uint32_t height_px,
                                  struct image *out, struct err *err)
{
    struct source from = { .width_px = src->width_px, .height_px = src->height_px, .px = src->px };
    return resize(&from, width_px, height_px, out, err);
}

enum err_code image_resize_rows(uint32_t from_width_px, uint32_t from_height_px,
                                image_row_fn row_fn, void *ctx, uint32_t width_px,
                                uint32_t height_px, struct image *out, struct err *err)
{
    struct source from = {
        .width_px = from_width_px, .height_px = from_height_px, .row_fn = row_fn, .ctx = ctx
    };
    return resize(&from, width_px, height_px, out, err);
}
