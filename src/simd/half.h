/* half.h - IEEE 754 binary16 by integer arithmetic, one value at a time: the portable kernels and
 * the tails of the others. Same bits as F16C, NaN included (quiet, upper payload kept). */
#ifndef FOVEA_SIMD_HALF_H
#define FOVEA_SIMD_HALF_H

#include <stdint.h>
#include <string.h>

static inline float half_to_f32(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, e = h >> 10 & 31, m = h & 0x3ff, bits;
    float f;
    if (e == 31)
        bits = 0x7f800000u | m << 13 | (m ? 0x400000u : 0);
    else if (e)
        bits = (e + 112) << 23 | m << 13;
    else { /* zero and subnormals */
        f = (float)m * 0x1p-24f;
        memcpy(&bits, &f, sizeof bits);
    }
    bits |= sign;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static inline uint16_t half_from_f32(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    uint32_t sign = bits >> 16 & 0x8000, a = bits & 0x7fffffff;
    if (a > 0x7f800000)
        return (uint16_t)(sign | 0x7e00 | (a >> 13 & 0x3ff));
    if (a >= 0x477ff000) /* 65520: half way from the greatest half to the next power of two */
        return (uint16_t)(sign | 0x7c00);
    if (a >= 0x38800000) /* 2^-14, the least normal one: round to even at bit 13, rebias by 112 */
        return (uint16_t)(sign | (a + 0xfff + (a >> 13 & 1) - 0x38000000) >> 13);
    float g;
    memcpy(&g, &a, sizeof g);
    g += .5f; /* whose last place is worth 2^-24, as a subnormal half's: the FPU rounds for us */
    memcpy(&a, &g, sizeof a);
    return (uint16_t)(sign | (a - 0x3f000000));
}

#endif
