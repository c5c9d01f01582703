#include <math.h>
#include <stdlib.h>

#include "task/ocr.h"

/* The part of the map that is looked at: rows and columns, both ends within. */
struct window {
    int32_t left, top, right, bottom;
    int32_t *from, *to; /* the rectangle's pixels, by row from top on; from > to: none */
};

static int32_t clamp(float v, uint32_t n)
{
    return v < 0 ? 0 : v < (float)n ? (int32_t)v : (int32_t)n - 1;
}

static struct window window(const struct ocr_map *map, const struct ocr_quad *q, int32_t *rows)
{
    float left = q->x[0], right = left, top = q->y[0], bottom = top;
    for (int i = 1; i < 4; i++) {
        left = fminf(left, q->x[i]);
        right = fmaxf(right, q->x[i]);
        top = fminf(top, q->y[i]);
        bottom = fmaxf(bottom, q->y[i]);
    }
    struct window w = { clamp(floorf(left), map->width),
                        clamp(floorf(top), map->height),
                        clamp(ceilf(right), map->width),
                        clamp(ceilf(bottom), map->height),
                        rows,
                        rows + map->height };
    for (int32_t y = 0; y <= w.bottom - w.top; y++) {
        w.from[y] = INT32_MAX;
        w.to[y] = INT32_MIN;
    }
    return w;
}

static void touch(struct window *w, int32_t x, int32_t y)
{
    if (y < 0 || y > w->bottom - w->top)
        return;
    w->from[y] = x < w->from[y] ? x : w->from[y];
    w->to[y] = x > w->to[y] ? x : w->to[y];
}

/* The pixels of a line as OpenCV draws them: Bresenham's, from the left end on. */
static void draw_side(struct window *w, struct ocr_point a, struct ocr_point b)
{
    if (b.x < a.x) {
        const struct ocr_point p = a;
        a = b;
        b = p;
    }
    const int32_t dx = b.x - a.x, dy = abs(b.y - a.y), down = b.y < a.y ? -1 : 1;
    const bool steep = dy > dx;
    const int32_t major = steep ? dy : dx, minor = steep ? dx : dy;
    int32_t off = major - 2 * minor;
    for (int32_t i = 0; i <= major; i++) {
        const bool aside = off < 0;
        touch(w, a.x, a.y);
        off += (aside ? 2 * major : 0) - 2 * minor;
        a.x += steep ? aside : 1;
        a.y += steep || aside ? down : 0;
    }
}

/* A rectangle is what lies between the outermost pixels that its sides have in a row. */
double task_ocr_score(const struct ocr_map *map, const struct ocr_quad *q, int32_t *rows)
{
    struct window w = window(map, q, rows);
    struct ocr_point at[4];
    for (int i = 0; i < 4; i++)
        at[i] = (struct ocr_point){ (int32_t)(q->x[i] - (float)w.left),
                                    (int32_t)(q->y[i] - (float)w.top) };
    for (int i = 0; i < 4; i++)
        draw_side(&w, at[i], at[(i + 1) % 4]);
    const int32_t last = w.right - w.left;
    double sum = 0;
    int64_t n = 0;
    for (int32_t y = 0; y <= w.bottom - w.top; y++) {
        const float *row = map->p + (size_t)(w.top + y) * map->width + w.left;
        const int32_t from = w.from[y] > 0 ? w.from[y] : 0, to = w.to[y] < last ? w.to[y] : last;
        for (int32_t x = from; x <= to; x++)
            sum += (double)row[x];
        n += to >= from ? to - from + 1 : 0;
    }
    return n ? sum / (double)n : 0;
}

/* What lies within is what a line from the left has an odd number of crossings before. */
double task_ocr_outline_score(const struct ocr_map *map, const struct ocr_outline *o)
{
    double sum = 0;
    int64_t n = 0;
    for (int32_t y = o->top; y <= o->bottom; y++) {
        const size_t row = (size_t)y * map->width;
        bool within = false;
        for (int32_t x = o->left[y]; x <= o->right[y]; x++) {
            const uint8_t mark = o->marks[row + (size_t)x];
            if (within || mark & OCR_ON) {
                sum += (double)map->p[row + (size_t)x];
                n++;
            }
            within ^= (mark & OCR_CROSSES) != 0;
        }
    }
    return n ? sum / (double)n : 0;
}
