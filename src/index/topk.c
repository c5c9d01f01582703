#include "index/topk.h"

#include <stdlib.h>

static int best_first(const void *pa, const void *pb)
{
    const struct topk_item *a = pa, *b = pb;
    if (a->score != b->score)
        return a->score > b->score ? -1 : 1;
    if (a->view != b->view)
        return a->view < b->view ? -1 : 1;
    return a->row < b->row ? -1 : a->row > b->row;
}

void topk_sort(struct topk *t)
{
    qsort(t->items, t->n, sizeof *t->items, best_first);
    if (t->n >= t->m) {
        t->n = t->m;
        t->threshold = t->items[t->m - 1].score;
    }
}

void topk_push(struct topk *t, struct topk_item item)
{
    t->items[t->n++] = item;
    if (t->n == 2 * t->m)
        topk_sort(t);
}
