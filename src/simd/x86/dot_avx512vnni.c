#include <immintrin.h>

#include "simd/kernels.h"

/* vpdpbusd multiplies unsigned by signed: rows go in with 128 added (their top bit flipped), and
 * 128 * sum(q) comes off at the end. Exact: it adds in 32 bits, and 255*127*n < 2^31 for every n
 * that the contract allows. */

static inline __m512i load_biased(__mmask64 m, const int8_t *p)
{
    return _mm512_xor_si512(_mm512_maskz_loadu_epi8(m, p), _mm512_set1_epi8(-128));
}

static inline __m256i fold(__m512i s)
{
    return _mm256_add_epi32(_mm512_castsi512_si256(s), _mm512_extracti64x4_epi64(s, 1));
}

/* The sums of four accumulators, in order. */
static inline __m128i sum4_i32(__m512i a, __m512i b, __m512i c, __m512i d)
{
    __m256i s =
        _mm256_hadd_epi32(_mm256_hadd_epi32(fold(a), fold(b)), _mm256_hadd_epi32(fold(c), fold(d)));
    return _mm_add_epi32(_mm256_castsi256_si128(s), _mm256_extracti128_si256(s, 1));
}

/* The lanes of a 64-byte step at i that are below n. */
static inline __mmask64 lanes(size_t i, size_t n)
{
    return n - i >= 64 ? ~(__mmask64)0 : ((__mmask64)1 << (n - i)) - 1;
}

static __m128i dot4_i8(const int8_t *row, size_t stride, const int8_t *q, size_t n)
{
    __m512i s0 = _mm512_setzero_si512(), s1 = s0, s2 = s0, s3 = s0;
    for (size_t i = 0; i < n; i += 64) {
        __mmask64 m = lanes(i, n);
        __m512i x = _mm512_maskz_loadu_epi8(m, q + i);
        s0 = _mm512_dpbusd_epi32(s0, load_biased(m, row + i), x);
        s1 = _mm512_dpbusd_epi32(s1, load_biased(m, row + stride + i), x);
        s2 = _mm512_dpbusd_epi32(s2, load_biased(m, row + 2 * stride + i), x);
        s3 = _mm512_dpbusd_epi32(s3, load_biased(m, row + 3 * stride + i), x);
    }
    return sum4_i32(s0, s1, s2, s3);
}

void dot_i8_avx512vnni(const int8_t *rows, size_t stride, size_t n_rows, const int8_t *q, size_t n,
                       int32_t *out)
{
    __m512i sum_q = _mm512_setzero_si512();
    for (size_t i = 0; i < n; i += 64)
        sum_q = _mm512_dpbusd_epi32(sum_q, _mm512_set1_epi8(-128),
                                    _mm512_maskz_loadu_epi8(lanes(i, n), q + i));
    __m128i bias = sum4_i32(sum_q, sum_q, sum_q, sum_q);
    size_t r = 0;
    for (; r + 4 <= n_rows; r += 4)
        _mm_storeu_si128((__m128i *)(out + r),
                         _mm_sub_epi32(dot4_i8(rows + r * stride, stride, q, n), bias));
    for (; r < n_rows; r++)
        out[r] = _mm_cvtsi128_si32(_mm_sub_epi32(dot4_i8(rows + r * stride, 0, q, n), bias));
}
