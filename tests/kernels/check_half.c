/* IEEE half: the portable conversion against the standard's landmarks, then every instruction set
 * against it, bit for bit, over all halves and the floats around each rounding step; and dot_f16.
 */
#include "tap.h"

#include <float.h>
#include <stdlib.h>

#include "simd/kernels.h"
#include "simd/simd.h"

static float of_bits(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static void landmarks(void)
{
    static const struct {
        float f;
        uint16_t h;
    } t[] = {
        { 0, 0 },
        { -0.f, 0x8000 },
        { 1, 0x3c00 },
        { -2, 0xc000 },
        { 65504, 0x7bff },
        { 65519.996f, 0x7bff },
        { 65520, 0x7c00 },
        { INFINITY, 0x7c00 },
        { -INFINITY, 0xfc00 },
        { 0x1p-14f, 0x0400 },
        { 0x1p-24f, 0x0001 },
        { 0x1p-25f, 0x0000 },                /* a tie, to even */
        { 0x1.000002p-25f, 0x0001 },         /* just above it */
        { 0x1.8p-24f, 0x0002 },              /* a tie, to even */
        { 1 + 0x1p-11f, 0x3c00 },            /* a tie, to even */
        { 1 + 0x1.8p-10f, 0x3c02 },          /* a tie, to even */
        { 0x1.ffcp-15f + 0x1p-26f, 0x0400 }, /* a subnormal that rounds to the least normal */
        { FLT_MIN, 0 },
        { -FLT_TRUE_MIN, 0x8000 },
    };
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        uint16_t h;
        half_encode_c(&t[i].f, 1, &h);
        if (!CHECK(h == t[i].h))
            printf("# %a: got %04x, want %04x\n", (double)t[i].f, h, t[i].h);
    }
}

static void every_half_survives_the_round_trip(void)
{
    for (uint32_t i = 0; i < 65536; i++) {
        uint16_t h = (uint16_t)i, back;
        float f;
        half_decode_c(&h, 1, &f);
        half_encode_c(&f, 1, &back);
        bool nan = (h & 0x7c00) == 0x7c00 && (h & 0x3ff);
        CHECK(back == (nan ? h | 0x200 : h) && nan == (f != f));
    }
}

enum { CHUNK = 61 }; /* so that every kernel meets its tail */

static void compare_encode(const struct simd *k, const float *f)
{
    uint16_t want[CHUNK], got[CHUNK];
    half_encode_c(f, CHUNK, want);
    k->half_encode(f, CHUNK, got);
    CHECK(!memcmp(want, got, sizeof got));
}

static void agrees(unsigned isa)
{
    if (!(simd_detect() & isa))
        SKIP("this CPU lacks it");
    struct simd k;
    simd_init(&k, isa);
    float f[CHUNK], g[CHUNK];
    uint16_t h[CHUNK];
    for (uint32_t i = 0; i < 65536; i += CHUNK) {
        for (uint32_t j = 0; j < CHUNK; j++)
            h[j] = (uint16_t)(i + j);
        half_decode_c(h, CHUNK, f);
        k.half_decode(h, CHUNK, g);
        CHECK(!memcmp(f, g, sizeof f));
    }
    /* Every 13th bit pattern of the upper 20 bits, with the lower bits at and around a tie. */
    static const uint32_t low[] = { 0, 1, 0xfff, 0x1000, 0x1001, 0x1fff };
    size_t n = 0;
    for (uint64_t hi = 0; hi < (uint64_t)1 << 32; hi += 13 << 13)
        for (size_t j = 0; j < sizeof low / sizeof *low; j++) {
            f[n++] = of_bits(((uint32_t)hi & ~(uint32_t)0x1fff) | low[j]);
            if (n == CHUNK) {
                compare_encode(&k, f);
                n = 0;
            }
        }
}

static void dot_agrees(unsigned isa)
{
    if (!(simd_detect() & isa))
        SKIP("this CPU lacks it");
    struct simd k;
    simd_init(&k, isa);
    float a[80], b[80];
    uint16_t h[80];
    srand(7);
    for (int i = 0; i < 80; i++) {
        a[i] = (float)rand() / (float)RAND_MAX - .5f;
        b[i] = (float)rand() / (float)RAND_MAX - .5f;
    }
    half_encode_c(a, 80, h);
    for (size_t n = 0; n <= 70; n++)
        for (size_t off = 0; off < 4; off++) {
            float mag = 0;
            for (size_t i = 0; i < n; i++)
                mag += fabsf(a[off + i] * b[i]);
            CHECK_NEAR(k.dot_f16(h + off, b, n), dot_f16_c(h + off, b, n),
                       (float)(n + 1) * FLT_EPSILON * mag);
        }
}

static void avx2_converts_as_c(void)
{
    agrees(SIMD_AVX2);
}

static void neon_converts_as_c(void)
{
    agrees(SIMD_NEON);
}

static void avx2_dot_agrees_with_c(void)
{
    dot_agrees(SIMD_AVX2);
}

static void neon_dot_agrees_with_c(void)
{
    dot_agrees(SIMD_NEON);
}

static const struct tap_case cases[] = {
    CASE(landmarks),
    CASE(every_half_survives_the_round_trip),
    CASE(avx2_converts_as_c),
    CASE(neon_converts_as_c),
    CASE(avx2_dot_agrees_with_c),
    CASE(neon_dot_agrees_with_c),
};
TAP_MAIN(cases)
