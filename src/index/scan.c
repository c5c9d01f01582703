#include "index/scan.h"

#include <stdbool.h>

#include "simd/simd.h"

/* Rows that are scored before the next query looks at them: few enough that it finds them in the
 * second-level cache (256 KiB at 512 values), enough that the kernel's reading ahead, which ends
 * with the block, hardly ever pauses (with 64 rows the scan took 10 % longer). */
enum { BLOCK = 512 };

static bool is_candidate(const struct index_filter *f, int64_t id)
{
    uint64_t i = (uint64_t)id; /* a negative one is beyond every n_bits */
    return i < f->n_bits && f->bits[i / 64] >> i % 64 & 1;
}

/* x[i] = dots[i] * scales[i]; how many of them exceed the threshold. Compilers vectorise it, and
 * nearly always nothing does, so what follows a block's dot products is a few dozen instructions.
 */
static size_t weigh(const int32_t *dots, const float *scales, size_t n, float threshold, float *x)
{
    int32_t over = 0;
    for (size_t i = 0; i < n; i++) {
        x[i] = (float)dots[i] * scales[i];
        over += x[i] > threshold;
    }
    return (size_t)over;
}

/* Rows [lo, hi), at most BLOCK, all of them candidates. */
static void score(const struct scan *s, size_t view, size_t lo, size_t hi, struct topk *tops)
{
    const struct index_view *v = &s->views[view];
    int32_t dots[BLOCK];
    float x[BLOCK];
    for (size_t q = 0; q < s->n_queries; q++) {
        struct topk *top = &tops[q];
        simd_get()->dot_i8(v->rows + lo * v->stride, v->stride, hi - lo, s->queries + q * s->stride,
                           v->stride, dots);
        if (!weigh(dots, v->scales + lo, hi - lo, top->threshold, x))
            continue;
        for (size_t r = lo; r < hi; r++)
            if (x[r - lo] > top->threshold)
                topk_push(top, (struct topk_item){ x[r - lo], (uint32_t)view, r });
    }
}

/* The runs of candidates among rows [lo, hi). */
static void score_filtered(const struct scan *s, size_t view, size_t lo, size_t hi,
                           struct topk *tops)
{
    const int64_t *ids = s->views[view].ids;
    for (size_t r = lo; r < hi; r++) {
        size_t from = r;
        while (r < hi && is_candidate(s->filter, ids[r]))
            r++;
        if (r > from)
            score(s, view, from, r, tops);
    }
}

void scan_rows(const struct scan *s, size_t view, size_t lo, size_t hi, struct topk *tops)
{
    for (; lo < hi; lo += BLOCK) {
        size_t end = hi - lo < BLOCK ? hi : lo + BLOCK;
        if (s->filter)
            score_filtered(s, view, lo, end, tops);
        else
            score(s, view, lo, end, tops);
    }
}
