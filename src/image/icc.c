/* ICC.1:2010: a header, a table of tags, and for this kind of profile a curve and a column of a
 * matrix for each of red, green and blue. Curves give light from samples, the matrix gives CIE XYZ
 * under D50 from light; sRGB's own, inverted, go the rest of the way.
 *
 * A transform is made for each photo and not kept, since making one takes 20 us. */
#include "image/icc.h"

#include <math.h>
#include <string.h>

#define HEADER_BYTES 128
#define MAX_TAGS 256 /* real ones have 10 to 30 */
#define N_ENCODED 8192

struct span {
    const uint8_t *p;
    size_t n;
};

struct transform {
    float light[3][256];        /* of a sample, 0..1 */
    float matrix[3][3];         /* light to sRGB's light */
    uint8_t encoded[N_ENCODED]; /* sRGB's sample for light, in equal steps */
};

static uint32_t be16(const uint8_t *p)
{
    return (uint32_t)p[0] << 8 | p[1];
}

static uint32_t be32(const uint8_t *p)
{
    return be16(p) << 16 | be16(p + 2);
}

static double s15f16(const uint8_t *p)
{
    return (int32_t)be32(p) / 65536.0;
}

/* At least min bytes, or {0}. */
static struct span tag(struct span profile, const char *name, size_t min)
{
    uint32_t n_tags = be32(profile.p + HEADER_BYTES);
    const uint8_t *t = profile.p + HEADER_BYTES + 4;
    for (uint32_t i = 0; i < n_tags && i < MAX_TAGS; i++, t += 12) {
        if (profile.p + profile.n - t < 12)
            break;
        uint32_t at = be32(t + 4), size = be32(t + 8);
        if (!memcmp(t, name, 4))
            return at <= profile.n && size <= profile.n - at && size >= min
                       ? (struct span){ profile.p + at, size }
                       : (struct span){ 0 };
    }
    return (struct span){ 0 };
}

/* Table of n samples of 16 bits, evenly spaced over 0..1. */
static double in_table(const uint8_t *table, uint32_t n, double x)
{
    double at = x * (n - 1);
    uint32_t i = (uint32_t)at;
    if (i + 1 >= n)
        i = n - 2;
    double low = be16(table + i * 2), high = be16(table + i * 2 + 2);
    return (low + (high - low) * (at - i)) / 65535;
}

/* parametricCurveType; p: its parameters in the standard's order g a b c d e f. */
static double parametric(unsigned kind, const double p[7], double x)
{
    double g = p[0], a = p[1], b = p[2], c = p[3], d = p[4], e = p[5], f = p[6];
    double powered = pow(fmax(kind ? a * x + b : x, 0), g);
    switch (kind) {
    case 0: return powered;
    case 1: return a * x + b >= 0 ? powered : 0;
    case 2: return a * x + b >= 0 ? powered + c : c;
    case 3: return x >= d ? powered : c * x;
    default: return x >= d ? powered + e : c * x + f;
    }
}

static bool read_parametric(struct span t, float out[256])
{
    static const unsigned n_params[] = { 1, 3, 4, 5, 7 };
    double p[7] = { 0 };
    unsigned kind = be16(t.p + 8);
    if (kind > 4 || t.n < 12 + n_params[kind] * 4)
        return false;
    for (unsigned i = 0; i < n_params[kind]; i++)
        p[i] = s15f16(t.p + 12 + i * 4);
    for (int v = 0; v < 256; v++)
        out[v] = (float)parametric(kind, p, v / 255.0);
    return true;
}

static bool read_curve(struct span t, float out[256])
{
    if (!t.p)
        return false;
    if (!memcmp(t.p, "para", 4))
        return read_parametric(t, out);
    uint32_t n = be32(t.p + 8);
    if (memcmp(t.p, "curv", 4) || n > (t.n - 12) / 2)
        return false;
    for (int v = 0; v < 256; v++) {
        double x = v / 255.0;
        out[v] = (float)(n == 0   ? x
                         : n == 1 ? pow(x, be16(t.p + 12) / 256.0)
                                  : in_table(t.p + 12, n, x));
    }
    return true;
}

/* The curves and, in its columns, the matrix to XYZ. */
static bool read_profile(struct span profile, struct transform *t, double to_xyz[3][3])
{
    static const char *const curves[] = { "rTRC", "gTRC", "bTRC" };
    static const char *const columns[] = { "rXYZ", "gXYZ", "bXYZ" };
    const uint8_t *h = profile.p;
    if (profile.n < HEADER_BYTES + 4 || memcmp(h + 36, "acsp", 4) || memcmp(h + 16, "RGB ", 4) ||
        memcmp(h + 20, "XYZ ", 4) || tag(profile, "A2B0", 0).p)
        return false;
    for (int c = 0; c < 3; c++) {
        struct span column = tag(profile, columns[c], 20);
        if (!column.p || memcmp(column.p, "XYZ ", 4) ||
            !read_curve(tag(profile, curves[c], 12), t->light[c]))
            return false;
        for (int i = 0; i < 3; i++)
            to_xyz[i][c] = s15f16(column.p + 8 + i * 4);
        for (int v = 0; v < 256; v++) /* a NaN becomes 0 */
            t->light[c][v] = fminf(fmaxf(t->light[c][v], 0), 1);
    }
    return true;
}

static void set_matrix(struct transform *t, double to_xyz[3][3])
{
    /* The inverse of sRGB's columns under D50 as profiles state them: 0.43607 0.22249 0.01392,
     * 0.38515 0.71687 0.09708, 0.14307 0.06061 0.71410. */
    static const double from_xyz[3][3] = {
        { 3.1341358, -1.6173863, -0.4906623 },
        { -0.9787955, 1.9162543, 0.0334427 },
        { 0.0719554, -0.2289768, 1.4053861 },
    };
    for (int i = 0; i < 3; i++)
        for (int c = 0; c < 3; c++) {
            double sum = 0;
            for (int k = 0; k < 3; k++)
                sum += from_xyz[i][k] * to_xyz[k][c];
            t->matrix[i][c] = (float)sum;
        }
}

/* IEC 61966-2-1. */
static double srgb_light(double v)
{
    return v <= 0.04045 ? v / 12.92 : pow((v + 0.055) / 1.055, 2.4);
}

/* By where each sample ends, which is the light half-way to the next. */
static void set_encoded(struct transform *t)
{
    int i = 0;
    for (int v = 0; v < 256; v++) {
        double end = srgb_light((v + 0.5) / 255) * (N_ENCODED - 1);
        for (; i < N_ENCODED && (i < end || v == 255); i++)
            t->encoded[i] = (uint8_t)v;
    }
}

static inline void convert(const struct transform *t, const uint8_t in[3], uint8_t out[3])
{
    float r = t->light[0][in[0]], g = t->light[1][in[1]], b = t->light[2][in[2]];
    for (int i = 0; i < 3; i++) {
        float light = t->matrix[i][0] * r + t->matrix[i][1] * g + t->matrix[i][2] * b;
        light = light > 0 ? light < 1 ? light : 1 : 0;
        out[i] = t->encoded[(int)(light * (N_ENCODED - 1) + 0.5f)];
    }
}

/* Judged by what it does to a grid of colours: most photos carry a profile of sRGB, under many
 * names. */
static bool changes_nothing(const struct transform *t)
{
    for (int i = 0; i < 9 * 9 * 9; i++) {
        int steps[3] = { i % 9, i / 9 % 9, i / 81 };
        uint8_t in[3], out[3];
        for (int c = 0; c < 3; c++)
            in[c] = (uint8_t)(steps[c] * 255 / 8);
        convert(t, in, out);
        for (int c = 0; c < 3; c++)
            if (in[c] > out[c] + 1 || out[c] > in[c] + 1)
                return false;
    }
    return true;
}

bool image_icc_to_srgb(const uint8_t *profile, size_t n, uint8_t *px, size_t n_px)
{
    struct transform t;
    double to_xyz[3][3];
    if (!read_profile((struct span){ profile, n }, &t, to_xyz))
        return false;
    set_matrix(&t, to_xyz);
    set_encoded(&t);
    if (changes_nothing(&t))
        return false;
    for (size_t i = 0; i < n_px; i++, px += 3)
        convert(&t, px, px);
    return true;
}
