#include <arm_neon.h>

#include "simd/half.h"
#include "simd/kernels.h"

void half_encode_neon(const float *in, size_t n, uint16_t *out)
{
    size_t i = 0;
    for (; i + 4 <= n; i += 4)
        vst1_u16(out + i, vreinterpret_u16_f16(vcvt_f16_f32(vld1q_f32(in + i))));
    for (; i < n; i++)
        out[i] = half_from_f32(in[i]);
}

void half_decode_neon(const uint16_t *in, size_t n, float *out)
{
    size_t i = 0;
    for (; i + 4 <= n; i += 4)
        vst1q_f32(out + i, vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(in + i))));
    for (; i < n; i++)
        out[i] = half_to_f32(in[i]);
}
