#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/arena.h"
#include "index/rescore.h"
#include "index/scan.h"
#include "index/vector.h"
#include "simd/simd.h"
#include "sys/pool.h"

/* Rows that a thread takes at a time: 4 MiB at 512 values, about 0.2 ms, so that threads end
 * together and a small library is scanned by the caller alone. */
enum { CHUNK = 8192 };

/* How many of the best int8 scores get an exact one. tests/recall measures what this gives. */
static size_t oversample(size_t k, size_t n_rows)
{
    size_t m = 4 * k > k + 64 ? 4 * k : k + 64;
    m = m < n_rows ? m : n_rows;
    return m ? m : 1;
}

struct helper {
    struct search *search;
    struct topk *tops; /* [n] */
};

/* One search. The caller's thread and those that the pool lends take chunks from one counter, each
 * into selections of its own; which thread had which chunk changes no result. */
struct search {
    const struct index_query *query;
    struct scan scan;
    size_t n_chunks, m;
    unsigned n_threads;
    float *scales;          /* [n] of the int8 queries */
    struct topk *tops;      /* [n_threads, n] */
    struct index_hit *best; /* [m] */
    struct helper *helpers; /* [n_threads]; that of the caller's thread is unused */

    atomic_size_t next; /* the first chunk that nobody has taken */
    pthread_mutex_t lock;
    pthread_cond_t left;
    unsigned n_helpers; /* in the pool, queued or running; under lock */
};

static size_t chunks_of(const struct index_view *v)
{
    return (v->n_rows + CHUNK - 1) / CHUNK;
}

static void take_chunks(struct search *s, struct topk *tops)
{
    for (size_t c; (c = atomic_fetch_add(&s->next, 1)) < s->n_chunks;) {
        const struct index_view *v = s->scan.views;
        for (; c >= chunks_of(v); v++)
            c -= chunks_of(v);
        size_t lo = c * CHUNK, hi = v->n_rows - lo < CHUNK ? v->n_rows : lo + CHUNK;
        scan_rows(&s->scan, (size_t)(v - s->scan.views), lo, hi, tops);
    }
}

static void help(void *arg, unsigned worker)
{
    struct helper *h = arg;
    struct search *s = h->search;
    (void)worker;
    take_chunks(s, h->tops);
    pthread_mutex_lock(&s->lock);
    if (!--s->n_helpers)
        pthread_cond_signal(&s->left); /* under the lock: the caller frees s once it sees zero */
    pthread_mutex_unlock(&s->lock);
}

static void scan_all(struct search *s)
{
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->left, NULL);
    pthread_mutex_lock(&s->lock);
    for (unsigned i = 1; i < s->n_threads; i++) {
        s->helpers[i] = (struct helper){ s, s->tops + i * s->query->n };
        s->n_helpers += pool_try_submit(s->query->pool, help, &s->helpers[i]);
    }
    pthread_mutex_unlock(&s->lock);
    take_chunks(s, s->tops);
    pthread_mutex_lock(&s->lock);
    while (s->n_helpers)
        pthread_cond_wait(&s->left, &s->lock);
    pthread_mutex_unlock(&s->lock);
    pthread_cond_destroy(&s->left);
    pthread_mutex_destroy(&s->lock);
}

static enum err_code check(const struct index_view *views, size_t n_views,
                           const struct index_query *q, struct err *err)
{
    size_t n_hits;
    if (q->dim < 1 || q->dim > INDEX_DIM_MAX)
        return err_set(err, ERR_LIMIT, "query of %zu values: the limit is %d", q->dim,
                       INDEX_DIM_MAX);
    if (__builtin_mul_overflow(q->n, q->k, &n_hits) || n_hits > INDEX_HITS_MAX)
        return err_set(err, ERR_LIMIT, "%zu nearest of %zu queries: the limit is %zu in all", q->k,
                       q->n, INDEX_HITS_MAX);
    for (size_t i = 0; i < n_views; i++)
        if (views[i].n_rows && views[i].dim != q->dim)
            return err_set(err, ERR_INVALID, "query of %zu values among vectors of %zu", q->dim,
                           views[i].dim);
    return ERR_NONE;
}

static enum err_code quantise_queries(struct search *s, struct arena *mem, struct err *err)
{
    const struct index_query *q = s->query;
    size_t stride = vector_stride(q->dim);
    char *block = arena_alloc(mem, q->n + 1, stride, err);
    s->scales = arena_alloc(mem, q->n, sizeof *s->scales, err);
    if (!block || !s->scales)
        return ERR_NOMEM;
    int8_t *queries = (int8_t *)block + (-(uintptr_t)block & 63); /* each load within one line */
    for (size_t i = 0; i < q->n; i++) {
        int32_t sum; /* is of use in rows only */
        enum err_code rc = vector_quantise(q->vectors + i * q->dim, q->dim, queries + i * stride,
                                           &s->scales[i], &sum, err);
        if (rc != ERR_NONE) {
            err_prefix(err, "query %zu", i);
            return rc;
        }
    }
    s->scan.queries = queries;
    s->scan.stride = stride;
    return ERR_NONE;
}

/* What depends on how many rows there are: selections for each thread that is worth waking. */
static enum err_code prepare(struct search *s, size_t n_views, struct arena *mem, struct err *err)
{
    const struct index_query *q = s->query;
    size_t n_rows = 0;
    for (size_t i = 0; i < n_views; i++) {
        n_rows += s->scan.views[i].n_rows;
        s->n_chunks += chunks_of(&s->scan.views[i]);
    }
    s->m = oversample(q->k, n_rows);
    s->n_threads = 1;
    if (q->pool && s->n_chunks > 1)
        s->n_threads += pool_n_threads(q->pool) < s->n_chunks - 1 ? pool_n_threads(q->pool)
                                                                  : (unsigned)s->n_chunks - 1;
    size_t n_tops = s->n_threads * q->n;
    s->best = arena_alloc(mem, s->m, sizeof *s->best, err);
    s->helpers = arena_alloc(mem, s->n_threads, sizeof *s->helpers, err);
    s->tops = arena_alloc(mem, n_tops, sizeof *s->tops, err);
    struct topk_item *items = arena_alloc(mem, n_tops, 2 * s->m * sizeof *items, err);
    if (!s->best || !s->helpers || !s->tops || !items)
        return ERR_NOMEM;
    for (size_t i = 0; i < n_tops; i++)
        s->tops[i] = (struct topk){ items + i * 2 * s->m, 0, s->m, -INFINITY };
    return ERR_NONE;
}

/* The results of query i from what the threads have selected. */
static enum err_code finish(struct search *s, size_t i, struct index_hit *hits, size_t *n_hits,
                            struct err *err)
{
    const struct index_query *q = s->query;
    struct topk *top = &s->tops[i];
    for (unsigned t = 1; t < s->n_threads; t++) {
        const struct topk *other = &s->tops[t * q->n + i];
        for (size_t j = 0; j < other->n; j++)
            topk_push(top, other->items[j]);
    }
    topk_sort(top);
    size_t n = rescore_ids(top, s->scan.views, s->scales[i], s->best);
    if (q->fetch) {
        enum err_code rc = rescore_exact(q, q->vectors + i * q->dim, s->best, &n, err);
        if (rc != ERR_NONE)
            return rc;
    }
    rescore_order(s->best, n);
    *n_hits = n < q->k ? n : q->k;
    memcpy(hits, s->best, *n_hits * sizeof *hits);
    return ERR_NONE;
}

enum err_code index_search(const struct index_view *views, size_t n_views,
                           const struct index_query *query, struct index_hit *hits, size_t *n_hits,
                           struct err *err)
{
    enum err_code rc = check(views, n_views, query, err);
    if (rc != ERR_NONE)
        return rc;
    struct arena mem = { .limit = SIZE_MAX / 2 }; /* index.h's limits bound it: only ERR_NOMEM */
    struct search s = { .query = query, .scan = { views, query->filter, NULL, query->n, 0 } };
    rc = quantise_queries(&s, &mem, err);
    if (rc == ERR_NONE)
        rc = prepare(&s, n_views, &mem, err);
    if (rc == ERR_NONE)
        scan_all(&s);
    for (size_t i = 0; rc == ERR_NONE && i < query->n; i++)
        rc = finish(&s, i, hits + i * query->k, &n_hits[i], err);
    arena_clear(&mem);
    return rc;
}
