#include <stdlib.h>
#include <string.h>

#include "task/ocr.h"

/* A pixel of the map: no text, text, text on a border that was followed, and the same where the
 * border is met from within, after which no hole begins. */
enum { NOTHING, TEXT, SEEN, RIGHT_SEEN = -1 };
static const float threshold = 0.3f;

struct tracer {
    int8_t *px; /* [height + 2, stride], with a frame of nothing */
    ptrdiff_t stride;
    ptrdiff_t step[8]; /* to the neighbours, from the right one on against the clock */
    struct ocr_outline outline;
};

/* Text is what is probable enough, made wider by a pixel to the right and below (OpenCV's dilate
 * with a square of 2): one pixel says yes for four. */
static void mark(struct tracer *t, const struct ocr_map *map)
{
    const float *p = map->p;
    for (uint32_t y = 0; y < map->height; y++) {
        int8_t *row = t->px + ((ptrdiff_t)y + 1) * t->stride + 1;
        int8_t *below = y + 1 < map->height ? row + t->stride : row;
        for (uint32_t x = 0; x < map->width; x++)
            if (*p++ > threshold) {
                const uint32_t next = x + 1 < map->width ? x + 1 : x;
                row[x] = row[next] = below[x] = below[next] = TEXT;
            }
    }
}

/* Rows grow by at most one at a time, since the border's pixels touch. */
static void add(struct ocr_outline *o, struct ocr_point p)
{
    if (p.y < o->top || p.y > o->bottom) {
        o->left[p.y] = o->right[p.y] = p.x;
        o->top = p.y < o->top ? p.y : o->top;
        o->bottom = p.y > o->bottom ? p.y : o->bottom;
    } else if (p.x < o->left[p.y]) {
        o->left[p.y] = p.x;
    } else if (p.x > o->right[p.y]) {
        o->right[p.y] = p.x;
    }
}

/* The way on from i: the first text that a turn against the clock meets after direction s. */
static unsigned turn(const struct tracer *t, const int8_t *i, unsigned s)
{
    do
        s = (s + 1) & 7;
    while (i[t->step[s]] == NOTHING);
    return s;
}

/* The outline goes from a to b, its neighbour. */
static void mark_step(const struct tracer *t, struct ocr_point a, struct ocr_point b)
{
    if (!t->outline.marks)
        return;
    const struct ocr_point upper = a.y < b.y ? a : b;
    t->outline.marks[a.y * (t->stride - 2) + a.x] |= OCR_ON;
    if (a.y != b.y)
        t->outline.marks[upper.y * (t->stride - 2) + upper.x] ^= OCR_CROSSES;
}

static void clear_marks(const struct tracer *t)
{
    const struct ocr_outline *o = &t->outline;
    for (int32_t y = o->top; o->marks && y <= o->bottom; y++)
        memset(o->marks + y * (t->stride - 2) + o->left[y], 0,
               (size_t)(o->right[y] - o->left[y]) + 1);
}

/* From i0, at outline.start, all around and back. */
static void follow(struct tracer *t, int8_t *i0)
{
    static const struct ocr_point move[8] = { { 1, 0 },  { 1, -1 }, { 0, -1 }, { -1, -1 },
                                              { -1, 0 }, { -1, 1 }, { 0, 1 },  { 1, 1 } };
    struct ocr_outline *o = &t->outline;
    struct ocr_point p = o->start;
    const unsigned from = o->hole ? 0 : 4;
    unsigned s = from;
    o->top = o->bottom = p.y;
    o->left[p.y] = o->right[p.y] = p.x;
    do
        s = (s - 1) & 7;
    while (i0[t->step[s]] == NOTHING && s != from);
    if (s == from) { /* a pixel on its own */
        *i0 = RIGHT_SEEN;
        return;
    }
    const int8_t *last = i0 + t->step[s];
    for (int8_t *i = i0;;) {
        const unsigned came = s;
        s = turn(t, i, s);
        if (s - 1 < came) /* nothing lies to its right */
            *i = RIGHT_SEEN;
        else if (*i == TEXT)
            *i = SEEN;
        add(o, p);
        int8_t *next = i + t->step[s];
        const struct ocr_point to = { p.x + move[s].x, p.y + move[s].y };
        mark_step(t, p, to);
        if (next == i0 && i == last)
            return;
        p = to;
        i = next;
        s = (s + 4) & 7;
    }
}

static void scan(struct tracer *t, const struct ocr_map *map, ocr_outline_fn fn, void *ctx)
{
    for (uint32_t y = 0; y < map->height; y++) {
        int8_t *row = t->px + ((ptrdiff_t)y + 1) * t->stride + 1, before = NOTHING;
        for (int32_t x = 0; x < (int32_t)map->width; x++) {
            const bool outer = before == NOTHING && row[x] == TEXT;
            const bool hole = before > NOTHING && row[x] == NOTHING;
            if (outer || hole) {
                t->outline.hole = hole;
                t->outline.start = (struct ocr_point){ hole ? x - 1 : x, (int32_t)y };
                follow(t, &row[t->outline.start.x]);
                fn(&t->outline, ctx);
                clear_marks(t);
            }
            before = row[x];
        }
    }
}

enum err_code task_ocr_outlines(const struct ocr_map *map, bool marks, ocr_outline_fn fn, void *ctx,
                                struct err *err)
{
    const ptrdiff_t w = (ptrdiff_t)map->width + 2;
    struct tracer t = { .stride = w, .step = { 1, 1 - w, -w, -1 - w, -1, w - 1, w, w + 1 } };
    int32_t *rows = calloc(map->height, 2 * sizeof *rows);
    t.px = calloc((size_t)w, (size_t)map->height + 2);
    t.outline.marks = marks ? calloc(map->width, map->height) : NULL;
    const bool ok = t.px && rows && (t.outline.marks || !marks);
    if (ok) {
        t.outline.left = rows;
        t.outline.right = rows + map->height;
        mark(&t, map);
        scan(&t, map, fn, ctx);
    }
    free(t.px);
    free(rows);
    free(t.outline.marks);
    return ok ? ERR_NONE : err_set(err, ERR_NOMEM, "a map of %u x %u", map->width, map->height);
}
