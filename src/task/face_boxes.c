#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "task/face.h"

/* The surest first; of equals, the one that the network named first. */
static int by_score(const void *a, const void *b)
{
    const struct task_face *x = *(const struct task_face *const *)a;
    const struct task_face *y = *(const struct task_face *const *)b;
    return x->score != y->score ? (x->score < y->score) - (x->score > y->score) : (x > y) - (x < y);
}

static double smaller(double a, double b)
{
    return a < b ? a : b;
}

static double larger(double a, double b)
{
    return a > b ? a : b;
}

/* Intersection over union, rounded as OpenCV does on its way (dnn/nms.cpp: rectOverlap). */
static float overlap(const struct task_face *a, const struct task_face *b)
{
    const double aw = a->x2 - a->x1, ah = a->y2 - a->y1, bw = b->x2 - b->x1, bh = b->y2 - b->y1;
    const double both = aw * ah + bw * bh;
    if (both <= DBL_EPSILON)
        return 1;
    double w = smaller(a->x1 + aw, b->x1 + bw) - larger(a->x1, b->x1);
    double h = smaller(a->y1 + ah, b->y1 + bh) - larger(a->y1, b->y1);
    if (!(aw > 0 && ah > 0 && bw > 0 && bh > 0 && w > 0 && h > 0))
        w = 0;
    const double common = w * h;
    return 1.0f - (float)(1.0 - common / (both - common));
}

/* Greedy suppression: sorted [n] -> kept, at most max; returns how many. */
static size_t suppress(const struct task_face **sorted, size_t n, float max_overlap,
                       struct task_face *kept, size_t max)
{
    size_t n_kept = 0;
    for (size_t i = 0; i < n && n_kept < max; i++) {
        size_t k = 0;
        while (k < n_kept && overlap(sorted[i], &kept[k]) <= max_overlap)
            k++;
        if (k == n_kept)
            kept[n_kept++] = *sorted[i];
    }
    return n_kept;
}

static void round_box(struct task_face *f)
{
    f->x1 = rintf(f->x1);
    f->y1 = rintf(f->y1);
    f->x2 = rintf(f->x2);
    f->y2 = rintf(f->y2);
}

/* n > 0 candidates -> the faces among them, in memory of their own. */
static enum err_code choose(const struct task_face *all, size_t n, float max_overlap,
                            struct task_face **faces, size_t *n_faces, struct err *err)
{
    const size_t max = n < TASK_FACES_MAX ? n : TASK_FACES_MAX;
    const struct task_face **sorted = malloc(n * sizeof(*sorted));
    struct task_face *kept = malloc(max * sizeof *kept);
    if (!sorted || !kept) {
        free(sorted);
        free(kept);
        return err_set(err, ERR_NOMEM, "%zu faces", n);
    }
    for (size_t i = 0; i < n; i++)
        sorted[i] = &all[i];
    qsort(sorted, n, sizeof(*sorted), by_score);
    *n_faces = suppress(sorted, n, max_overlap, kept, max);
    for (size_t i = 0; i < *n_faces; i++)
        round_box(&kept[i]);
    free(sorted);
    *faces = kept;
    return ERR_NONE;
}

enum err_code task_face_boxes(const struct face_family *fam,
                              const struct face_level levels[FACE_LEVELS], float scale,
                              float min_score, struct task_face **faces, size_t *n, struct err *err)
{
    *faces = NULL;
    *n = 0;
    struct task_face *all = malloc(task_face_max_candidates(fam) * sizeof *all);
    if (!all)
        return err_set(err, ERR_NOMEM, "faces of a picture");
    size_t n_all = task_face_candidates(fam, levels, scale, min_score, all);
    enum err_code rc = n_all ? choose(all, n_all, fam->max_overlap, faces, n, err) : ERR_NONE;
    free(all);
    return rc;
}
