#include "index/layout.h"

#include <string.h>

#include "index/vector.h"

enum err_code layout_make(struct layout_header *h, const struct index_stamp *stamp, struct err *err)
{
    if (stamp->dim < 1 || stamp->dim > INDEX_DIM_MAX || stamp->n_rows > INDEX_ROWS_MAX)
        return err_set(err, ERR_LIMIT, "%llu vectors of %u values: the limits are %zu and %d",
                       (unsigned long long)stamp->n_rows, stamp->dim, INDEX_ROWS_MAX,
                       INDEX_DIM_MAX);
    *h = (struct layout_header){ .version = LAYOUT_VERSION,
                                 .dim = stamp->dim,
                                 .n_rows = stamp->n_rows,
                                 .generation = stamp->generation,
                                 .ids_at = sizeof *h,
                                 .stride = vector_stride(stamp->dim) };
    memcpy(h->magic, LAYOUT_MAGIC, sizeof h->magic);
    memcpy(h->space, stamp->space, sizeof h->space);
    /* Below 2^44 by the limits above, so nothing here can overflow. */
    h->scales_at = h->ids_at + h->n_rows * sizeof(int64_t);
    h->sums_at = h->scales_at + h->n_rows * sizeof(float);
    h->rows_at = (h->sums_at + h->n_rows * sizeof(int32_t) + 63) & ~(uint64_t)63;
    h->file_bytes = h->rows_at + h->n_rows * h->stride;
    return ERR_NONE;
}
