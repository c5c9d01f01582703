/* vector.h - one vector's forms: f32, f16, int8 with a scale. Inside index/ only. */
#ifndef FOVEA_INDEX_VECTOR_H
#define FOVEA_INDEX_VECTOR_H

#include "index/index.h"

/* Bytes from one int8 row to the next: whole cache lines, so that no row shares one and the kernels
 * have no tails. */
static inline size_t vector_stride(size_t dim)
{
    return (dim + 63) & ~(size_t)63;
}

/* Symmetric int8: scale = max|v| / 127, out[i] = v[i] / scale to the nearest (ties to even), zero
 * from dim to the stride; *sum of out. ERR_INVALID for what is not finite, or is zero. */
enum err_code vector_quantise(const float *v, size_t dim, int8_t *out, float *scale, int32_t *sum,
                              struct err *err);
enum err_code vector_quantise_f16(const uint16_t *v, size_t dim, int8_t *out, float *scale,
                                  int32_t *sum, struct err *err);

#endif
