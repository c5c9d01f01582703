/* topk.h - the best m of a stream of scores. Inside index/ only.
 *
 * No heap: what beats the threshold goes to the end of a buffer of 2m; a full buffer is cut to its
 * best m, and the worst of them becomes the threshold. Of N rows in random order about m * ln(N/m)
 * are ever pushed (700 of a million for m = 74), so a scan compares each score once and hardly ever
 * enters.
 */
#ifndef FOVEA_INDEX_TOPK_H
#define FOVEA_INDEX_TOPK_H

#include <stddef.h>
#include <stdint.h>

struct topk_item {
    float score;
    uint32_t view;
    size_t
        row; /* where it is: the order among equal scores, so that results never depend on luck */
};

struct topk {
    struct topk_item *items; /* [2 * m], the caller's */
    size_t n, m;             /* m >= 1 */
    float threshold;         /* what does not exceed it is not among the best m; starts at -inf */
};

/* Only for score > threshold (which also keeps NaN out), rows in ascending order. */
void topk_push(struct topk *t, struct topk_item item);
/* The best first, n <= m. */
void topk_sort(struct topk *t);

#endif
