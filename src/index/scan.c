#include "index/scan.h"

#include <stdbool.h>

#include "simd/simd.h"

/* Rows that are scored before the next query looks at them: 32 KiB at 512 values, so that the
 * second query and those after it find them in the first-level cache. */
enum { BLOCK = 64 };

static bool is_candidate(const struct index_filter *f, int64_t id)
{
    uint64_t i = (uint64_t)id; /* a negative one is beyond every n_bits */
    return i < f->n_bits && f->bits[i / 64] >> i % 64 & 1;
}

/* Rows [lo, hi), at most BLOCK, all of them candidates. */
static void score(const struct scan *s, size_t view, size_t lo, size_t hi, struct topk *tops)
{
    const struct simd *k = simd_get();
    const struct index_view *v = &s->views[view];
    int32_t dots[BLOCK];
    for (size_t q = 0; q < s->n_queries; q++) {
        struct topk *top = &tops[q];
        k->dot_i8(v->rows + lo * v->stride, v->stride, hi - lo, s->queries + q * s->stride,
                  v->stride, dots);
        for (size_t r = lo; r < hi; r++) {
            float x = (float)dots[r - lo] * v->scales[r];
            if (x > top->threshold)
                topk_push(top, (struct topk_item){ .score = x, .view = (uint32_t)view, .row = r });
        }
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
