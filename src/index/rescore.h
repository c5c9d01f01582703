/* rescore.h - from the best int8 scores to results. Inside index/ only. */
#ifndef FOVEA_INDEX_RESCORE_H
#define FOVEA_INDEX_RESCORE_H

#include "index/index.h"
#include "index/topk.h"

/* hits [top->n]: the rows of top as ids, by id, each once, with its best score times scale. Returns
 * how many. */
size_t rescore_ids(const struct topk *top, const struct index_view *views, float scale,
                   struct index_hit *hits);

/* hits [*n], by id, get their exact scores; rows that fetch does not find are taken out. */
enum err_code rescore_exact(const struct index_query *query, const float *vector,
                            struct index_hit *hits, size_t *n, struct err *err);

/* hits [n] by score descending, then id ascending. */
void rescore_order(struct index_hit *hits, size_t n);

#endif
