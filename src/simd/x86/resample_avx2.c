/* A coefficient has 23 bits and a sign, vpmaddwd multiplies 16-bit numbers: so each is split into
 * its low 15 bits and the rest, two sums are kept, and joined at the end. All of it is exact modulo
 * 2^32, as is the portable sum, which does not overflow; so the bytes are the same. */
#include <immintrin.h>
#include <stdbool.h>
#include <string.h>

#include "simd/kernels.h"

#define LOW_BITS 15

/* Four coefficients, as 16-bit pairs for taps 0 and 1 in the low half, 2 and 3 in the high half. */
static inline void split4(const int32_t *k, __m256i *low, __m256i *high)
{
    const __m256i pairs_low = _mm256_setr_epi8(0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 4, 5,
                                               6, 7, 4, 5, 6, 7, 4, 5, 6, 7, 4, 5, 6, 7);
    const __m256i pairs_high = _mm256_add_epi8(pairs_low, _mm256_set1_epi8(8));
    __m128i v = _mm_loadu_si128((const __m128i *)k);
    __m128i l = _mm_and_si128(v, _mm_set1_epi32((1 << LOW_BITS) - 1));
    __m256i both = _mm256_broadcastsi128_si256(_mm_packs_epi32(l, _mm_srai_epi32(v, LOW_BITS)));
    *low = _mm256_shuffle_epi8(both, pairs_low);
    *high = _mm256_shuffle_epi8(both, pairs_high);
}

/* Four RGB pixels, as 16-bit pairs of each colour: R0 R1 G0 G1 B0 B1 - -, then of pixels 2, 3. */
static inline __m256i load4(const uint8_t *p)
{
    const __m256i pairs =
        _mm256_setr_epi8(0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1, 6, -1, 9, -1, 7,
                         -1, 10, -1, 8, -1, 11, -1, -1, -1, -1, -1);
    return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)p)),
                               pairs);
}

/* The three sums of one pixel, as four bytes of which the last means nothing. */
static inline uint32_t finish(__m256i low, __m256i high)
{
    __m256i s = _mm256_add_epi32(low, _mm256_slli_epi32(high, LOW_BITS));
    __m128i v = _mm_add_epi32(_mm256_castsi256_si128(s), _mm256_extracti128_si256(s, 1));
    v = _mm_srai_epi32(_mm_add_epi32(v, _mm_set1_epi32(RESAMPLE_HALF)), RESAMPLE_BITS);
    v = _mm_packs_epi32(v, v);
    return (uint32_t)_mm_cvtsi128_si32(_mm_packus_epi16(v, v));
}

/* Four bytes at once, the fourth overwritten by the next pixel; none after the last. */
static inline void put(uint8_t *dst, uint32_t rgb, bool last)
{
    if (last)
        memcpy(dst, &rgb, 3);
    else
        memcpy(dst, &rgb, 4);
}

/* R rows side by side: the coefficients are loaded and split once for all of them. */
static inline __attribute__((always_inline)) void rows(const uint8_t *src, size_t src_stride,
                                                       uint8_t *dst, size_t dst_stride,
                                                       const struct resample_taps *t, const int R)
{
    for (size_t i = 0; i < t->n_out; i++) {
        const uint8_t *p = src + (size_t)t->first[i] * 3;
        const int32_t *k = t->k + i * t->stride;
        __m256i low[4], high[4], kl, kh;
#pragma GCC unroll 4
        for (int r = 0; r < R; r++)
            low[r] = high[r] = _mm256_setzero_si256();
        for (size_t j = 0; j < t->count[i]; j += 4, p += 12) {
            split4(k + j, &kl, &kh);
#pragma GCC unroll 4
            for (int r = 0; r < R; r++) {
                __m256i px = load4(p + r * src_stride);
                low[r] = _mm256_add_epi32(low[r], _mm256_madd_epi16(px, kl));
                high[r] = _mm256_add_epi32(high[r], _mm256_madd_epi16(px, kh));
            }
        }
#pragma GCC unroll 4
        for (int r = 0; r < R; r++) {
            put(dst + r * dst_stride + i * 3, finish(low[r], high[r]), i + 1 == t->n_out);
        }
    }
}

void resample_h_avx2(const uint8_t *src, size_t src_stride, uint8_t *dst, size_t dst_stride,
                     size_t n_rows, const struct resample_taps *t)
{
    for (; n_rows >= 4; n_rows -= 4, src += 4 * src_stride, dst += 4 * dst_stride)
        rows(src, src_stride, dst, dst_stride, t, 4);
    for (; n_rows; n_rows--, src += src_stride, dst += dst_stride)
        rows(src, src_stride, dst, dst_stride, t, 1);
}

/* Eight sums of 16-bit pairs, both halves of the coefficients. */
static inline void add_pairs(__m256i *low, __m256i *high, __m256i pairs, __m256i kl, __m256i kh)
{
    *low = _mm256_add_epi32(*low, _mm256_madd_epi16(pairs, kl));
    *high = _mm256_add_epi32(*high, _mm256_madd_epi16(pairs, kh));
}

static inline __m256i shifted(__m256i low, __m256i high)
{
    __m256i s = _mm256_add_epi32(low, _mm256_slli_epi32(high, LOW_BITS));
    return _mm256_srai_epi32(_mm256_add_epi32(s, _mm256_set1_epi32(RESAMPLE_HALF)), RESAMPLE_BITS);
}

static inline __m256i pair(int32_t k0, int32_t k1)
{
    return _mm256_set1_epi32((int32_t)((uint32_t)k1 << 16 | (uint16_t)k0));
}

/* 32 columns, two rows at a time. The unpacking stays within 128-bit halves and the packing at the
 * end undoes it, so the columns come out in order. */
static void columns32(const uint8_t *src, size_t src_stride, uint8_t *dst, const int32_t *k,
                      size_t n_taps)
{
    const __m256i zero = _mm256_setzero_si256();
    __m256i low[4] = { zero, zero, zero, zero }, high[4] = { zero, zero, zero, zero };
    for (size_t j = 0; j < n_taps; j += 2, src += 2 * src_stride) {
        bool two = j + 1 < n_taps;
        int32_t k0 = k[j], k1 = two ? k[j + 1] : 0, mask = (1 << LOW_BITS) - 1;
        __m256i kl = pair(k0 & mask, k1 & mask), kh = pair(k0 >> LOW_BITS, k1 >> LOW_BITS);
        __m256i a = _mm256_loadu_si256((const __m256i *)src);
        __m256i b = two ? _mm256_loadu_si256((const __m256i *)(src + src_stride)) : zero;
        __m256i ab0 = _mm256_unpacklo_epi8(a, b), ab1 = _mm256_unpackhi_epi8(a, b);
        add_pairs(&low[0], &high[0], _mm256_unpacklo_epi8(ab0, zero), kl, kh);
        add_pairs(&low[1], &high[1], _mm256_unpackhi_epi8(ab0, zero), kl, kh);
        add_pairs(&low[2], &high[2], _mm256_unpacklo_epi8(ab1, zero), kl, kh);
        add_pairs(&low[3], &high[3], _mm256_unpackhi_epi8(ab1, zero), kl, kh);
    }
    __m256i s0 = _mm256_packs_epi32(shifted(low[0], high[0]), shifted(low[1], high[1]));
    __m256i s1 = _mm256_packs_epi32(shifted(low[2], high[2]), shifted(low[3], high[3]));
    _mm256_storeu_si256((__m256i *)dst, _mm256_packus_epi16(s0, s1));
}

void resample_v_avx2(const uint8_t *src, size_t src_stride, uint8_t *dst, size_t n,
                     const int32_t *k, size_t n_taps)
{
    size_t x = 0;
    for (; x + 32 <= n; x += 32)
        columns32(src + x, src_stride, dst + x, k, n_taps);
    if (x < n && n >= 32) /* the last columns once more, from further left */
        columns32(src + n - 32, src_stride, dst + n - 32, k, n_taps);
    else if (x < n)
        resample_v_c(src, src_stride, dst, n, k, n_taps);
}
