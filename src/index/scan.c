#include "index/scan.h"

#include <stdbool.h>

#include "simd/simd.h"

/* Rows that are scored before the next query looks at them: few enough that it finds them in the
 * second-level cache (256 KiB at 512 values). One query alone has no reason to stop so often: the
 * kernel's reading ahead ends with the block (AVX2, 100,000 rows: 50 GB/s, by blocks of 512 47). */
enum { BLOCK = 512, BLOCK_ALONE = 4096 };

/* Above one candidate in so many rows it is quicker to score the others as well: a row in sequence
 * costs 15 to 25 ns (512 values), one by itself 70. */
enum { DENSE = 4 };

static bool is_candidate(const struct index_filter *f, int64_t id)
{
    uint64_t i = (uint64_t)id; /* a negative one is beyond every n_bits */
    return i < f->n_bits && f->bits[i / 64] >> i % 64 & 1;
}

/* Rows of which it is asked at once whether any exceeds the threshold. */
enum { GROUP = 64 };

/* x[i] = dots[i] * scales[i]; how many of them exceed the threshold. Compilers vectorise it, and
 * nearly always nothing does, so what follows a group's dot products is a few dozen instructions.
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

/* The rows [lo, hi) that win, where they are candidates; dots: [hi - lo]. */
static void keep_best(const struct scan *s, size_t view, size_t lo, size_t hi, const int32_t *dots,
                      struct topk *top)
{
    const struct index_view *v = &s->views[view];
    float x[GROUP];
    for (size_t n; lo < hi; lo += n, dots += n) {
        n = hi - lo < GROUP ? hi - lo : GROUP;
        if (!weigh(dots, v->scales + lo, n, top->threshold, x))
            continue;
        for (size_t i = 0; i < n; i++)
            if (x[i] > top->threshold && (!s->filter || is_candidate(s->filter, v->ids[lo + i])))
                topk_push(top, (struct topk_item){ x[i], (uint32_t)view, lo + i });
    }
}

/* Every row of [lo, hi), at most BLOCK_ALONE. */
static void score_all(const struct scan *s, size_t view, size_t lo, size_t hi, struct topk *tops)
{
    const struct index_view *v = &s->views[view];
    int32_t dots[BLOCK_ALONE];
    for (size_t q = 0; q < s->n_queries; q++) {
        simd_get()->dot_i8(v->rows + lo * v->stride, v->stride, hi - lo, v->sums + lo,
                           s->queries + q * s->stride, v->stride, dots);
        keep_best(s, view, lo, hi, dots, &tops[q]);
    }
}

/* The n rows that `some` names, ascending. */
static void score_some(const struct scan *s, size_t view, const size_t *some, size_t n,
                       struct topk *tops)
{
    const struct index_view *v = &s->views[view];
    for (size_t i = 0; i < n; i++)
        for (size_t q = 0; q < s->n_queries; q++) {
            int32_t dot;
            simd_get()->dot_i8(v->rows + some[i] * v->stride, v->stride, 1, v->sums + some[i],
                               s->queries + q * s->stride, v->stride, &dot);
            float x = (float)dot * v->scales[some[i]];
            if (x > tops[q].threshold)
                topk_push(&tops[q], (struct topk_item){ x, (uint32_t)view, some[i] });
        }
}

/* The candidates among rows [lo, hi) into out; returns how many. */
static size_t find_candidates(const struct index_filter *f, const struct index_view *v, size_t lo,
                              size_t hi, size_t *out)
{
    size_t n = 0;
    for (size_t r = lo; r < hi; r++) {
        out[n] = r;
        n += is_candidate(f, v->ids[r]);
    }
    return n;
}

/* All lines of the rows, so that their ways from memory overlap. */
static void prefetch(const struct index_view *v, const size_t *some, size_t n)
{
    for (size_t i = 0; i < n; i++)
        for (size_t at = 0; at < v->stride; at += 64)
            __builtin_prefetch(v->rows + some[i] * v->stride + at, 0, 2);
}

static void score_candidates(const struct scan *s, size_t view, size_t lo, size_t hi,
                             struct topk *tops)
{
    size_t some[BLOCK];
    size_t n = find_candidates(s->filter, &s->views[view], lo, hi, some);
    if (n * DENSE > hi - lo) {
        score_all(s, view, lo, hi, tops);
        return;
    }
    prefetch(&s->views[view], some, n);
    score_some(s, view, some, n, tops);
}

void scan_rows(const struct scan *s, size_t view, size_t lo, size_t hi, struct topk *tops)
{
    size_t block = s->n_queries > 1 || s->filter ? BLOCK : BLOCK_ALONE;
    for (; lo < hi; lo += block) {
        size_t end = hi - lo < block ? hi : lo + block;
        if (s->filter)
            score_candidates(s, view, lo, end, tops);
        else
            score_all(s, view, lo, end, tops);
    }
}
