#include <immintrin.h>

#include "simd/half.h"
#include "simd/kernels.h"

static float sum_f32(__m256 s)
{
    __m128 h = _mm_add_ps(_mm256_castps256_ps128(s), _mm256_extractf128_ps(s, 1));
    h = _mm_add_ps(h, _mm_movehl_ps(h, h));
    h = _mm_add_ss(h, _mm_shuffle_ps(h, h, 1));
    return _mm_cvtss_f32(h);
}

float dot_f32_avx2(const float *a, const float *b, size_t n)
{
    __m256 s = _mm256_setzero_ps();
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        s = _mm256_fmadd_ps(_mm256_loadu_ps(a + i), _mm256_loadu_ps(b + i), s);
    float r = sum_f32(s);
    for (; i < n; i++)
        r += a[i] * b[i];
    return r;
}

float dot_f16_avx2(const uint16_t *a, const float *b, size_t n)
{
    __m256 s = _mm256_setzero_ps();
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        s = _mm256_fmadd_ps(_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(a + i))),
                            _mm256_loadu_ps(b + i), s);
    float r = sum_f32(s);
    for (; i < n; i++)
        r += half_to_f32(a[i]) * b[i];
    return r;
}

/* 32 products, summed by fours into s. vpmaddubsw multiplies unsigned by signed, so the sign of q
 * moves to the row: a*b = |q| * sign(q)*row. Two products are at most 2*127*127 = 32258 < 32767, so
 * its 16-bit sum never saturates; with -128 in a row sign(q)*row would wrap, hence the contract. */
static inline __m256i madd_i8(__m256i s, __m256i row, __m256i q, __m256i abs_q)
{
    __m256i pairs = _mm256_maddubs_epi16(abs_q, _mm256_sign_epi8(row, q));
    return _mm256_add_epi32(s, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

static inline __m256i load_i8(const int8_t *p)
{
    return _mm256_loadu_si256((const __m256i *)p);
}

/* The products of one row in 8 sums. A row is read from end to end before the next: one stream at
 * the speed of memory, where four rows at once were a third slower. */
static inline __m256i row_i8(const int8_t *row, size_t ahead, const int8_t *q, size_t n)
{
    __m256i even = _mm256_setzero_si256(), odd = even; /* so that one need not wait for the other */
    size_t i = 0;
    for (; i + 64 <= n; i += 64) {
        _mm_prefetch((const char *)row + ahead + i, _MM_HINT_T0);
        __m256i a = load_i8(q + i), b = load_i8(q + i + 32);
        even = madd_i8(even, load_i8(row + i), a, _mm256_abs_epi8(a));
        odd = madd_i8(odd, load_i8(row + i + 32), b, _mm256_abs_epi8(b));
    }
    int32_t tail = 0;
    for (; i < n; i++)
        tail += row[i] * q[i];
    return _mm256_add_epi32(_mm256_add_epi32(even, odd),
                            _mm256_setr_epi32(tail, 0, 0, 0, 0, 0, 0, 0));
}

/* The sums of four accumulators, in order. */
static inline __m128i sum4_i32(__m256i a, __m256i b, __m256i c, __m256i d)
{
    __m256i s = _mm256_hadd_epi32(_mm256_hadd_epi32(a, b), _mm256_hadd_epi32(c, d));
    return _mm_add_epi32(_mm256_castsi256_si128(s), _mm256_extracti128_si256(s, 1));
}

void dot_i8_avx2(const int8_t *rows, size_t stride, size_t n_rows, const int32_t *sums,
                 const int8_t *q, size_t n, int32_t *out)
{
    (void)sums;
    size_t r = 0;
    for (; r + 4 <= n_rows; r += 4, rows += 4 * stride) {
        __m256i s[4];
        for (size_t j = 0; j < 4; j++) /* upwards, which arguments of a call need not be */
            s[j] = row_i8(rows + j * stride, dot_ahead((n_rows - r - j) * stride), q, n);
        _mm_storeu_si128((__m128i *)(out + r), sum4_i32(s[0], s[1], s[2], s[3]));
    }
    for (; r < n_rows; r++, rows += stride) {
        __m256i s = row_i8(rows, 0, q, n);
        out[r] = _mm_cvtsi128_si32(sum4_i32(s, s, s, s));
    }
}
