/* scan.h - int8 scores of a stretch of rows, for all queries at once. Inside index/ only. */
#ifndef FOVEA_INDEX_SCAN_H
#define FOVEA_INDEX_SCAN_H

#include "index/index.h"
#include "index/topk.h"

struct scan {
    const struct index_view *views;
    const struct index_filter *filter; /* NULL: every row */
    const int8_t *queries;             /* [n_queries, stride] */
    size_t n_queries, stride;
};

/* Rows [lo, hi) of views[view] into tops [n_queries]. Scores lack the query's own scale, which
 * changes no order. */
void scan_rows(const struct scan *s, size_t view, size_t lo, size_t hi, struct topk *tops);

#endif
