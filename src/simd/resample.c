#include "simd/kernels.h"

/* Pillow's fixed point: 8 bits of result, 2 spare for the overshoot of a filter with negative
 * lobes, the rest of an int for the fraction. */
static inline uint8_t to_u8(int32_t sum)
{
    int32_t v = sum >> RESAMPLE_BITS;
    return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
}

void resample_h_c(const uint8_t *src, size_t src_stride, uint8_t *dst, size_t dst_stride,
                  size_t n_rows, const struct resample_taps *t)
{
    for (size_t y = 0; y < n_rows; y++, src += src_stride, dst += dst_stride)
        for (size_t i = 0; i < t->n_out; i++) {
            const uint8_t *p = src + (size_t)t->first[i] * 3;
            const int32_t *k = t->k + i * t->stride;
            int32_t r = RESAMPLE_HALF, g = RESAMPLE_HALF, b = RESAMPLE_HALF;
            for (size_t j = 0; j < t->count[i]; j++, p += 3) {
                r += p[0] * k[j];
                g += p[1] * k[j];
                b += p[2] * k[j];
            }
            dst[i * 3] = to_u8(r);
            dst[i * 3 + 1] = to_u8(g);
            dst[i * 3 + 2] = to_u8(b);
        }
}

void resample_v_c(const uint8_t *src, size_t src_stride, uint8_t *dst, size_t n, const int32_t *k,
                  size_t n_taps)
{
    for (size_t x = 0; x < n; x++) {
        int32_t s = RESAMPLE_HALF;
        for (size_t j = 0; j < n_taps; j++)
            s += src[j * src_stride + x] * k[j];
        dst[x] = to_u8(s);
    }
}
