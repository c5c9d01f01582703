/* simd.h - vector kernels, picked once for the CPU that runs them.
 *
 * One table of functions. simd_get() fills it on first use from what the CPU has; FOVEA_SIMD caps
 * it
 * ("c", "avx2", "avx512vnni", "neon", "dotprod": that level and those below it). Every kernel takes
 * any count and any alignment, reads and writes nothing outside what its contract names, keeps no
 * state, and is tested against its portable C twin. Any thread. */
#ifndef FOVEA_SIMD_SIMD_H
#define FOVEA_SIMD_SIMD_H

#include <stddef.h>
#include <stdint.h>

enum simd_isa {
    SIMD_AVX2 = 1u << 0,       /* with FMA and F16C, as every CPU that has it since Haswell */
    SIMD_AVX512VNNI = 1u << 1, /* AVX-512 F, BW, DQ, VL and VNNI */
    SIMD_NEON = 1u << 2,
    SIMD_DOTPROD = 1u << 3, /* Armv8.2 dot product */
};

/* A separable filter along one axis, in fixed point of RESAMPLE_BITS: output i is the sum over
 * j < count[i] of k[i * stride + j] * input[first[i] + j], rounded, clamped to 0..255. */
#define RESAMPLE_BITS 22
#define RESAMPLE_GROUP 16 /* stride is a multiple of this */
#define RESAMPLE_PAD 64   /* bytes that must be readable after the last row of resample_h */
struct resample_taps {
    const int32_t *k; /* [n_out, stride], 0 from count[i] on; each less than 2 in magnitude */
    const uint32_t *first, *count; /* [n_out] */
    size_t n_out, stride;
};

struct simd {
    /* sum of a[i]*b[i], n floats each; lanes are summed in the ISA's own order, so results differ
     * from the portable one's by up to n*FLT_EPSILON*sum(|a[i]*b[i]|). */
    float (*dot_f32)(const float *a, const float *b, size_t n);
    /* The same for a in IEEE half. */
    float (*dot_f16)(const uint16_t *a, const float *b, size_t n);
    /* out[r] = sum of rows[r * stride + i] * q[i] over i < n <= 65536, exact. Values are in
     * [-127, 127]: -128 may give wrong sums, so nothing makes it. sums[r] is that of row r's n
     * values: a CPU that multiplies unsigned by signed adds 128 to q and takes 128 * sums[r] off.
     */
    void (*dot_i8)(const int8_t *rows, size_t stride, size_t n_rows, const int32_t *sums,
                   const int8_t *q, size_t n, int32_t *out);

    /* f32 -> IEEE half, round to nearest even, and back: the same bits everywhere. */
    void (*half_encode)(const float *in, size_t n, uint16_t *out);
    void (*half_decode)(const uint16_t *in, size_t n, float *out);

    /* n_rows rows of RGB bytes, src_stride apart, filtered along the row into t->n_out pixels each,
     * dst_stride apart. Every instruction set gives the same bytes. What lies within RESAMPLE_PAD
     * bytes after a row is read, and does not change the result. */
    void (*resample_h)(const uint8_t *src, size_t src_stride, uint8_t *dst, size_t dst_stride,
                       size_t n_rows, const struct resample_taps *t);
    /* One output row of n bytes from n_taps rows that start at src, weighted by k: the same filter
     * across rows. The same bytes everywhere. */
    void (*resample_v)(const uint8_t *src, size_t src_stride, uint8_t *dst, size_t n,
                       const int32_t *k, size_t n_taps);
};

/* The kernels for this CPU, capped by FOVEA_SIMD; never NULL, never changes. */
const struct simd *simd_get(void);

/* What this CPU and kernel support: a set of enum simd_isa. */
unsigned simd_detect(void);
/* "AVX2, AVX-512 VNNI" or "portable C": the set in words. out holds 64 bytes; returns out. */
char *simd_describe(unsigned isa_set, char out[64]);
/* The set that simd_get() uses: detected, less what FOVEA_SIMD caps. */
unsigned simd_used(void);

/* For tests: the best kernels among those in isa_set that this CPU has; 0 asks for portable C. */
void simd_init(struct simd *k, unsigned isa_set);

#endif
