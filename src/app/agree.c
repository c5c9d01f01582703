#include "app/agree.h"

#include <math.h>
#include <string.h>

#include "base/arena.h"
#include "base/json.h"

struct vector {
    double *v;
    size_t n;
};

/* A vector, a face or a line. */
struct thing {
    struct vector vector;
    double box[4]; /* x1 y1 x2 y2, of a line the corners of what is around it */
    double score;
    const char *text; /* n_text bytes */
    size_t n_text;
};

struct answer {
    struct json *json;
    struct arena arena;
    int64_t height_px, width_px; /* 0 for a text */
    struct thing *things;
    size_t n;
};

double agree_share(enum agree_kind kind)
{
    return kind == AGREE_FACES ? AGREE_FACES_SHARE : kind == AGREE_OCR ? AGREE_LINES_SHARE : 1;
}

/* ---- an answer read ---- */

static enum err_code not_one(const char *what, struct err *err)
{
    return err_set(err, ERR_INVALID, "the answer has no %s as such a service's has", what);
}

/* Vectors are text that holds an array. */
static enum err_code read_vector(struct arena *a, const struct json *text, struct vector *out,
                                 struct err *err)
{
    size_t n;
    struct json *array = NULL;
    const char *s = json_as_string(text, &n);
    if (!s || json_parse(s, n, &array, NULL) != ERR_NONE || !json_len(array)) {
        json_destroy(array);
        return not_one("vector", err);
    }
    out->n = json_len(array);
    out->v = arena_alloc(a, out->n, sizeof *out->v, err);
    enum err_code rc = out->v ? ERR_NONE : ERR_NOMEM;
    for (size_t i = 0; i < out->n && rc == ERR_NONE; i++)
        if (!json_as_f64(json_at(array, i), &out->v[i]))
            rc = not_one("vector of numbers", err);
    json_destroy(array);
    return rc;
}

static enum err_code make_things(struct answer *a, size_t n, struct err *err)
{
    if (n > AGREE_THINGS_MAX)
        return err_set(err, ERR_LIMIT, "the answer has %zu faces or lines, the limit is %d", n,
                       AGREE_THINGS_MAX);
    a->n = n;
    a->things = arena_alloc(&a->arena, n + 1, sizeof *a->things, err);
    return a->things ? ERR_NONE : ERR_NOMEM;
}

static enum err_code read_face(struct answer *a, const struct json *face, struct thing *out,
                               struct err *err)
{
    static const char *const sides[] = { "x1", "y1", "x2", "y2" };
    const struct json *box = json_get(face, "boundingBox");
    for (int i = 0; i < 4; i++)
        if (!json_as_f64(json_get(box, sides[i]), &out->box[i]))
            return not_one("box of a face", err);
    if (!json_as_f64(json_get(face, "score"), &out->score))
        return not_one("score of a face", err);
    return read_vector(&a->arena, json_get(face, "embedding"), &out->vector, err);
}

static enum err_code read_faces(struct answer *a, const struct json *faces, struct err *err)
{
    if (!json_is_array(faces))
        return not_one("faces", err);
    enum err_code rc = make_things(a, json_len(faces), err);
    for (size_t i = 0; i < a->n && rc == ERR_NONE; i++)
        rc = read_face(a, json_at(faces, i), &a->things[i], err);
    return rc;
}

/* boxes: four points of a line after another, x and y. */
static enum err_code read_line(const struct json *boxes, const struct json *text, size_t i,
                               struct thing *out, struct err *err)
{
    double p[8];
    for (size_t k = 0; k < 8; k++)
        if (!json_as_f64(json_at(boxes, 8 * i + k), &p[k]))
            return not_one("box of a line", err);
    memcpy(out->box, (double[]){ p[0], p[1], p[0], p[1] }, sizeof out->box);
    for (int k = 2; k < 8; k++) {
        out->box[k % 2] = fmin(out->box[k % 2], p[k]);
        out->box[2 + k % 2] = fmax(out->box[2 + k % 2], p[k]);
    }
    out->text = json_as_string(json_at(text, i), &out->n_text);
    return out->text ? ERR_NONE : not_one("text of a line", err);
}

static enum err_code read_lines(struct answer *a, const struct json *ocr, struct err *err)
{
    const struct json *boxes = json_get(ocr, "box"), *text = json_get(ocr, "text");
    if (!json_is_array(boxes) || !json_is_array(text))
        return not_one("lines of text", err);
    enum err_code rc = make_things(a, json_len(text), err);
    for (size_t i = 0; i < a->n && rc == ERR_NONE; i++)
        rc = read_line(boxes, text, i, &a->things[i], err);
    return rc;
}

static enum err_code read_clip(struct answer *a, const struct json *clip, struct err *err)
{
    enum err_code rc = make_things(a, 1, err);
    return rc == ERR_NONE ? read_vector(&a->arena, clip, &a->things[0].vector, err) : rc;
}

static enum err_code read_answer(enum agree_kind kind, const struct buf *b, struct answer *a,
                                 struct err *err)
{
    if (!b->len || json_parse(b->data, b->len, &a->json, NULL) != ERR_NONE)
        return err_set(err, ERR_INVALID, "the answer is not JSON");
    if (kind != AGREE_TEXTUAL && (!json_as_i64(json_get(a->json, "imageHeight"), &a->height_px) ||
                                  !json_as_i64(json_get(a->json, "imageWidth"), &a->width_px)))
        return not_one("size of the picture", err);
    switch (kind) {
    case AGREE_FACES: return read_faces(a, json_get(a->json, "facial-recognition"), err);
    case AGREE_OCR: return read_lines(a, json_get(a->json, "ocr"), err);
    default: return read_clip(a, json_get(a->json, "clip"), err);
    }
}

static void answer_clear(struct answer *a)
{
    arena_clear(&a->arena);
    json_destroy(a->json);
}

/* ---- two compared ---- */

static double norm(const struct vector *a)
{
    double sum = 0;
    for (size_t i = 0; i < a->n; i++)
        sum += a->v[i] * a->v[i];
    return sqrt(sum);
}

/* 0 where they are not of one length, or one is of zeros. */
static double cosine(const struct vector *a, const struct vector *b)
{
    double sum = 0, norms = norm(a) * norm(b);
    for (size_t i = 0; i < a->n && a->n == b->n; i++)
        sum += a->v[i] * b->v[i];
    return norms > 0 && isfinite(norms) ? sum / norms : 0;
}

static double area(const double b[4])
{
    return (b[2] - b[0]) * (b[3] - b[1]);
}

static double iou(const double a[4], const double b[4])
{
    double w = fmin(a[2], b[2]) - fmax(a[0], b[0]), h = fmin(a[3], b[3]) - fmax(a[1], b[1]);
    return w > 0 && h > 0 ? w * h / (area(a) + area(b) - w * h) : 0;
}

static double note_cosine(struct agree *sum, const struct thing *a, const struct thing *b)
{
    double c = cosine(&a->vector, &b->vector);
    sum->n_cosines++;
    sum->sum_cosine += c;
    sum->min_cosine = fmin(sum->min_cosine, c);
    return c;
}

static bool alike_vectors(const struct thing *here, const struct thing *there, double min_cosine,
                          struct agree *sum)
{
    double a = norm(&here->vector), b = norm(&there->vector);
    double apart = a > 0 || b > 0 ? fabs(a - b) / fmax(a, b) : 0;
    sum->max_norm = fmax(sum->max_norm, apart);
    return note_cosine(sum, here, there) >= min_cosine && apart <= AGREE_NORM;
}

/* Their face among ours: the one whose box is nearest. */
static bool alike_face(const struct answer *here, const struct thing *face, struct agree *sum)
{
    const struct thing *best = NULL;
    double at = 0;
    for (size_t i = 0; i < here->n; i++) {
        double is = iou(here->things[i].box, face->box);
        if (is > at) {
            best = &here->things[i];
            at = is;
        }
    }
    return at >= AGREE_FACE_IOU && note_cosine(sum, best, face) >= AGREE_FACE_COSINE &&
           fabs(best->score - face->score) <= AGREE_FACE_SCORE;
}

static bool alike_line(const struct answer *here, const struct thing *line)
{
    for (size_t i = 0; i < here->n; i++) {
        const struct thing *l = &here->things[i];
        if (l->n_text == line->n_text && !memcmp(l->text, line->text, l->n_text) &&
            iou(l->box, line->box) >= AGREE_LINE_IOU)
            return true;
    }
    return false;
}

static void compare(enum agree_kind kind, double min_cosine, const struct answer *here,
                    const struct answer *there, struct agree *sum)
{
    sum->n_sizes += here->height_px != there->height_px || here->width_px != there->width_px;
    sum->n += here->n > there->n ? here->n : there->n;
    for (size_t i = 0; i < there->n; i++) {
        const struct thing *t = &there->things[i];
        sum->n_alike += kind == AGREE_FACES ? alike_face(here, t, sum)
                        : kind == AGREE_OCR ? alike_line(here, t)
                                            : alike_vectors(here->things, t, min_cosine, sum);
    }
}

enum err_code agree_compare(enum agree_kind kind, double min_cosine, const struct buf *here,
                            const struct buf *there, struct agree *sum, struct err *err)
{
    struct answer ours = { 0 }, theirs = { 0 };
    enum err_code rc = read_answer(kind, here, &ours, err);
    if (rc == ERR_NONE)
        rc = read_answer(kind, there, &theirs, err);
    if (rc == ERR_NONE)
        compare(kind, min_cosine, &ours, &theirs, sum);
    answer_clear(&ours);
    answer_clear(&theirs);
    return rc;
}
