#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "task/ocr.h"

/* Sides of less are no text: of what the map shows, of what it is grown to (both in the map's
 * pixels), and of the box in the picture's. */
enum { SIDE_MIN = 3, GROWN_SIDE_MIN = 5, BOX_SIDE_MIN = 4 };

/* What is around an outline. A score of NaN: it is too small. */
struct found {
    struct ocr_quad at;
    double score;
};

/* All that one map needs. The reference takes the first TASK_OCR_BOXES_MAX outlines of OpenCV's
 * list, in which the one found last is first; so they are kept in a ring. */
struct finder {
    const struct ocr_map *map;
    const struct task_ocr_search *how;
    struct ocr_point *sorted, *hull; /* two a row, and some more */
    int32_t *rows;                   /* for a score */
    struct found *ring;              /* [TASK_OCR_BOXES_MAX] */
    size_t n;                        /* outlines so far */
};

/* From which corner on OpenCV counts: its hulls begin where the outline does, or after it where
 * they run against each other, as around a part. */
static size_t first_corner(const struct ocr_outline *o, const struct ocr_point *hull, size_t n)
{
    if (!o->hole)
        return 1;
    for (size_t i = 0; i < n; i++)
        if (hull[i].x == o->start.x && hull[i].y == o->start.y)
            return i;
    return 0;
}

static void note(const struct ocr_outline *o, void *ctx)
{
    struct finder *f = ctx;
    struct found *found = &f->ring[f->n++ % TASK_OCR_BOXES_MAX];
    size_t n = 0;
    for (int32_t y = o->top; y <= o->bottom; y++) {
        f->sorted[n++] = (struct ocr_point){ o->left[y], y };
        if (o->right[y] > o->left[y])
            f->sorted[n++] = (struct ocr_point){ o->right[y], y };
    }
    n = task_ocr_hull(f->sorted, n, f->hull);
    if (n < 3 || task_ocr_rect(f->hull, n, first_corner(o, f->hull, n), &found->at) < SIDE_MIN)
        found->score = NAN;
    else
        found->score = o->marks ? task_ocr_outline_score(f->map, o)
                                : task_ocr_score(f->map, &found->at, f->rows);
}

static int by_row(const void *a, const void *b)
{
    const struct ocr_point *p = a, *q = b;
    return p->y != q->y ? (p->y > q->y) - (p->y < q->y) : (p->x > q->x) - (p->x < q->x);
}

static size_t drop_equal(struct ocr_point *p, size_t n)
{
    size_t k = 0;
    for (size_t i = 0; i < n; i++)
        if (!k || by_row(&p[k - 1], &p[i]))
            p[k++] = p[i];
    return k;
}

/* The rectangle around what q grows to; false where it is too small. Clipper's polygons end with
 * the right one of the topmost points. */
static bool grow(const struct ocr_quad *q, struct ocr_quad *out)
{
    struct ocr_point round[OCR_ROUND_MAX], hull[OCR_ROUND_MAX + 1];
    size_t n = task_ocr_grow(q, round);
    if (!n)
        return false;
    qsort(round, n, sizeof *round, by_row);
    n = task_ocr_hull(round, drop_equal(round, n), hull);
    return n >= 3 && task_ocr_rect(hull, n, hull[1].y == hull[0].y ? 2 : 1, out) >= GROWN_SIDE_MIN;
}

/* A coordinate of the map in the picture, which is n pixels long. */
static float scaled(float v, uint32_t map_n, uint32_t n)
{
    const float at = rintf(v / (float)map_n * (float)n);
    return fminf(fmaxf(at, 0), (float)n);
}

/* imutils' order_points(): of the two leftmost the upper one is top left, and so on. */
static void arrange(float p[4][2])
{
    for (int i = 1; i < 4; i++)
        for (int k = i; k > 0 && p[k][0] < p[k - 1][0]; k--) {
            float other[2];
            memcpy(other, p[k], sizeof other);
            memcpy(p[k], p[k - 1], sizeof other);
            memcpy(p[k - 1], other, sizeof other);
        }
    const bool left = p[1][1] < p[0][1], right = p[3][1] < p[2][1];
    float in_order[4][2];
    memcpy(in_order[0], p[left], sizeof *p);
    memcpy(in_order[1], p[2 + right], sizeof *p);
    memcpy(in_order[2], p[3 - right], sizeof *p);
    memcpy(in_order[3], p[!left], sizeof *p);
    memcpy(p, in_order, sizeof in_order);
}

/* false where it is too small. */
static bool place(const struct ocr_map *map, const struct ocr_quad *q, uint32_t width_px,
                  uint32_t height_px, struct task_ocr_box *box)
{
    for (int i = 0; i < 4; i++) {
        box->points[i][0] = scaled(q->x[i], map->width, width_px);
        box->points[i][1] = scaled(q->y[i], map->height, height_px);
    }
    arrange(box->points);
    for (int i = 0; i < 4; i++) {
        box->points[i][0] = fminf(box->points[i][0], (float)width_px - 1);
        box->points[i][1] = fminf(box->points[i][1], (float)height_px - 1);
    }
    return task_ocr_distance(box->points[0], box->points[1]) >= BOX_SIDE_MIN &&
           task_ocr_distance(box->points[0], box->points[3]) >= BOX_SIDE_MIN;
}

static size_t choose(const struct finder *f, uint32_t width_px, uint32_t height_px,
                     struct task_ocr_box *out)
{
    const size_t n_kept = f->n < TASK_OCR_BOXES_MAX ? f->n : TASK_OCR_BOXES_MAX;
    size_t n = 0;
    for (size_t i = 0; i < n_kept; i++) {
        const struct found *found = &f->ring[(f->n - 1 - i) % TASK_OCR_BOXES_MAX];
        struct ocr_quad grown;
        out[n].score = (float)found->score;
        if (found->score >= f->how->min_score && isfinite(out[n].score) && grow(&found->at, &grown))
            n += place(f->map, &grown, width_px, height_px, &out[n]);
    }
    return n;
}

struct rank {
    double key;
    size_t i;
};

static int by_key(const void *a, const void *b)
{
    const struct rank *p = a, *q = b;
    return p->key != q->key ? (p->key > q->key) - (p->key < q->key) : (p->i > q->i) - (p->i < q->i);
}

/* By line, then from left to right, a line ending where the next box begins 10 pixels lower. As in
 * the reference, which takes an index for its inverse, each box gets the line of another: of the
 * one whose place from the top is this one's place in the list. That list begins at the bottom, so
 * on most pages the last line comes first. And the scores stay where they were. */
static void sort(struct task_ocr_box *boxes, size_t n, struct task_ocr_box *copy,
                 struct rank *ranks, uint32_t *line)
{
    for (size_t i = 0; i < n; i++)
        ranks[i] = (struct rank){ (double)boxes[i].points[0][1], i };
    qsort(ranks, n, sizeof *ranks, by_key);
    for (size_t i = 0; i < n; i++)
        line[i] = i ? line[i - 1] + (ranks[i].key - ranks[i - 1].key >= 10) : 0;
    for (size_t i = 0; i < n; i++)
        copy[i] = boxes[ranks[i].i];
    for (size_t i = 0; i < n; i++)
        ranks[i].key = line[ranks[i].i] * 1e6 + (double)copy[i].points[0][0];
    for (size_t i = 0; i < n; i++)
        ranks[i].i = i;
    qsort(ranks, n, sizeof *ranks, by_key);
    for (size_t i = 0; i < n; i++)
        memcpy(boxes[i].points, copy[ranks[i].i].points, sizeof boxes->points);
}

enum err_code task_ocr_boxes(const struct ocr_map *map, uint32_t width_px, uint32_t height_px,
                             const struct task_ocr_search *how, struct task_ocr_box **boxes,
                             size_t *n, struct err *err)
{
    struct arena a = { 0 };
    struct finder f = { .map = map, .how = how };
    const size_t n_points = 2 * (size_t)map->height;
    enum err_code rc = ERR_NONE;
    *boxes = NULL;
    *n = 0;
    f.sorted = arena_alloc(&a, n_points, sizeof *f.sorted, err);
    f.hull = arena_alloc(&a, n_points + 1, sizeof *f.hull, err);
    f.rows = arena_alloc(&a, n_points, sizeof *f.rows, err);
    f.ring = arena_alloc(&a, TASK_OCR_BOXES_MAX, sizeof *f.ring, err);
    struct task_ocr_box *copy = arena_alloc(&a, TASK_OCR_BOXES_MAX, sizeof *copy, err);
    struct rank *ranks = arena_alloc(&a, TASK_OCR_BOXES_MAX, sizeof *ranks, err);
    uint32_t *line = arena_alloc(&a, TASK_OCR_BOXES_MAX, sizeof *line, err);
    struct task_ocr_box *found = calloc(TASK_OCR_BOXES_MAX, sizeof *found);
    if (!f.sorted || !f.hull || !f.rows || !f.ring || !copy || !ranks || !line || !found)
        rc = err_set(err, ERR_NOMEM, "lines of text on a map of %u x %u", map->width, map->height);
    if (rc == ERR_NONE)
        rc = task_ocr_outlines(map, how->by_outline, note, &f, err);
    if (rc == ERR_NONE) {
        *n = choose(&f, width_px, height_px, found);
        sort(found, *n, copy, ranks, line);
    }
    arena_clear(&a);
    if (*n)
        *boxes = found;
    else
        free(found);
    return rc;
}
