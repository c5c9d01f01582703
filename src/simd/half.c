#include "simd/half.h"

#include "simd/kernels.h"

void half_encode_c(const float *in, size_t n, uint16_t *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = half_from_f32(in[i]);
}

void half_decode_c(const uint16_t *in, size_t n, float *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = half_to_f32(in[i]);
}
