/* Scaling as Pillow does it (libImaging/Resample.c, Geometry.c), to the byte: the same doubles give
 * the same fixed-point coefficients, the horizontal pass comes first and is rounded to bytes, over
 * just those rows that the vertical one reads. Only what a crop needs is computed. */
#include "image/resize.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "image/pixels.h"
#include "simd/simd.h"

#define MAX_TAPS ((uint64_t)64 << 20) /* coefficients of one axis: 256 MiB, before they are had */

static double box(double x)
{
    return x > -0.5 && x <= 0.5 ? 1 : 0;
}

static double bilinear(double x)
{
    x = fabs(x);
    return x < 1 ? 1 - x : 0;
}

static double hamming(double x)
{
    x = fabs(x);
    if (x == 0)
        return 1;
    if (x >= 1)
        return 0;
    x *= M_PI;
    return sin(x) / x * (0.54f + 0.46f * cos(x)); /* single precision constants in Pillow too */
}

/* Keys' cubic convolution with a = -0.5. */
static double bicubic(double x)
{
    x = fabs(x);
    if (x < 1)
        return (1.5 * x - 2.5) * x * x + 1;
    if (x < 2)
        return (((x - 5) * x + 8) * x - 4) * -0.5;
    return 0;
}

static double sinc(double x)
{
    return x == 0 ? 1 : sin(x * M_PI) / (x * M_PI);
}

static double lanczos(double x)
{
    return x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0;
}

static const struct {
    const char *name;
    double (*weight)(double x);
    double support; /* weight is 0 beyond, when not shrinking */
} filters[] = {
    [IMAGE_NEAREST] = { "nearest", NULL, 0 },       [IMAGE_BOX] = { "box", box, 0.5 },
    [IMAGE_BILINEAR] = { "bilinear", bilinear, 1 }, [IMAGE_HAMMING] = { "hamming", hamming, 1 },
    [IMAGE_BICUBIC] = { "bicubic", bicubic, 2 },    [IMAGE_LANCZOS] = { "lanczos", lanczos, 3 },
};

bool image_filter_parse(const char *name, enum image_filter *out)
{
    for (size_t i = 0; name && i < sizeof filters / sizeof *filters; i++)
        if (!strcasecmp(name, filters[i].name)) {
            *out = (enum image_filter)i;
            return true;
        }
    return false;
}

/* One axis: of in_size pixels the part [from, to) becomes out_size, of which n from o0 on are
 * wanted. Single precision, as Pillow's box. */
struct axis {
    uint32_t in_size;
    float from, to;
    uint32_t out_size, o0, n;
};

static struct axis axis_across(const struct image *src, const struct image_part *p)
{
    return (struct axis){ src->width_px,
                          src->margin.left,
                          (float)src->width_px - src->margin.right,
                          p->width_px,
                          p->x,
                          p->w };
}

static struct axis axis_down(const struct image *src, const struct image_part *p)
{
    return (struct axis){ src->height_px,
                          src->margin.top,
                          (float)src->height_px - src->margin.bottom,
                          p->height_px,
                          p->y,
                          p->h };
}

static double scale_of(const struct axis *a)
{
    return (double)(a->to - a->from) / a->out_size;
}

/* Whole pixels, as many as are asked for. */
static bool is_cut(const struct axis *a)
{
    return a->from == truncf(a->from) && a->to - a->from == (float)a->out_size;
}

/* Owner of what a struct resample_taps points to. */
struct taps {
    struct resample_taps t;
    int32_t *k;
    uint32_t *first, *count;
};

static void taps_clear(struct taps *taps)
{
    free(taps->k);
    free(taps->first);
    free(taps->count);
}

/* The weights of output o, normalised, in fixed point. w is room for as many doubles. */
static void fill_taps(struct taps *taps, uint32_t i, const struct axis *a, enum image_filter filter,
                      double *w)
{
    double scale = scale_of(a), stretch = scale < 1 ? 1 : scale, inverse = 1 / stretch;
    double support = filters[filter].support * stretch;
    double centre = (double)a->from + (a->o0 + i + 0.5) * scale;
    double from = centre - support + 0.5, to = centre + support + 0.5;
    uint32_t first = from < 0 ? 0 : (uint32_t)from;
    uint32_t end = to > a->in_size ? a->in_size : (uint32_t)to;
    double sum = 0;
    for (uint32_t j = first; j < end; j++) {
        w[j - first] = filters[filter].weight((j - centre + 0.5) * inverse);
        sum += w[j - first];
    }
    int32_t *k = taps->k + i * taps->t.stride;
    for (uint32_t j = 0; j < end - first; j++) {
        double v = (sum != 0 ? w[j] / sum : w[j]) * (1 << RESAMPLE_BITS);
        k[j] = (int32_t)(v < 0 ? v - 0.5 : v + 0.5);
    }
    taps->first[i] = first;
    taps->count[i] = end - first;
}

static enum err_code taps_init(struct taps *taps, const struct axis *a, enum image_filter filter,
                               struct err *err)
{
    double scale = scale_of(a);
    double most = ceil(filters[filter].support * (scale < 1 ? 1 : scale)) * 2 + 1;
    uint64_t stride = most < a->in_size ? (uint64_t)most : a->in_size;
    stride = (stride + RESAMPLE_GROUP - 1) / RESAMPLE_GROUP * RESAMPLE_GROUP;
    if (stride * a->n > MAX_TAPS)
        return err_set(err, ERR_LIMIT, "scaling %u pixels to %u: more than %llu coefficients",
                       a->in_size, a->out_size, (unsigned long long)MAX_TAPS);
    double *w = malloc((size_t)stride * sizeof *w);
    taps->k = calloc((size_t)stride * a->n, sizeof *taps->k);
    taps->first = malloc(a->n * sizeof *taps->first);
    taps->count = malloc(a->n * sizeof *taps->count);
    taps->t = (struct resample_taps){ taps->k, taps->first, taps->count, a->n, (size_t)stride };
    enum err_code rc = ERR_NONE;
    if (!w || !taps->k || !taps->first || !taps->count)
        rc = err_set(err, ERR_NOMEM, "coefficients to scale %u pixels to %u", a->in_size,
                     a->out_size);
    for (uint32_t i = 0; rc == ERR_NONE && i < a->n; i++)
        fill_taps(taps, i, a, filter, w);
    free(w);
    return rc;
}

static enum err_code new_image(struct image *im, uint32_t w, uint32_t h, struct err *err)
{
    *im = (struct image){ .width_px = w, .height_px = h };
    if ((uint64_t)w * h > IMAGE_MAX_PIXELS)
        return err_set(err, ERR_LIMIT, "scaled image of %u x %u pixels, the limit is %llu", w, h,
                       (unsigned long long)IMAGE_MAX_PIXELS);
    im->px = image_pixels(w, h);
    return im->px ? ERR_NONE : err_set(err, ERR_NOMEM, "scaled image of %u x %u pixels", w, h);
}

/* Rows y0 .. y0 + out->height_px of src, filtered. The kernel reads a little past each row it is
 * given, so the last ones, after which src's memory ends, are given as a copy with room after. */
static enum err_code horizontal(const struct image *src, uint32_t y0, const struct resample_taps *t,
                                struct image *out, struct err *err)
{
    size_t stride = (size_t)src->width_px * 3, out_stride = (size_t)out->width_px * 3;
    size_t n_tail = (RESAMPLE_PAD + stride - 1) / stride;
    if (n_tail > out->height_px)
        n_tail = out->height_px;
    size_t n_direct = out->height_px - n_tail;
    uint8_t *tail = calloc(1, n_tail * stride + RESAMPLE_PAD);
    if (!tail)
        return err_set(err, ERR_NOMEM, "scaling %u pixels", src->width_px);
    const uint8_t *from = src->px + y0 * stride;
    memcpy(tail, from + n_direct * stride, n_tail * stride);
    simd_get()->resample_h(from, stride, out->px, out_stride, n_direct, t);
    simd_get()->resample_h(tail, stride, out->px + n_direct * out_stride, out_stride, n_tail, t);
    free(tail);
    return ERR_NONE;
}

/* y0: the row of the whole that src starts with. */
static void vertical(const struct image *src, uint32_t y0, const struct resample_taps *t,
                     struct image *out)
{
    size_t stride = (size_t)src->width_px * 3;
    for (size_t i = 0; i < t->n_out; i++)
        simd_get()->resample_v(src->px + (t->first[i] - y0) * stride, stride, out->px + i * stride,
                               stride, t->k + i * t->stride, t->count[i]);
}

static enum err_code horizontal_first(const struct image *src, const struct taps *h,
                                      const struct taps *v, struct image *out, struct err *err)
{
    size_t last = v->t.n_out - 1;
    uint32_t y0 = v->first[0], y1 = v->first[last] + v->count[last];
    struct image mid = { 0 };
    enum err_code rc = new_image(&mid, out->width_px, y1 - y0, err);
    if (rc == ERR_NONE)
        rc = horizontal(src, y0, &h->t, &mid, err);
    if (rc == ERR_NONE)
        vertical(&mid, y0, &v->t, out);
    image_clear(&mid);
    return rc;
}

static enum err_code vertical_first(const struct image *src, const struct taps *h,
                                    const struct taps *v, struct image *out, struct err *err)
{
    struct image mid = { 0 };
    enum err_code rc = new_image(&mid, src->width_px, out->height_px, err);
    if (rc == ERR_NONE) {
        vertical(src, 0, &v->t, &mid);
        rc = horizontal(&mid, 0, &h->t, out, err);
    }
    image_clear(&mid);
    return rc;
}

static enum err_code filtered(const struct image *src, const struct axis *across,
                              const struct axis *down, enum image_filter filter, struct image *out,
                              struct err *err)
{
    struct taps h = { 0 }, v = { 0 };
    enum err_code rc = taps_init(&h, across, filter, err);
    if (rc == ERR_NONE)
        rc = taps_init(&v, down, filter, err);
    if (rc != ERR_NONE)
        goto out;
    /* Image.resize() shrinks what is over 100 times as tall as wide the other way round, and the
     * rounding between the passes shows it. */
    if (src->height_px > (uint64_t)src->width_px * 100 && down->out_size < src->height_px)
        rc = vertical_first(src, &h, &v, out, err);
    else
        rc = horizontal_first(src, &h, &v, out, err);
out:
    taps_clear(&h);
    taps_clear(&v);
    return rc;
}

/* The source position is a running sum of doubles in Pillow, so it has to be one here. */
static void nearest_positions(const struct axis *a, uint32_t *pos)
{
    double scale = scale_of(a), at = (double)a->from + scale * 0.5;
    for (uint32_t o = 0; o < a->o0 + a->n; o++, at += scale)
        if (o >= a->o0)
            pos[o - a->o0] = at < a->in_size ? (uint32_t)at : a->in_size - 1;
}

static enum err_code nearest(const struct image *src, const struct axis *across,
                             const struct axis *down, struct image *out, struct err *err)
{
    uint32_t *xs = malloc(((size_t)across->n + down->n) * sizeof *xs);
    if (!xs)
        return err_set(err, ERR_NOMEM, "scaling to %u x %u pixels", across->out_size,
                       down->out_size);
    uint32_t *ys = xs + across->n;
    nearest_positions(across, xs);
    nearest_positions(down, ys);
    uint8_t *to = out->px;
    for (uint32_t y = 0; y < down->n; y++) {
        const uint8_t *row = src->px + (size_t)ys[y] * src->width_px * 3;
        for (uint32_t x = 0; x < across->n; x++, to += 3)
            memcpy(to, row + (size_t)xs[x] * 3, 3);
    }
    free(xs);
    return ERR_NONE;
}

static void cut(const struct image *src, const struct axis *across, const struct axis *down,
                struct image *out)
{
    size_t x = (size_t)across->from + across->o0, y = (size_t)down->from + down->o0;
    for (uint32_t i = 0; i < down->n; i++)
        memcpy(out->px + (size_t)i * across->n * 3, src->px + ((y + i) * src->width_px + x) * 3,
               (size_t)across->n * 3);
}

enum err_code image_resize_part(const struct image *src, const struct image_part *p,
                                enum image_filter filter, struct image *out, struct err *err)
{
    const struct axis across = axis_across(src, p), down = axis_down(src, p);
    *out = (struct image){ 0 };
    if (!(across.to > across.from) || !(down.to > down.from) || !p->w || !p->h ||
        p->width_px > INT32_MAX || p->height_px > INT32_MAX)
        return err_set(err, ERR_INVALID, "scaling %u x %u pixels to %u x %u", src->width_px,
                       src->height_px, p->width_px, p->height_px);
    enum err_code rc = new_image(out, p->w, p->h, err);
    if (rc != ERR_NONE)
        ;
    else if (is_cut(&across) && is_cut(&down))
        cut(src, &across, &down, out);
    else if (filter == IMAGE_NEAREST)
        rc = nearest(src, &across, &down, out, err);
    else
        rc = filtered(src, &across, &down, filter, out, err);
    if (rc != ERR_NONE)
        image_clear(out);
    return rc;
}

enum err_code image_resize(const struct image *src, uint32_t width_px, uint32_t height_px,
                           enum image_filter filter, struct image *out, struct err *err)
{
    const struct image_part whole = { width_px, height_px, 0, 0, width_px, height_px };
    return image_resize_part(src, &whole, filter, out, err);
}
