/* kernels.h - every implementation by name, for simd.c to pick from and for tests to compare. */
#ifndef FOVEA_SIMD_KERNELS_H
#define FOVEA_SIMD_KERNELS_H

#include <stddef.h>
#include <stdint.h>

float dot_f32_c(const float *a, const float *b, size_t n);
float dot_f32_avx2(const float *a, const float *b, size_t n);

#endif
