/* dot_f32: every instruction set against portable C, at each length up to 70 and at odd addresses.
 */
#include "tap.h"

#include <float.h>
#include <stdlib.h>

#include "simd/kernels.h"
#include "simd/simd.h"

static void agrees(unsigned isa)
{
    if (!(simd_detect() & isa))
        SKIP("this CPU lacks it");
    struct simd k;
    simd_init(&k, isa);
    float a[80], b[80];
    srand(7);
    for (int i = 0; i < 80; i++) {
        a[i] = (float)rand() / (float)RAND_MAX - .5f;
        b[i] = (float)rand() / (float)RAND_MAX - .5f;
    }
    for (size_t n = 0; n <= 70; n++)
        for (size_t off = 0; off < 4; off++) {
            float mag = 0;
            for (size_t i = 0; i < n; i++)
                mag += fabsf(a[off + i] * b[i]);
            CHECK_NEAR(k.dot_f32(a + off, b, n), dot_f32_c(a + off, b, n),
                       (float)(n + 1) * FLT_EPSILON * mag);
        }
}

static void avx2_agrees_with_c(void)
{
    agrees(SIMD_AVX2);
}

static void neon_agrees_with_c(void)
{
    agrees(SIMD_NEON);
}

static const struct tap_case cases[] = { CASE(avx2_agrees_with_c), CASE(neon_agrees_with_c) };
TAP_MAIN(cases)
