#include <stdlib.h>
#include <string.h>

#include "index/vector.h"

/* The arrays are ours to write; the view shows them to others as const. */
static void *own(const void *p)
{
    return (void *)(uintptr_t)p;
}

void index_memory_clear(struct index_memory *m)
{
    free(own(m->view.ids));
    free(own(m->view.scales));
    free(own(m->view.sums));
    free(own(m->view.rows));
    *m = (struct index_memory){ .view.dim = m->view.dim };
}

/* Room for twice the rows. Not realloc, which would lose the alignment of the rows. */
static enum err_code grow(struct index_memory *m, struct err *err)
{
    struct index_view *v = &m->view;
    size_t cap = m->cap ? 2 * m->cap : 256, n = v->n_rows;
    if (cap > INDEX_ROWS_MAX)
        return err_set(err, ERR_LIMIT, "vectors in memory: the limit is %zu", INDEX_ROWS_MAX);
    int64_t *ids = malloc(cap * sizeof *ids);
    float *scales = malloc(cap * sizeof *scales);
    int32_t *sums = malloc(cap * sizeof *sums);
    int8_t *rows = aligned_alloc(64, cap * v->stride);
    if (!ids || !scales || !sums || !rows) {
        free(ids);
        free(scales);
        free(sums);
        free(rows);
        return err_set(err, ERR_NOMEM, "%zu vectors of %zu values in memory", cap, v->dim);
    }
    if (n) {
        memcpy(ids, v->ids, n * sizeof *ids);
        memcpy(scales, v->scales, n * sizeof *scales);
        memcpy(sums, v->sums, n * sizeof *sums);
        memcpy(rows, v->rows, n * v->stride);
    }
    struct index_view grown = *v;
    index_memory_clear(m);
    grown.ids = ids;
    grown.scales = scales;
    grown.sums = sums;
    grown.rows = rows;
    *m = (struct index_memory){ .view = grown, .cap = cap };
    return ERR_NONE;
}

enum err_code index_memory_add(struct index_memory *m, int64_t id, const uint16_t *f16,
                               struct err *err)
{
    struct index_view *v = &m->view;
    if (v->dim < 1 || v->dim > INDEX_DIM_MAX)
        return err_set(err, ERR_LIMIT, "vectors of %zu values: the limit is %d", v->dim,
                       INDEX_DIM_MAX);
    if (id < 0)
        return err_set(err, ERR_INVALID, "vector id %lld is negative", (long long)id);
    v->stride = vector_stride(v->dim);
    enum err_code rc = v->n_rows == m->cap ? grow(m, err) : ERR_NONE;
    if (rc != ERR_NONE)
        return rc;
    size_t r = v->n_rows;
    rc = vector_quantise_f16(f16, v->dim, (int8_t *)own(v->rows) + r * v->stride,
                             (float *)own(v->scales) + r, (int32_t *)own(v->sums) + r, err);
    if (rc != ERR_NONE) {
        err_prefix(err, "id %lld", (long long)id);
        return rc;
    }
    ((int64_t *)own(v->ids))[r] = id;
    v->n_rows++;
    return ERR_NONE;
}
