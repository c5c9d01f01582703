/* resample_h, resample_v: every instruction set gives portable C's bytes, whatever the number of
 * taps, rows and columns, and with coefficients as large as they may be. */
#include "tap.h"

#include <stdlib.h>

#include "simd/kernels.h"

enum { WIDTH = 90, ROWS = 9, MOST_TAPS = 70 };

static uint8_t src[ROWS * WIDTH * 3 + RESAMPLE_PAD];

static uint32_t any(uint32_t below)
{
    return (uint32_t)rand() % below;
}

/* Weights of either sign that sum to one, as a filter's do; wild ones reach the clamps. */
static void any_weights(int32_t *k, size_t n, bool wild)
{
    int32_t rest = 1 << RESAMPLE_BITS, most = wild ? rest : 2 * rest / (int32_t)n;
    for (size_t j = 0; j + 1 < n; j++) {
        k[j] = (int32_t)any((uint32_t)most) - most / 4;
        if (wild)
            k[j] /= (int32_t)n;
        rest -= k[j];
    }
    k[n - 1] = wild ? rest / 2 : rest;
}

static void horizontal(const struct simd *k, size_t n_out, size_t n_rows, uint32_t n_taps)
{
    enum { STRIDE = (MOST_TAPS + RESAMPLE_GROUP - 1) / RESAMPLE_GROUP * RESAMPLE_GROUP };
    int32_t weights[8 * STRIDE] = { 0 };
    uint32_t first[8], count[8];
    for (size_t i = 0; i < n_out; i++) {
        count[i] = 1 + any(n_taps);
        first[i] = i % 2 ? any(WIDTH - count[i] + 1) : WIDTH - count[i]; /* the row's end, often */
        any_weights(weights + i * STRIDE, count[i], i % 3 == 0);
    }
    const struct resample_taps t = { weights, first, count, n_out, STRIDE };
    uint8_t want[ROWS * 8 * 3], got[ROWS * 8 * 3 + 1];
    memset(got, 0xa5, sizeof got);
    resample_h_c(src, WIDTH * 3, want, n_out * 3, n_rows, &t);
    k->resample_h(src, WIDTH * 3, got, n_out * 3, n_rows, &t);
    CHECK(!memcmp(got, want, n_rows * n_out * 3));
    CHECK(got[n_rows * n_out * 3] == 0xa5);
}

static void vertical(const struct simd *k, size_t n, size_t n_taps)
{
    int32_t weights[ROWS];
    uint8_t want[WIDTH * 3], got[WIDTH * 3 + 1];
    any_weights(weights, n_taps, n % 3 == 0);
    memset(got, 0xa5, sizeof got);
    resample_v_c(src, WIDTH * 3, want, n, weights, n_taps);
    k->resample_v(src, WIDTH * 3, got, n, weights, n_taps);
    CHECK(!memcmp(got, want, n));
    CHECK(got[n] == 0xa5);
}

static void agrees(unsigned isa)
{
    if (!(simd_detect() & isa))
        SKIP("this CPU lacks it");
    struct simd k;
    simd_init(&k, isa | (isa == SIMD_AVX512VNNI ? SIMD_AVX2 : 0));
    srand(11);
    for (size_t i = 0; i < sizeof src; i++)
        src[i] = (uint8_t)(any(3) ? any(256) : 255 * any(2));
    for (uint32_t n_taps = 1; n_taps <= MOST_TAPS; n_taps++)
        for (size_t n_out = 1; n_out <= 8; n_out++)
            horizontal(&k, n_out, 1 + any(ROWS), n_taps);
    for (size_t n = 1; n <= WIDTH * 3; n++)
        for (size_t n_taps = 1; n_taps <= ROWS; n_taps++)
            vertical(&k, n, n_taps);
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

/* A rounded half, both clamps, and a row whose bytes after the end must not count. */
static void known_values(void)
{
    const int32_t k[RESAMPLE_GROUP] = { 1 << 21, 1 << 21 };
    const int32_t over[RESAMPLE_GROUP] = { 3 << 21, -(1 << 21) };
    const uint32_t first[] = { 0 }, count[] = { 2 };
    uint8_t row[6 + RESAMPLE_PAD], out[3];
    memset(row, 0xff, sizeof row);
    memcpy(row, (uint8_t[]){ 1, 200, 0, 2, 10, 200 }, 6);
    struct resample_taps t = { k, first, count, 1, RESAMPLE_GROUP };
    simd_get()->resample_h(row, 6, out, 3, 1, &t);
    CHECK(out[0] == 2 && out[1] == 105 && out[2] == 100);
    t.k = over;
    simd_get()->resample_h(row, 6, out, 3, 1, &t);
    CHECK(out[0] == 1 && out[1] == 255 && out[2] == 0);
    simd_get()->resample_v(row, 3, out, 3, over, 2);
    CHECK(out[0] == 1 && out[1] == 255 && out[2] == 0);
}

static const struct tap_case cases[] = {
    CASE(avx2_agrees_with_c),
    CASE(avx512vnni_agrees_with_c),
    CASE(neon_agrees_with_c),
    CASE(known_values),
};
TAP_MAIN(cases)
