#include <math.h>
#include <stdlib.h>

#include "task/network.h"
#include "task/ocr.h"

struct task_ocr_recognizer {
    struct infer_session *session;
    struct ocr_alphabet alphabet;
    size_t batch;
};

static bool takes_lines(const struct infer_session *s)
{
    const struct infer_port *x = infer_input(s, 0);
    return infer_n_inputs(s) == 1 && x->type == INFER_F32 && x->n_dims == 4 && x->dims[1] == 3 &&
           (x->dims[2] < 0 || x->dims[2] == OCR_LINE_PX) && x->dims[3] < 0;
}

static bool gives_steps(const struct task_ocr_recognizer *r)
{
    const struct infer_session *s = r->session;
    const struct infer_port *y = infer_n_outputs(s) ? infer_output(s, 0) : NULL;
    return y && y->type == INFER_F32 && y->n_dims == 3 &&
           (y->dims[2] < 0 || y->dims[2] == (int64_t)r->alphabet.n);
}

static enum err_code open_alphabet(struct task_ocr_recognizer *r, const struct model_folder *f,
                                   struct err *err)
{
    char *text;
    enum err_code rc = infer_metadata(r->session, "character", &text, err);
    if (rc == ERR_NONE && !text)
        rc = err_set(err, ERR_UNSUPPORTED,
                     "%s: the recognition network does not say which characters it knows: no "
                     "\"character\" in its metadata",
                     f->dir);
    return rc == ERR_NONE ? task_ocr_alphabet_init(&r->alphabet, text, err) : rc;
}

static enum err_code check_ports(const struct task_ocr_recognizer *r, const struct model_folder *f,
                                 struct err *err)
{
    if (takes_lines(r->session) && gives_steps(r))
        return ERR_NONE;
    return err_set(err, ERR_UNSUPPORTED,
                   "%s: the recognition network is not as PP-OCR's: one f32 [n, 3, %d, width] of "
                   "any width; f32 [n, steps, %zu]",
                   f->dir, OCR_LINE_PX, r->alphabet.n);
}

enum err_code task_ocr_recognizer_open(struct task_ocr_recognizer **out, struct infer *in,
                                       const struct model_folder *f, size_t max_batch,
                                       struct err *err)
{
    *out = NULL;
    struct task_ocr_recognizer *r = calloc(1, sizeof *r);
    if (!r)
        return err_set(err, ERR_NOMEM, "%s", f->dir);
    r->batch = max_batch ? max_batch : OCR_BATCH_DEFAULT;
    enum err_code rc = task_network_open(&r->session, in, f, MODEL_RECOGNITION, NULL, err);
    if (rc == ERR_NONE)
        rc = open_alphabet(r, f, err);
    if (rc == ERR_NONE)
        rc = check_ports(r, f, err);
    if (rc == ERR_NONE)
        *out = r;
    else
        task_ocr_recognizer_close(r);
    return rc;
}

void task_ocr_recognizer_close(struct task_ocr_recognizer *r)
{
    if (!r)
        return;
    infer_session_close(r->session);
    task_ocr_alphabet_clear(&r->alphabet);
    free(r);
}

struct line {
    struct ocr_crop crop;
    size_t i; /* of the box */
};

static int by_ratio(const void *a, const void *b)
{
    const struct line *p = a, *q = b;
    const double x = task_ocr_crop_ratio(&p->crop), y = task_ocr_crop_ratio(&q->crop);
    return x != y ? (x > y) - (x < y) : (p->i > q->i) - (p->i < q->i);
}

/* One read of a picture: where its lines go. */
struct reading {
    const struct task_ocr_recognizer *r;
    const struct image *img;
    float *tensor; /* [OCR_LINE_MAX_PX * OCR_LINE_PX * 3] */
    struct task_ocr_line *out;
    struct arena *arena;
    const atomic_bool *cancel;
};

static enum err_code spell(const struct reading *to, const struct infer_tensor *y,
                           const struct line *lines, size_t n, struct err *err)
{
    const struct ocr_alphabet *a = &to->r->alphabet;
    if (y->type != INFER_F32 || y->n_dims != 3 || y->dims[0] != (int64_t)n ||
        y->dims[2] != (int64_t)a->n)
        return err_set(err, ERR_CORRUPT,
                       "the text recognition network's output is not f32 [%zu, steps, %zu]", n,
                       a->n);
    const size_t n_steps = (size_t)y->dims[1];
    enum err_code rc = ERR_NONE;
    for (size_t i = 0; i < n && rc == ERR_NONE; i++)
        rc = task_ocr_spell(a, (const float *)y->data + i * n_steps * a->n, n_steps,
                            &to->out[lines[i].i], to->arena, err);
    return rc;
}

/* n lines in one run of the network, width_px each. */
static enum err_code read_some(const struct reading *to, const struct line *lines, size_t n,
                               uint32_t width_px, struct err *err)
{
    const size_t len = 3 * (size_t)OCR_LINE_PX * width_px;
    const struct infer_tensor x = { .type = INFER_F32,
                                    .n_dims = 4,
                                    .dims = { (int64_t)n, 3, OCR_LINE_PX, width_px },
                                    .data = to->tensor };
    struct infer_tensor y = { 0 };
    enum err_code rc = task_check_cancel(to->cancel, err);
    for (size_t i = 0; i < n && rc == ERR_NONE; i++)
        rc = task_ocr_crop_feed(to->img, &lines[i].crop, width_px, to->tensor + i * len, err);
    if (rc == ERR_NONE)
        rc = infer_run(to->r->session, &x, 1, &y, 1, err);
    if (rc == ERR_NONE)
        rc = spell(to, &y, lines, n, err);
    infer_tensor_clear(&y);
    return rc;
}

/* A batch of the reference's: lines of one width, the last being the longest. */
static enum err_code read_batch(const struct reading *to, const struct line *lines, size_t n,
                                struct err *err)
{
    const double least = (double)OCR_LINE_MIN_PX / OCR_LINE_PX;
    const double ratio = fmax(least, task_ocr_crop_ratio(&lines[n - 1].crop));
    const double width = fmin(OCR_LINE_PX * ratio, OCR_LINE_MAX_PX);
    const size_t fit = width < OCR_RUN_PX ? OCR_RUN_PX / (size_t)width : 1;
    enum err_code rc = ERR_NONE;
    for (size_t i = 0; i < n && rc == ERR_NONE; i += fit)
        rc = read_some(to, lines + i, n - i < fit ? n - i : fit, (uint32_t)width, err);
    return rc;
}

enum err_code task_ocr_read(const struct task_ocr_recognizer *r, const struct image *img,
                            const struct task_ocr_box *boxes, size_t n, struct task_ocr_line *lines,
                            struct arena *arena, const atomic_bool *cancel, struct err *err)
{
    struct line *sorted = malloc((n + 1) * sizeof *sorted);
    struct reading to = { r, img, NULL, lines, arena, cancel };
    enum err_code rc = ERR_NONE;
    to.tensor = malloc(sizeof *to.tensor * 3 * OCR_LINE_PX * OCR_LINE_MAX_PX);
    if (!sorted || !to.tensor)
        rc = err_set(err, ERR_NOMEM, "%zu lines of text", n);
    for (size_t i = 0; i < n && rc == ERR_NONE; i++)
        sorted[i] = (struct line){ task_ocr_crop(&boxes[i]), i };
    if (rc == ERR_NONE)
        qsort(sorted, n, sizeof *sorted, by_ratio);
    for (size_t i = 0; i < n && rc == ERR_NONE; i += r->batch)
        rc = read_batch(&to, sorted + i, n - i < r->batch ? n - i : r->batch, err);
    free(sorted);
    free(to.tensor);
    return rc;
}
