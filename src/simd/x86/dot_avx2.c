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

/* The sums of four accumulators, in order. */
static inline __m128i sum4_i32(__m256i a, __m256i b, __m256i c, __m256i d)
{
    __m256i s = _mm256_hadd_epi32(_mm256_hadd_epi32(a, b), _mm256_hadd_epi32(c, d));
    return _mm_add_epi32(_mm256_castsi256_si128(s), _mm256_extracti128_si256(s, 1));
}

static inline int32_t tail_i8(const int8_t *row, const int8_t *q, size_t i, size_t n)
{
    int32_t s = 0;
    for (; i < n; i++)
        s += row[i] * q[i];
    return s;
}

/* Four rows at a time: q and |q| are made once for the four. */
static void dot4_i8(const int8_t *row, size_t stride, const int8_t *q, size_t n, int32_t out[4])
{
    __m256i s0 = _mm256_setzero_si256(), s1 = s0, s2 = s0, s3 = s0;
    size_t i = 0;
    for (; i + 32 <= n; i += 32) {
        __m256i x = load_i8(q + i), abs_x = _mm256_abs_epi8(x);
        s0 = madd_i8(s0, load_i8(row + i), x, abs_x);
        s1 = madd_i8(s1, load_i8(row + stride + i), x, abs_x);
        s2 = madd_i8(s2, load_i8(row + 2 * stride + i), x, abs_x);
        s3 = madd_i8(s3, load_i8(row + 3 * stride + i), x, abs_x);
    }
    _mm_storeu_si128((__m128i *)out, sum4_i32(s0, s1, s2, s3));
    for (size_t r = 0; r < 4 && i < n; r++)
        out[r] += tail_i8(row + r * stride, q, i, n);
}

static int32_t dot1_i8(const int8_t *row, const int8_t *q, size_t n)
{
    __m256i s = _mm256_setzero_si256();
    size_t i = 0;
    for (; i + 32 <= n; i += 32) {
        __m256i x = load_i8(q + i);
        s = madd_i8(s, load_i8(row + i), x, _mm256_abs_epi8(x));
    }
    return _mm_cvtsi128_si32(sum4_i32(s, s, s, s)) + tail_i8(row, q, i, n);
}

void dot_i8_avx2(const int8_t *rows, size_t stride, size_t n_rows, const int8_t *q, size_t n,
                 int32_t *out)
{
    size_t r = 0;
    for (; r + 4 <= n_rows; r += 4)
        dot4_i8(rows + r * stride, stride, q, n, out + r);
    for (; r < n_rows; r++)
        out[r] = dot1_i8(rows + r * stride, q, n);
}
