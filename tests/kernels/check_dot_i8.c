/* dot_i8: every instruction set gives the portable sums, bit for bit, at each length up to 200
 * and those with loops of their own, each count of rows up to 9, odd addresses and the greatest
 * values. */
#include "tap.h"

#include <stdlib.h>

#include "simd/kernels.h"
#include "simd/simd.h"

static const size_t longer[] = { 384, 512, 513, 640, 768, 1024, 1152, 1280 };
enum { N_MAX = 200, N_LONG = sizeof longer / sizeof *longer, ROWS_MAX = 9 };

/* What the values are: 0 random, 1 all 127, 2 all -127, 3 the two in turn. */
static int8_t value(int kind, size_t i)
{
    switch (kind) {
    case 0: return (int8_t)(rand() % 255 - 127);
    case 1: return 127;
    case 2: return -127;
    default: return i % 2 ? 127 : -127;
    }
}

/* Blocks of the exact size, so that a sanitizer sees a read past the last row or the query. */
static void compare(const struct simd *k, size_t n, size_t stride, size_t n_rows, int kind)
{
    int32_t want[ROWS_MAX], got[ROWS_MAX + 1], sums[ROWS_MAX] = { 0 };
    size_t n_bytes = n_rows ? (n_rows - 1) * stride + n : 0;
    int8_t *rows = malloc(n_bytes + 1), *q = malloc(n + 1);
    REQUIRE(rows && q);
    for (size_t i = 0; i < n_bytes; i++)
        rows[i + 1] = value(kind, i % stride);
    for (size_t i = 0; i < n; i++)
        q[i + 1] = value(kind == 2 ? 1 : kind, i);
    for (size_t i = 0; i < n_rows * n; i++)
        sums[i / n] += rows[1 + i / n * stride + i % n];
    got[n_rows] = 12345;
    dot_i8_c(rows + 1, stride, n_rows, sums, q + 1, n, want);
    k->dot_i8(rows + 1, stride, n_rows, sums, q + 1, n, got);
    CHECK(!memcmp(want, got, n_rows * sizeof *want) && got[n_rows] == 12345);
    free(rows);
    free(q);
}

static void agrees(unsigned isa)
{
    if (!(simd_detect() & isa))
        SKIP("this CPU lacks it");
    struct simd k;
    simd_init(&k, isa == SIMD_AVX512VNNI ? SIMD_AVX2 | isa
                  : isa == SIMD_DOTPROD  ? SIMD_NEON | isa
                                         : isa);
    srand(7);
    for (size_t i = 0; i <= N_MAX + N_LONG && !tap_failures; i++) {
        size_t n = i <= N_MAX ? i : longer[i - N_MAX - 1];
        for (size_t n_rows = 0; n_rows <= ROWS_MAX; n_rows++)
            for (int kind = 0; kind < 4; kind++)
                compare(&k, n, n + n_rows % 3 + 1, n_rows, kind);
    }
}

static void portable_is_the_sum_of_products(void)
{
    static const int8_t rows[8] = { 1, -2, 3, 99, -127, 127, 127, 99 }, q[3] = { 127, -127, 2 };
    static const int32_t sums[2] = { 2, 127 };
    int32_t out[2];
    dot_i8_c(rows, 4, 2, sums, q, 3, out);
    CHECK(out[0] == 127 + 254 + 6 && out[1] == -2 * 127 * 127 + 254);
}

static void exact_at_the_longest(void)
{
    enum { N = 65536 };
    int8_t *a = malloc(2 * N);
    REQUIRE(a);
    struct simd k;
    simd_init(&k, simd_detect());
    for (int sign = -1; sign <= 1; sign += 2) {
        memset(a, 127, N);
        memset(a + N, sign * 127, N);
        int32_t out = 0, sum = 127 * N;
        k.dot_i8(a, N, 1, &sum, a + N, N, &out);
        CHECK(out == sign * 127 * 127 * N);
    }
    free(a);
}

static void avx2_agrees_with_c(void)
{
    agrees(SIMD_AVX2);
}

static void avx512vnni_agrees_with_c(void)
{
    agrees(SIMD_AVX512VNNI);
}

static void neon_agrees_with_c(void)
{
    agrees(SIMD_NEON);
}

static void dotprod_agrees_with_c(void)
{
    agrees(SIMD_DOTPROD);
}

static const struct tap_case cases[] = {
    CASE(portable_is_the_sum_of_products), CASE(exact_at_the_longest), CASE(avx2_agrees_with_c),
    CASE(avx512vnni_agrees_with_c),        CASE(neon_agrees_with_c),   CASE(dotprod_agrees_with_c),
};
TAP_MAIN(cases)
