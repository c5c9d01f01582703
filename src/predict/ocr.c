#include <math.h>
#include <string.h>

#include "predict/job.h"

/* What the reference takes where a request does not say. */
static const double detect_score = 0.5, read_score = 0.9, max_resolution = 736;

/* What a detection without a recognition is answered: boxes as four points each, and scores. */
static enum err_code put_detection(struct buf *out, const struct task_ocr_box *b, size_t n,
                                   struct err *err)
{
    enum err_code rc = buf_puts(out, "{\"boxes\":[", err);
    for (size_t i = 0; i < n && rc == ERR_NONE; i++) {
        rc = buf_puts(out, i ? ",[" : "[", err);
        for (int k = 0; k < 4 && rc == ERR_NONE; k++)
            rc = buf_printf(out, err, "%s[%.1f,%.1f]", k ? "," : "", (double)b[i].points[k][0],
                            (double)b[i].points[k][1]);
        if (rc == ERR_NONE)
            rc = buf_puts(out, "]", err);
    }
    if (rc == ERR_NONE)
        rc = buf_puts(out, "],\"scores\":[", err);
    for (size_t i = 0; i < n && rc == ERR_NONE; i++)
        rc = buf_printf(out, err, "%s%.9g", i ? "," : "", (double)b[i].score);
    return rc == ERR_NONE ? buf_puts(out, "]}", err) : rc;
}

enum err_code ocr_detect(struct job *j, struct predict_bundle *b, struct err *err)
{
    const struct predict_entry *e = j->entry;
    const struct task_ocr_search how = {
        .max_side_px = isnan(e->max_resolution) ? max_resolution : e->max_resolution,
        .min_score = isnan(e->min_score) ? detect_score : e->min_score,
        .by_outline = e->slow_score,
    };
    enum err_code rc =
        task_ocr_detect(b->ocr_detector, j->image, &how, &j->boxes, &j->n_boxes, err);
    return rc == ERR_NONE ? put_detection(&j->json, j->boxes, j->n_boxes, err) : rc;
}

/* The columns of the answer: a number or more a line. */
enum column { BOX, BOX_SCORE, TEXT_SCORE, TEXT };

static enum err_code put_value(struct job *j, enum column c, const struct task_ocr_box *box,
                               const struct task_ocr_line *line, struct err *err)
{
    struct buf *out = &j->json;
    if (c == TEXT)
        return json_put_string(out, line->text, strlen(line->text), err);
    if (c != BOX)
        return buf_printf(out, err, "%.9g", c == BOX_SCORE ? (double)box->score : line->score);
    enum err_code rc = ERR_NONE;
    for (int k = 0; k < 4 && rc == ERR_NONE; k++)
        rc = buf_printf(out, err, "%s%.9g,%.9g", k ? "," : "",
                        (double)(box->points[k][0] / (float)j->image->width_px),
                        (double)(box->points[k][1] / (float)j->image->height_px));
    return rc;
}

static enum err_code put_column(struct job *j, const char *name, enum column c,
                                const struct task_ocr_line *lines, struct err *err)
{
    const double least = isnan(j->entry->min_score) ? read_score : j->entry->min_score;
    const char *comma = "";
    enum err_code rc = buf_printf(&j->json, err, "%s\"%s\":[", c == BOX ? "{" : ",", name);
    for (size_t i = 0; i < j->first->n_boxes && rc == ERR_NONE; i++) {
        if (!(lines[i].score > least))
            continue;
        rc = buf_puts(&j->json, comma, err);
        if (rc == ERR_NONE)
            rc = put_value(j, c, &j->first->boxes[i], &lines[i], err);
        comma = ",";
    }
    return rc == ERR_NONE ? buf_puts(&j->json, "]", err) : rc;
}

enum err_code ocr_read(struct job *j, struct predict_bundle *b, struct err *err)
{
    const size_t n = j->first->n_boxes;
    struct arena arena = { 0 };
    struct task_ocr_line *lines = arena_alloc(&arena, n + 1, sizeof *lines, err);
    enum err_code rc = lines ? ERR_NONE : ERR_NOMEM;
    if (rc == ERR_NONE && n)
        rc = task_ocr_read(b->ocr_recognizer, j->image, j->first->boxes, n, lines, &arena,
                           j->in->cancel, err);
    if (rc == ERR_NONE)
        rc = put_column(j, "box", BOX, lines, err);
    if (rc == ERR_NONE)
        rc = put_column(j, "text", TEXT, lines, err);
    if (rc == ERR_NONE)
        rc = put_column(j, "boxScore", BOX_SCORE, lines, err);
    if (rc == ERR_NONE)
        rc = put_column(j, "textScore", TEXT_SCORE, lines, err);
    arena_clear(&arena);
    return rc == ERR_NONE ? buf_puts(&j->json, "}", err) : rc;
}
