/* Multiplies 32-bit integers, unlike the x86 kernels: here it costs what two 16-bit multiplies of a
 * split coefficient would. All sums are exact. */
#include <arm_neon.h>

#include "simd/kernels.h"

static inline int32x4_t low4(uint16x8_t v)
{
    return vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(v)));
}

static inline int32x4_t high4(uint16x8_t v)
{
    return vreinterpretq_s32_u32(vmovl_u16(vget_high_u16(v)));
}

static inline int32x4_t add8(int32x4_t sum, uint8x8_t px, int32x4_t k0, int32x4_t k1)
{
    uint16x8_t wide = vmovl_u8(px);
    return vmlaq_s32(vmlaq_s32(sum, low4(wide), k0), high4(wide), k1);
}

static inline uint8_t to_u8(int32x4_t sum)
{
    int32_t v = (vaddvq_s32(sum) + RESAMPLE_HALF) >> RESAMPLE_BITS;
    return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
}

void resample_h_neon(const uint8_t *src, size_t src_stride, uint8_t *dst, size_t dst_stride,
                     size_t n_rows, const struct resample_taps *t)
{
    for (size_t y = 0; y < n_rows; y++, src += src_stride, dst += dst_stride)
        for (size_t i = 0; i < t->n_out; i++) {
            const uint8_t *p = src + (size_t)t->first[i] * 3;
            const int32_t *k = t->k + i * t->stride;
            int32x4_t r = vdupq_n_s32(0), g = r, b = r;
            for (size_t j = 0; j < t->count[i]; j += 8, p += 24) {
                uint8x8x3_t px = vld3_u8(p);
                int32x4_t k0 = vld1q_s32(k + j), k1 = vld1q_s32(k + j + 4);
                r = add8(r, px.val[0], k0, k1);
                g = add8(g, px.val[1], k0, k1);
                b = add8(b, px.val[2], k0, k1);
            }
            dst[i * 3] = to_u8(r);
            dst[i * 3 + 1] = to_u8(g);
            dst[i * 3 + 2] = to_u8(b);
        }
}

/* Eight sums to bytes; the narrowing steps saturate, which is the clamp. */
static inline uint8x8_t narrow8(int32x4_t a, int32x4_t b)
{
    int16x4_t low = vqmovn_s32(vshrq_n_s32(a, RESAMPLE_BITS));
    int16x4_t high = vqmovn_s32(vshrq_n_s32(b, RESAMPLE_BITS));
    return vqmovun_s16(vcombine_s16(low, high));
}

void resample_v_neon(const uint8_t *src, size_t src_stride, uint8_t *dst, size_t n,
                     const int32_t *k, size_t n_taps)
{
    size_t x = 0;
    for (; x + 16 <= n; x += 16) {
        int32x4_t s0 = vdupq_n_s32(RESAMPLE_HALF), s1 = s0, s2 = s0, s3 = s0;
        for (size_t j = 0; j < n_taps; j++) {
            uint8x16_t px = vld1q_u8(src + j * src_stride + x);
            uint16x8_t low = vmovl_u8(vget_low_u8(px)), high = vmovl_u8(vget_high_u8(px));
            s0 = vmlaq_n_s32(s0, low4(low), k[j]);
            s1 = vmlaq_n_s32(s1, high4(low), k[j]);
            s2 = vmlaq_n_s32(s2, low4(high), k[j]);
            s3 = vmlaq_n_s32(s3, high4(high), k[j]);
        }
        vst1q_u8(dst + x, vcombine_u8(narrow8(s0, s1), narrow8(s2, s3)));
    }
    if (x < n)
        resample_v_c(src + x, src_stride, dst + x, n - x, k, n_taps);
}
