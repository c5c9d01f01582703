#include <arm_neon.h>

#include "simd/half.h"
#include "simd/kernels.h"

float dot_f32_neon(const float *a, const float *b, size_t n)
{
    float32x4_t s = vdupq_n_f32(0), t = s;
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        s = vfmaq_f32(s, vld1q_f32(a + i), vld1q_f32(b + i));
        t = vfmaq_f32(t, vld1q_f32(a + i + 4), vld1q_f32(b + i + 4));
    }
    float r = vaddvq_f32(vaddq_f32(s, t));
    for (; i < n; i++)
        r += a[i] * b[i];
    return r;
}

static inline float32x4_t load_f16(const uint16_t *p)
{
    return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p)));
}

float dot_f16_neon(const uint16_t *a, const float *b, size_t n)
{
    float32x4_t s = vdupq_n_f32(0), t = s;
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        s = vfmaq_f32(s, load_f16(a + i), vld1q_f32(b + i));
        t = vfmaq_f32(t, load_f16(a + i + 4), vld1q_f32(b + i + 4));
    }
    float r = vaddvq_f32(vaddq_f32(s, t));
    for (; i < n; i++)
        r += half_to_f32(a[i]) * b[i];
    return r;
}

/* Two products fit 16 bits (2*127*127 = 32258), so a multiply and a multiply-add go before each
 * widening add. */
static int32_t row_i8(const int8_t *row, const int8_t *q, size_t n)
{
    int32x4_t s = vdupq_n_s32(0);
    size_t i = 0;
    for (; i + 16 <= n; i += 16) {
        int8x16_t a = vld1q_s8(row + i), b = vld1q_s8(q + i);
        int16x8_t pairs = vmull_s8(vget_low_s8(a), vget_low_s8(b));
        s = vpadalq_s16(s, vmlal_s8(pairs, vget_high_s8(a), vget_high_s8(b)));
    }
    int32_t sum = vaddvq_s32(s);
    for (; i < n; i++)
        sum += row[i] * q[i];
    return sum;
}

void dot_i8_neon(const int8_t *rows, size_t stride, size_t n_rows, const int32_t *sums,
                 const int8_t *q, size_t n, int32_t *out)
{
    (void)sums;
    for (size_t r = 0; r < n_rows; r++)
        out[r] = row_i8(rows + r * stride, q, n);
}
