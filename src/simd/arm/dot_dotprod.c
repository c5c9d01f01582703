#include <arm_neon.h>

#include "simd/kernels.h"

static int32_t row_i8(const int8_t *row, const int8_t *q, size_t n)
{
    int32x4_t even = vdupq_n_s32(0), odd = even; /* so that one need not wait for the other */
    size_t i = 0;
    for (; i + 32 <= n; i += 32) {
        even = vdotq_s32(even, vld1q_s8(row + i), vld1q_s8(q + i));
        odd = vdotq_s32(odd, vld1q_s8(row + i + 16), vld1q_s8(q + i + 16));
    }
    int32_t sum = vaddvq_s32(vaddq_s32(even, odd));
    for (; i < n; i++)
        sum += row[i] * q[i];
    return sum;
}

void dot_i8_dotprod(const int8_t *rows, size_t stride, size_t n_rows, const int32_t *sums,
                    const int8_t *q, size_t n, int32_t *out)
{
    (void)sums;
    for (size_t r = 0; r < n_rows; r++)
        out[r] = row_i8(rows + r * stride, q, n);
}
