#include <stdlib.h>

#include "task/face.h"
#include "task/network.h"

struct task_face_detector {
    struct infer_session *session;
    const struct face_family *family;
};

static bool takes_picture(const struct infer_port *p)
{
    const int64_t want[] = { 1, 3, FACE_DETECT_PX, FACE_DETECT_PX };
    bool fits = p->type == INFER_F32 && p->n_dims == 4;
    for (size_t i = 0; fits && i < 4; i++)
        fits = p->dims[i] < 0 || p->dims[i] == want[i];
    return fits;
}

static bool gives_heads(const struct infer_session *s, const struct face_family *fam)
{
    bool fits = infer_n_outputs(s) == fam->kinds * FACE_LEVELS;
    for (size_t i = 0; fits && i < fam->kinds * FACE_LEVELS; i++) {
        const struct infer_port *p = infer_output(s, i);
        const int64_t width = p->n_dims ? p->dims[p->n_dims - 1] : 0;
        fits =
            p->type == INFER_F32 && (width < 0 || width == (int64_t)fam->widths[i / FACE_LEVELS]);
    }
    return fits;
}

static enum err_code check_ports(const struct task_face_detector *d, const struct model_folder *f,
                                 struct err *err)
{
    const struct infer_session *s = d->session;
    const struct face_family *fam = d->family;
    if (infer_n_inputs(s) == 1 && takes_picture(infer_input(s, 0)) && gives_heads(s, fam))
        return ERR_NONE;
    return err_set(err, ERR_UNSUPPORTED,
                   "%s: the detection network has %zu inputs and %zu outputs, not those of a %s, "
                   "which a model of this name has: f32 [1, 3, %d, %d]; %zu f32 of scores, boxes "
                   "and 5 points",
                   f->dir, infer_n_inputs(s), infer_n_outputs(s), fam->detector, FACE_DETECT_PX,
                   FACE_DETECT_PX, fam->kinds * FACE_LEVELS);
}

enum err_code task_face_detector_open(struct task_face_detector **out, struct infer *in,
                                      const struct model_folder *f, struct err *err)
{
    *out = NULL;
    struct task_face_detector *d = calloc(1, sizeof *d);
    if (!d)
        return err_set(err, ERR_NOMEM, "%s", f->dir);
    d->family = task_face_family(f->name);
    enum err_code rc = task_network_open(&d->session, in, f, MODEL_DETECTION, NULL, err);
    if (rc == ERR_NONE)
        rc = check_ports(d, f, err);
    if (rc == ERR_NONE)
        *out = d;
    else
        task_face_detector_close(d);
    return rc;
}

void task_face_detector_close(struct task_face_detector *d)
{
    if (d)
        infer_session_close(d->session);
    free(d);
}

enum err_code task_face_detect(const struct task_face_detector *d, const struct image *img,
                               float min_score, struct task_face **faces, size_t *n,
                               struct err *err)
{
    const size_t n_heads = d->family->kinds * FACE_LEVELS;
    struct infer_tensor heads[FACE_HEADS_MAX] = { 0 };
    struct face_level levels[FACE_LEVELS];
    float scale = 1;
    *faces = NULL;
    *n = 0;
    float *seen = malloc(sizeof *seen * 3 * FACE_DETECT_PX * FACE_DETECT_PX);
    if (!seen)
        return err_set(err, ERR_NOMEM, "a picture's tensor");
    const struct infer_tensor x = { .type = INFER_F32,
                                    .n_dims = 4,
                                    .dims = { 1, 3, FACE_DETECT_PX, FACE_DETECT_PX },
                                    .data = seen };
    enum err_code rc = task_face_letterbox(img, &d->family->detect, seen, &scale, err);
    if (rc == ERR_NONE)
        rc = infer_run(d->session, &x, 1, heads, n_heads, err);
    free(seen);
    if (rc == ERR_NONE)
        rc = task_face_levels(d->family, heads, levels, err);
    if (rc == ERR_NONE)
        rc = task_face_boxes(d->family, levels, scale, min_score, faces, n, err);
    for (size_t i = 0; i < n_heads; i++)
        infer_tensor_clear(&heads[i]);
    return rc;
}
