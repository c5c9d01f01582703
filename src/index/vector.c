#include "index/vector.h"

#include <string.h>

#include "simd/simd.h"

/* The greatest absolute value, as bits: without the sign, floats order as integers do, and NaN and
 * infinity come out on top. Written so that compilers vectorise it. */
static float max_abs(const float *v, size_t n)
{
    int32_t top = 0;
    for (size_t i = 0; i < n; i++) {
        int32_t bits;
        memcpy(&bits, v + i, sizeof bits);
        bits &= 0x7fffffff;
        top = bits > top ? bits : top;
    }
    float f;
    memcpy(&f, &top, sizeof f);
    return f;
}

static enum err_code check(float top, struct err *err)
{
    if (!(top < 0x1p127f)) /* also NaN; the upper half of the range is no vector either */
        return err_set(err, ERR_INVALID, "a vector with a value that is not finite");
    if (top < 0x1p-64f) /* 127 / top must be a number */
        return err_set(err, ERR_INVALID, "a vector that is zero");
    return ERR_NONE;
}

enum err_code vector_quantise(const float *v, size_t dim, int8_t *out, float *scale, int32_t *sum,
                              struct err *err)
{
    float top = max_abs(v, dim);
    enum err_code rc = check(top, err);
    if (rc != ERR_NONE)
        return rc;
    const float per_unit = 127 / top;
    const float magic = 0x1.8p23f; /* adding it leaves no bits for a fraction: rounds to even */
    int32_t s = 0;
    for (size_t i = 0; i < dim; i++) {
        out[i] = (int8_t)(v[i] * per_unit + magic - magic);
        s += out[i];
    }
    memset(out + dim, 0, vector_stride(dim) - dim);
    *scale = top / 127;
    *sum = s;
    return ERR_NONE;
}

enum err_code vector_quantise_f16(const uint16_t *v, size_t dim, int8_t *out, float *scale,
                                  int32_t *sum, struct err *err)
{
    float f[INDEX_DIM_MAX];
    simd_get()->half_decode(v, dim, f);
    return vector_quantise(f, dim, out, scale, sum, err);
}

enum err_code index_to_f16(const float *v, size_t dim, uint16_t *out, struct err *err)
{
    enum err_code rc = check(max_abs(v, dim), err);
    if (rc != ERR_NONE)
        return rc;
    simd_get()->half_encode(v, dim, out);
    uint16_t top = 0;
    for (size_t i = 0; i < dim; i++) {
        uint16_t h = out[i] & 0x7fff;
        top = h > top ? h : top;
    }
    if (top >= 0x7c00 || top == 0)
        return err_set(err, ERR_INVALID, "a vector whose values half precision cannot hold");
    return ERR_NONE;
}

void index_from_f16(const uint16_t *v, size_t dim, float *out)
{
    simd_get()->half_decode(v, dim, out);
}
