/* A rectangle grown by a distance, its corners rounded, in Clipper 6's integers: the detector was
 * trained on lines that were shrunk by it. */
#include <math.h>

#include "task/ocr.h"

enum { SIDES = 4 };
static const double unclip_ratio = 1.6;
static const double arc_tolerance = 0.25; /* how far the polygon may lie off the arc */

struct arc {
    double distance;
    double sine, cosine; /* of a step */
    double steps_per_radian;
};

struct path {
    struct ocr_point *at;
    size_t n;
};

/* RapidOCR's unclip(): area * ratio / length, summed as GEOS does, since an offset of exactly half
 * a pixel is common and its last bit decides where it is rounded to. */
static double distance(const struct ocr_quad *q)
{
    double area = 0, length = 0;
    for (int i = 0; i < SIDES; i++) {
        const int before = (i + SIDES - 1) % SIDES, next = (i + 1) % SIDES;
        const double dx = (double)q->x[next] - q->x[i], dy = (double)q->y[next] - q->y[i];
        area += ((double)q->x[i] - q->x[0]) * ((double)q->y[before] - q->y[next]);
        length += sqrt(dx * dx + dy * dy);
    }
    return length > 0 ? fabs(area / 2) * unclip_ratio / length : 0;
}

static struct arc make_arc(double distance)
{
    const double off = distance * 0.25 < arc_tolerance ? distance * 0.25 : arc_tolerance;
    double steps = M_PI / acos(1 - off / distance);
    steps = steps > distance * M_PI ? distance * M_PI : steps;
    return (struct arc){ distance, sin(2 * M_PI / steps), cos(2 * M_PI / steps),
                         steps / (2 * M_PI) };
}

static int32_t nearest(double v)
{
    return (int32_t)(v < 0 ? v - 0.5 : v + 0.5);
}

static void put(struct path *p, struct ocr_point at, double x, double y, double distance)
{
    if (p->n < OCR_ROUND_MAX)
        p->at[p->n++] =
            (struct ocr_point){ nearest(at.x + x * distance), nearest(at.y + y * distance) };
}

struct normal {
    double x, y;
};

static struct normal normal(struct ocr_point a, struct ocr_point b)
{
    const double dx = b.x - a.x, dy = b.y - a.y, f = 1 / sqrt(dx * dx + dy * dy);
    return (struct normal){ dy * f, -dx * f };
}

/* The corner at `at` between sides whose normals are n and m. */
static void round_corner(struct path *p, struct ocr_point at, struct normal n, struct normal m,
                         const struct arc *arc)
{
    double sine = n.x * m.y - m.x * n.y;
    const double cosine = n.x * m.x + n.y * m.y;
    if (fabs(sine * arc->distance) < 1 && cosine > 0) {
        put(p, at, n.x, n.y, arc->distance); /* as good as straight */
        return;
    }
    sine = sine > 1 ? 1 : sine < -1 ? -1 : sine;
    const int32_t steps = nearest(arc->steps_per_radian * fabs(atan2(sine, cosine)));
    for (int32_t i = 0; i < (steps > 1 ? steps : 1); i++) {
        put(p, at, n.x, n.y, arc->distance);
        n = (struct normal){ n.x * arc->cosine - arc->sine * n.y,
                             n.x * arc->sine + n.y * arc->cosine };
    }
    put(p, at, m.x, m.y, arc->distance);
}

/* Corners as whole numbers, cut off as the reference's conversion does, less those that coincide.
 */
static size_t whole_corners(const struct ocr_quad *q, struct ocr_point out[SIDES])
{
    size_t n = 0;
    for (int i = 0; i < SIDES; i++) {
        const struct ocr_point p = { (int32_t)q->x[i], (int32_t)q->y[i] };
        if (!n || p.x != out[n - 1].x || p.y != out[n - 1].y)
            out[n++] = p;
    }
    while (n > 1 && out[n - 1].x == out[0].x && out[n - 1].y == out[0].y)
        n--;
    return n;
}

size_t task_ocr_grow(const struct ocr_quad *q, struct ocr_point *out)
{
    struct ocr_point at[SIDES];
    struct normal normals[SIDES];
    struct path p = { out, 0 };
    const double d = distance(q);
    const size_t n = whole_corners(q, at);
    if (n < 3 || !(d > 0))
        return 0;
    const struct arc arc = make_arc(d);
    for (size_t i = 0; i < n; i++)
        normals[i] = normal(at[i], at[(i + 1) % n]);
    for (size_t i = 0; i < n; i++)
        round_corner(&p, at[i], normals[(i + n - 1) % n], normals[i], &arc);
    return p.n;
}
