#include "index/rescore.h"

#include <math.h>
#include <stdlib.h>

#include "simd/simd.h"

static int by_id(const void *pa, const void *pb)
{
    const struct index_hit *a = pa, *b = pb;
    if (a->id != b->id)
        return a->id < b->id ? -1 : 1;
    return a->score > b->score ? -1 : a->score < b->score;
}

static int by_score(const void *pa, const void *pb)
{
    const struct index_hit *a = pa, *b = pb;
    if (a->score != b->score)
        return a->score > b->score ? -1 : 1;
    return a->id < b->id ? -1 : a->id > b->id;
}

/* A photo whose vector was made anew is in the sidecar with the old one and in memory with the new
 * one; the exact score is that of the database for both, so one of them is enough. */
size_t rescore_ids(const struct topk *top, const struct index_view *views, float scale,
                   struct index_hit *hits)
{
    for (size_t i = 0; i < top->n; i++) {
        const struct topk_item *t = &top->items[i];
        hits[i] = (struct index_hit){ views[t->view].ids[t->row], t->score * scale };
    }
    qsort(hits, top->n, sizeof *hits, by_id);
    size_t n = 0;
    for (size_t i = 0; i < top->n; i++)
        if (!n || hits[i].id != hits[n - 1].id)
            hits[n++] = hits[i];
    return n;
}

enum err_code rescore_exact(const struct index_query *query, const float *vector,
                            struct index_hit *hits, size_t *n, struct err *err)
{
    const struct simd *k = simd_get();
    uint16_t row[INDEX_DIM_MAX];
    size_t n_kept = 0;
    for (size_t i = 0; i < *n; i++) {
        struct err e = { 0 };
        enum err_code rc = query->fetch(query->fetch_ctx, hits[i].id, row, &e);
        if (rc == ERR_NOT_FOUND)
            continue;
        if (rc != ERR_NONE)
            return err_set(err, rc, "%s", e.msg);
        float score = k->dot_f16(row, vector, query->dim);
        if (isfinite(score)) /* else the database is damaged; the order below needs numbers */
            hits[n_kept++] = (struct index_hit){ hits[i].id, score };
    }
    *n = n_kept;
    return ERR_NONE;
}

void rescore_order(struct index_hit *hits, size_t n)
{
    qsort(hits, n, sizeof *hits, by_score);
}
