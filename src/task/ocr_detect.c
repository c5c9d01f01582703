#include <stdlib.h>

#include "task/network.h"
#include "task/ocr.h"

/* The reference finds nothing in a smaller picture. */
enum { SIDE_MIN_PX = 32 };

struct task_ocr_detector {
    struct infer_session *session;
};

static bool takes_picture(const struct infer_session *s)
{
    const struct infer_port *x = infer_input(s, 0);
    return infer_n_inputs(s) == 1 && x->type == INFER_F32 && x->n_dims == 4 &&
           (x->dims[0] < 0 || x->dims[0] == 1) && x->dims[1] == 3 && x->dims[2] < 0 &&
           x->dims[3] < 0;
}

static bool gives_map(const struct infer_session *s)
{
    const struct infer_port *y = infer_n_outputs(s) ? infer_output(s, 0) : NULL;
    return y && y->type == INFER_F32 && y->n_dims == 4;
}

enum err_code task_ocr_detector_open(struct task_ocr_detector **out, struct infer *in,
                                     const struct model_folder *f, struct err *err)
{
    *out = NULL;
    struct task_ocr_detector *d = calloc(1, sizeof *d);
    if (!d)
        return err_set(err, ERR_NOMEM, "%s", f->dir);
    enum err_code rc = task_network_open(&d->session, in, f, MODEL_DETECTION, NULL, err);
    if (rc == ERR_NONE && !(takes_picture(d->session) && gives_map(d->session)))
        rc = err_set(err, ERR_UNSUPPORTED,
                     "%s: the detection network is not as PP-OCR's: one f32 [n, 3, height, width] "
                     "of any size; f32 [n, 1, height, width]",
                     f->dir);
    if (rc == ERR_NONE)
        *out = d;
    else
        task_ocr_detector_close(d);
    return rc;
}

void task_ocr_detector_close(struct task_ocr_detector *d)
{
    if (d)
        infer_session_close(d->session);
    free(d);
}

/* The picture seen at width x height -> its map, which is in t. */
static enum err_code look(const struct task_ocr_detector *d, const struct image *img,
                          uint32_t width, uint32_t height, struct infer_tensor *t, struct err *err)
{
    const size_t plane = (size_t)width * height;
    float *seen = malloc(3 * plane * sizeof *seen);
    if (!seen)
        return err_set(err, ERR_NOMEM, "a picture's tensor");
    const struct infer_tensor x = {
        .type = INFER_F32, .n_dims = 4, .dims = { 1, 3, height, width }, .data = seen
    };
    enum err_code rc = task_ocr_feed(img, width, height, seen, err);
    if (rc == ERR_NONE)
        rc = infer_run(d->session, &x, 1, t, 1, err);
    free(seen);
    if (rc == ERR_NONE && !(t->type == INFER_F32 && t->n_dims == 4 && t->dims[0] == 1 &&
                            t->dims[1] == 1 && t->dims[2] == height && t->dims[3] == width))
        rc = err_set(err, ERR_CORRUPT,
                     "the text detection network gave a map of %lld x %lld for %u x %u pixels",
                     t->n_dims > 3 ? (long long)t->dims[3] : 0,
                     t->n_dims > 2 ? (long long)t->dims[2] : 0, width, height);
    return rc;
}

enum err_code task_ocr_detect(const struct task_ocr_detector *d, const struct image *img,
                              const struct task_ocr_search *how, struct task_ocr_box **boxes,
                              size_t *n, struct err *err)
{
    struct infer_tensor t = { 0 };
    uint32_t width, height;
    *boxes = NULL;
    *n = 0;
    if (img->width_px < SIDE_MIN_PX || img->height_px < SIDE_MIN_PX)
        return ERR_NONE;
    task_ocr_seen_size(img, how->max_side_px, &width, &height);
    enum err_code rc = look(d, img, width, height, &t, err);
    if (rc == ERR_NONE) {
        const struct ocr_map map = { t.data, width, height };
        rc = task_ocr_boxes(&map, img->width_px, img->height_px, how, boxes, n, err);
    }
    infer_tensor_clear(&t);
    return rc;
}
