#include "simd/simd.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

#include "simd/kernels.h"

static const struct {
    const char *cap, *words;
    unsigned isa, keeps; /* the flag, and the set that FOVEA_SIMD=cap leaves */
} levels[] = {
    { "avx2", "AVX2", SIMD_AVX2, SIMD_AVX2 },
    { "avx512vnni", "AVX-512 VNNI", SIMD_AVX512VNNI, SIMD_AVX2 | SIMD_AVX512VNNI },
    { "neon", "NEON", SIMD_NEON, SIMD_NEON },
    { "dotprod", "NEON dot product", SIMD_DOTPROD, SIMD_NEON | SIMD_DOTPROD },
};

#if defined(__x86_64__)
/* Not by __builtin_cpu_supports(), which clang 14 does not let ask for it. */
static bool has_f16c(void)
{
    unsigned a, b, c, d;
    return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C);
}
#endif

unsigned simd_detect(void)
{
    unsigned set = 0;
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c())
        set |= SIMD_AVX2;
    if (set && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512vnni"))
        set |= SIMD_AVX512VNNI;
#elif defined(__aarch64__)
    set |= SIMD_NEON;
    if (getauxval(AT_HWCAP) & HWCAP_ASIMDDP)
        set |= SIMD_DOTPROD;
#endif
    return set;
}

char *simd_describe(unsigned isa_set, char out[64])
{
    size_t n = 0;
    snprintf(out, 64, "portable C");
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++)
        if (isa_set & levels[i].isa)
            n += (size_t)snprintf(out + n, 64 - n, "%s%s", n ? ", " : "", levels[i].words);
    return out;
}

unsigned simd_used(void)
{
    const char *cap = getenv("FOVEA_SIMD");
    unsigned set = simd_detect();
    if (!cap || !*cap)
        return set;
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++)
        if (!strcmp(cap, levels[i].cap))
            return set & levels[i].keeps;
    return 0; /* "c", and a word we do not know: the slow path is the one that is surely right */
}

void simd_init(struct simd *k, unsigned isa_set)
{
    isa_set &= simd_detect();
    (void)isa_set;
    *k = (struct simd){
        .dot_f32 = dot_f32_c,
        .dot_f16 = dot_f16_c,
        .dot_i8 = dot_i8_c,
        .half_encode = half_encode_c,
        .half_decode = half_decode_c,
        .resample_h = resample_h_c,
        .resample_v = resample_v_c,
    };
#if defined(__x86_64__)
    if (isa_set & SIMD_AVX2) {
        k->dot_f32 = dot_f32_avx2;
        k->dot_f16 = dot_f16_avx2;
        k->dot_i8 = dot_i8_avx2;
        k->half_encode = half_encode_avx2;
        k->half_decode = half_decode_avx2;
        k->resample_h = resample_h_avx2;
        k->resample_v = resample_v_avx2;
    }
    if (isa_set & SIMD_AVX512VNNI) {
        k->dot_i8 = dot_i8_avx512vnni;
        k->resample_h = resample_h_avx512vnni;
    }
#elif defined(__aarch64__)
    if (isa_set & SIMD_NEON) {
        k->dot_f32 = dot_f32_neon;
        k->dot_f16 = dot_f16_neon;
        k->dot_i8 = dot_i8_neon;
        k->half_encode = half_encode_neon;
        k->half_decode = half_decode_neon;
        k->resample_h = resample_h_neon;
        k->resample_v = resample_v_neon;
    }
    if (isa_set & SIMD_DOTPROD)
        k->dot_i8 = dot_i8_dotprod;
#endif
}

static struct simd table;

static void fill(void)
{
    simd_init(&table, simd_used());
}

const struct simd *simd_get(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, fill);
    return &table;
}
