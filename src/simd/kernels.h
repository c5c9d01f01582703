/* kernels.h - every implementation by name, for simd.c to pick from and for tests to compare. */
#ifndef FOVEA_SIMD_KERNELS_H
#define FOVEA_SIMD_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#include "simd/simd.h"

#define RESAMPLE_HALF (1 << (RESAMPLE_BITS - 1)) /* so that the shift rounds */

float dot_f32_c(const float *a, const float *b, size_t n);
float dot_f32_avx2(const float *a, const float *b, size_t n);
float dot_f32_neon(const float *a, const float *b, size_t n);

float dot_f16_c(const uint16_t *a, const float *b, size_t n);
float dot_f16_avx2(const uint16_t *a, const float *b, size_t n);
float dot_f16_neon(const uint16_t *a, const float *b, size_t n);

/* How far before its use the AVX2 scan asks for a cache line, in bytes. On a Zen 5 server, 100,000
 * rows of 512 (half of them in the last cache): 40 GB/s without, 46 from 4 KiB, 55 from 8. */
#define DOT_AHEAD 8192
/* The same for the row before `left` more bytes of rows: nothing beyond them is asked for, so that
 * a search among few candidates does not read their neighbours. */
static inline size_t dot_ahead(size_t left)
{
    return left > DOT_AHEAD ? DOT_AHEAD : 0;
}

void dot_i8_c(const int8_t *rows, size_t stride, size_t n_rows, const int32_t *sums,
              const int8_t *q, size_t n, int32_t *out);
void dot_i8_avx2(const int8_t *rows, size_t stride, size_t n_rows, const int32_t *sums,
                 const int8_t *q, size_t n, int32_t *out);
void dot_i8_avx512vnni(const int8_t *rows, size_t stride, size_t n_rows, const int32_t *sums,
                       const int8_t *q, size_t n, int32_t *out);
void dot_i8_neon(const int8_t *rows, size_t stride, size_t n_rows, const int32_t *sums,
                 const int8_t *q, size_t n, int32_t *out);
void dot_i8_dotprod(const int8_t *rows, size_t stride, size_t n_rows, const int32_t *sums,
                    const int8_t *q, size_t n, int32_t *out);

void half_encode_c(const float *in, size_t n, uint16_t *out);
void half_encode_avx2(const float *in, size_t n, uint16_t *out);
void half_encode_neon(const float *in, size_t n, uint16_t *out);
void half_decode_c(const uint16_t *in, size_t n, float *out);
void half_decode_avx2(const uint16_t *in, size_t n, float *out);
void half_decode_neon(const uint16_t *in, size_t n, float *out);

void resample_h_c(const uint8_t *src, size_t src_stride, uint8_t *dst, size_t dst_stride,
                  size_t n_rows, const struct resample_taps *t);
void resample_h_avx2(const uint8_t *src, size_t src_stride, uint8_t *dst, size_t dst_stride,
                     size_t n_rows, const struct resample_taps *t);
void resample_h_avx512vnni(const uint8_t *src, size_t src_stride, uint8_t *dst, size_t dst_stride,
                           size_t n_rows, const struct resample_taps *t);
void resample_h_neon(const uint8_t *src, size_t src_stride, uint8_t *dst, size_t dst_stride,
                     size_t n_rows, const struct resample_taps *t);
void resample_v_c(const uint8_t *src, size_t src_stride, uint8_t *dst, size_t n, const int32_t *k,
                  size_t n_taps);
void resample_v_avx2(const uint8_t *src, size_t src_stride, uint8_t *dst, size_t n,
                     const int32_t *k, size_t n_taps);
void resample_v_neon(const uint8_t *src, size_t src_stride, uint8_t *dst, size_t n,
                     const int32_t *k, size_t n_taps);

#endif
