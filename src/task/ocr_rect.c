#include <float.h>
#include <math.h>

#include "task/ocr.h"

/* Which side of the line from a to b is c on: > 0 clockwise. */
static int64_t side(struct ocr_point a, struct ocr_point b, struct ocr_point c)
{
    return ((int64_t)b.x - a.x) * ((int64_t)c.y - a.y) -
           ((int64_t)b.y - a.y) * ((int64_t)c.x - a.x);
}

static size_t push(struct ocr_point *hull, size_t n, size_t floor, struct ocr_point p)
{
    while (n > floor && side(hull[n - 2], hull[n - 1], p) <= 0)
        n--;
    hull[n] = p;
    return n + 1;
}

/* Andrew's chain (1979), by rows instead of columns. */
size_t task_ocr_hull(const struct ocr_point *sorted, size_t n, struct ocr_point *hull)
{
    size_t k = 0;
    for (size_t i = 0; i < n; i++)
        k = push(hull, k, 1, sorted[i]);
    const size_t down = k;
    for (size_t i = n - 1; i-- > 0;)
        k = push(hull, k, down, sorted[i]);
    return k > 1 ? k - 1 : k; /* the first came again */
}

/* A rectangle's direction and size while the calipers turn. */
struct caliper {
    float a, b; /* the direction of its first side */
    float width, height;
    size_t left, bottom; /* corners of the hull that it touches */
};

struct edges {
    const struct ocr_point *at; /* [n], counted from first */
    size_t n, first;
};

static struct ocr_point corner(const struct edges *e, size_t i)
{
    return e->at[(e->first + i) % e->n];
}

static void edge(const struct edges *e, size_t i, float *x, float *y)
{
    const struct ocr_point p = corner(e, i), q = corner(e, i + 1);
    *x = (float)(q.x - p.x);
    *y = (float)(q.y - p.y);
}

/* The extreme corners: smallest y, largest x, largest y, smallest x, the first of equal ones. */
static void extremes(const struct edges *e, size_t touch[4])
{
    for (size_t i = 0; i < 4; i++)
        touch[i] = 0;
    for (size_t i = 1; i < e->n; i++) {
        const struct ocr_point p = corner(e, i);
        touch[0] = p.y < corner(e, touch[0]).y ? i : touch[0];
        touch[1] = p.x > corner(e, touch[1]).x ? i : touch[1];
        touch[2] = p.y > corner(e, touch[2]).y ? i : touch[2];
        touch[3] = p.x < corner(e, touch[3]).x ? i : touch[3];
    }
}

/* Turn to the next edge, that of the four touched which needs the smallest turn. */
static void turn(const struct edges *e, size_t touch[4], struct caliper *c)
{
    float x[4], y[4]; /* the four edges, turned to lie beside the first */
    size_t next = 0;
    for (size_t i = 0; i < 4; i++) {
        float u, v;
        edge(e, touch[i], &u, &v);
        x[i] = i == 0 ? u : i == 1 ? v : i == 2 ? -u : -v;
        y[i] = i == 0 ? v : i == 1 ? -u : i == 2 ? -v : u;
        if (i && y[i] * x[next] - x[i] * y[next] < 0)
            next = i;
    }
    const double dx = x[next], dy = y[next];
    const float scale = (float)(1.0 / sqrt(dx * dx + dy * dy));
    c->a = x[next] * scale;
    c->b = y[next] * scale;
    touch[next] = (touch[next] + 1) % e->n;
}

static void measure(const struct edges *e, const size_t touch[4], struct caliper *c)
{
    const struct ocr_point bottom = corner(e, touch[0]), right = corner(e, touch[1]);
    const struct ocr_point top = corner(e, touch[2]), left = corner(e, touch[3]);
    c->width = (float)(right.x - left.x) * c->a + (float)(right.y - left.y) * c->b;
    c->height = -(float)(top.x - bottom.x) * c->b + (float)(top.y - bottom.y) * c->a;
    c->left = touch[3];
    c->bottom = touch[0];
}

/* The smallest rectangle has a side on an edge of the hull (Freeman and Shapira 1975), so one for
 * each edge is tried. Of equal ones the last is taken. */
static struct caliper smallest(const struct edges *e)
{
    struct caliper c = { .a = 1 }, best = c;
    float least = FLT_MAX;
    size_t touch[4];
    extremes(e, touch);
    for (size_t i = 0; i < e->n; i++) {
        turn(e, touch, &c);
        measure(e, touch, &c);
        const float area = c.width * c.height;
        if (area <= least) {
            least = area;
            best = c;
        }
    }
    return best;
}

/* As OpenCV's RotatedRect: centre, size, and an angle from -90 to less than 0 degrees. */
struct rotated {
    float x, y, width, height, angle;
};

static struct rotated rotated(const struct edges *e, const struct caliper *c)
{
    const struct ocr_point l = corner(e, c->left), m = corner(e, c->bottom);
    const float on_a = c->a * (float)l.x + (float)l.y * c->b;
    const float on_b = -c->b * (float)m.x + (float)m.y * c->a;
    const float scale = 1.0f / (c->a * c->a - -c->b * c->b);
    const float x = (on_a * c->a - on_b * c->b) * scale, y = (c->a * on_b - -c->b * on_a) * scale;
    const float ux = c->a * c->width, uy = c->b * c->width;
    const float vx = -c->b * c->height, vy = c->a * c->height;
    const double u = sqrt((double)ux * ux + (double)uy * uy);
    const double v = sqrt((double)vx * vx + (double)vy * vy);
    const double angle = atan2(uy, ux) * 180 / M_PI;
    struct rotated r = { x + (ux + vx) * 0.5f, y + (uy + vy) * 0.5f, (float)u, (float)v,
                         (float)angle };
    if (angle >= 90)
        r.angle = (float)(angle - 180);
    else if (angle >= 0)
        r = (struct rotated){ r.x, r.y, r.height, r.width, (float)(angle - 90) };
    return r;
}

static void corners(const struct rotated *r, float x[4], float y[4])
{
    const double angle = r->angle * M_PI / 180;
    const float b = (float)cos(angle) * 0.5f, a = (float)sin(angle) * 0.5f;
    for (int i = 0; i < 4; i++) {
        const float h = i == 0 || i == 3 ? -r->height : r->height, w = i < 2 ? -r->width : r->width;
        x[i] = r->x + a * h + b * w;
        y[i] = r->y - b * h + a * w;
    }
}

/* The two leftmost are the left ones, the upper of each pair the top one: RapidOCR's
 * get_mini_boxes(). */
static void arrange(const float x[4], const float y[4], struct ocr_quad *q)
{
    int by_x[4] = { 0, 1, 2, 3 };
    for (int i = 1; i < 4; i++)
        for (int k = i; k > 0 && x[by_x[k]] < x[by_x[k - 1]]; k--) {
            const int other = by_x[k];
            by_x[k] = by_x[k - 1];
            by_x[k - 1] = other;
        }
    const bool left = y[by_x[1]] > y[by_x[0]], right = y[by_x[3]] > y[by_x[2]];
    const int order[4] = { by_x[!left], by_x[2 + !right], by_x[2 + right], by_x[left] };
    for (int i = 0; i < 4; i++) {
        q->x[i] = x[order[i]];
        q->y[i] = y[order[i]];
    }
}

float task_ocr_rect(const struct ocr_point *hull, size_t n, size_t first, struct ocr_quad *out)
{
    const struct edges e = { hull, n, first };
    const struct caliper c = smallest(&e);
    const struct rotated r = rotated(&e, &c);
    float x[4], y[4];
    corners(&r, x, y);
    arrange(x, y, out);
    return r.width < r.height ? r.width : r.height;
}
