#include <stdlib.h>

#include "task/clip.h"
#include "task/network.h"

struct task_clip_visual {
    struct infer_session *session;
    size_t dim, tensor_len;
    bool one_by_one;                /* exported for a batch of one */
    struct image_preprocess pre[2]; /* by enum image_contract */
};

static enum image_filter filter_of(enum model_interpolation i)
{
    return i == MODEL_NEAREST    ? IMAGE_NEAREST
           : i == MODEL_BILINEAR ? IMAGE_BILINEAR
                                 : IMAGE_BICUBIC;
}

static enum image_fit fit_of(enum model_resize r)
{
    return r == MODEL_SQUASH ? IMAGE_SQUASH : r == MODEL_LONGEST ? IMAGE_LONGEST : IMAGE_SHORTEST;
}

/* The reference reads interpolation and resize_mode and then uses neither (transforms.py:
 * resize_pil's default, crop_pil), so it crops where SigLIP was trained on squashed pictures. */
static void set_preprocess(struct task_clip_visual *v, const struct model_preprocess *p)
{
    struct image_preprocess *ref = &v->pre[IMAGE_REFERENCE], *view = &v->pre[IMAGE_VIEW];
    *ref = (struct image_preprocess){ .width_px = p->size_px,
                                      .height_px = p->size_px,
                                      .filter = IMAGE_BICUBIC,
                                      .fit = IMAGE_SHORTEST };
    for (int c = 0; c < 3; c++) {
        ref->mean[c] = p->mean[c];
        ref->std[c] = p->std[c];
        ref->fill[c] = (uint8_t)p->fill;
    }
    *view = *ref;
    view->filter = filter_of(p->interpolation);
    view->fit = fit_of(p->resize);
    v->tensor_len = (size_t)3 * p->size_px * p->size_px;
}

static enum err_code check_input(struct task_clip_visual *v, const struct model_folder *f,
                                 struct err *err)
{
    const int64_t side = v->pre[IMAGE_REFERENCE].width_px, want[] = { 0, 3, side, side };
    const struct infer_port *p = infer_input(v->session, 0);
    bool fits = infer_n_inputs(v->session) == 1 && p->type == INFER_F32 && p->n_dims == 4 &&
                (p->dims[0] == 1 || p->dims[0] < 0);
    for (size_t i = 1; fits && i < 4; i++)
        fits = p->dims[i] < 0 || p->dims[i] == want[i];
    if (!fits)
        return err_set(err, ERR_UNSUPPORTED,
                       "%s: the visual network does not take one f32 [n or 1, 3, %lld, %lld]",
                       f->dir, (long long)side, (long long)side);
    v->one_by_one = p->dims[0] == 1;
    return ERR_NONE;
}

enum err_code task_clip_visual_open(struct task_clip_visual **out, struct infer *in,
                                    const struct model_folder *f, struct err *err)
{
    struct model_preprocess p;
    *out = NULL;
    enum err_code rc = model_preprocess_read(f, &p, err);
    if (rc != ERR_NONE)
        return rc;
    struct task_clip_visual *v = calloc(1, sizeof *v);
    if (!v)
        return err_set(err, ERR_NOMEM, "%s", f->dir);
    set_preprocess(v, &p);
    rc = task_clip_open_network(&v->session, &v->dim, in, f, MODEL_VISUAL, NULL, err);
    if (rc == ERR_NONE)
        rc = check_input(v, f, err);
    if (rc == ERR_NONE)
        *out = v;
    else
        task_clip_visual_close(v);
    return rc;
}

void task_clip_visual_close(struct task_clip_visual *v)
{
    if (v)
        infer_session_close(v->session);
    free(v);
}

size_t task_clip_visual_dim(const struct task_clip_visual *v)
{
    return v->dim;
}

size_t task_clip_visual_tensor_len(const struct task_clip_visual *v)
{
    return v->tensor_len;
}

uint32_t task_clip_visual_side_px(const struct task_clip_visual *v)
{
    return v->pre[IMAGE_VIEW].width_px;
}

enum err_code task_clip_visual_prepare(const struct task_clip_visual *v, const struct image *img,
                                       enum image_contract contract, float *tensor, struct err *err)
{
    return image_to_tensor(img, &v->pre[contract], tensor, err);
}

enum err_code task_clip_visual_embed(const struct task_clip_visual *v, const float *tensors,
                                     size_t n, float *out, struct err *err)
{
    const int64_t side = v->pre[IMAGE_REFERENCE].width_px;
    const size_t step = v->one_by_one ? 1 : n;
    for (size_t i = 0; i < n; i += step) {
        struct infer_tensor x = { .type = INFER_F32,
                                  .n_dims = 4,
                                  .dims = { (int64_t)step, 3, side, side },
                                  .data = (float *)(uintptr_t)(tensors + i * v->tensor_len) };
        enum err_code rc =
            task_network_embed(v->session, &x, 1, step, v->dim, out + i * v->dim, err);
        if (rc != ERR_NONE)
            return rc;
    }
    return ERR_NONE;
}

enum err_code task_clip_visual_embed_image(const struct task_clip_visual *v,
                                           const struct image *img, enum image_contract contract,
                                           float *out, struct err *err)
{
    float *tensor = malloc(v->tensor_len * sizeof *tensor);
    if (!tensor)
        return err_set(err, ERR_NOMEM, "a picture's tensor");
    enum err_code rc = task_clip_visual_prepare(v, img, contract, tensor, err);
    if (rc == ERR_NONE)
        rc = task_clip_visual_embed(v, tensor, 1, out, err);
    free(tensor);
    return rc;
}
