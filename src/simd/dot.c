#include "simd/half.h"
#include "simd/kernels.h"

float dot_f32_c(const float *a, const float *b, size_t n)
{
    float s = 0;
    for (size_t i = 0; i < n; i++)
        s += a[i] * b[i];
    return s;
}

float dot_f16_c(const uint16_t *a, const float *b, size_t n)
{
    float s = 0;
    for (size_t i = 0; i < n; i++)
        s += half_to_f32(a[i]) * b[i];
    return s;
}

void dot_i8_c(const int8_t *rows, size_t stride, size_t n_rows, const int32_t *sums,
              const int8_t *q, size_t n, int32_t *out)
{
    (void)sums;
    for (size_t r = 0; r < n_rows; r++, rows += stride) {
        int32_t s = 0;
        for (size_t i = 0; i < n; i++)
            s += rows[i] * q[i];
        out[r] = s;
    }
}
