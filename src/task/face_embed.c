#include <stdlib.h>

#include "task/face.h"
#include "task/network.h"

/* MobileFaceNet, 30 faces on 2 cores: 206 ms in runs of 1, 207 of 4, 260 of 8, 850 of 30, whose
 * intermediate results are so large that each is mapped and zeroed anew. */
enum { CROP_LEN = 3 * FACE_CROP_PX * FACE_CROP_PX, BATCH_DEFAULT = 4 };

struct task_face_recognizer {
    struct infer_session *session;
    const struct face_family *family;
    size_t dim, batch;
};

/* Sets the batch that the network takes. */
static bool takes_crops(struct task_face_recognizer *r, size_t max_batch)
{
    const int64_t want[] = { 1, 3, FACE_CROP_PX, FACE_CROP_PX };
    const struct infer_port *p = infer_input(r->session, 0);
    bool fits = infer_n_inputs(r->session) == 1 && p->type == INFER_F32 && p->n_dims == 4;
    for (size_t i = 0; fits && i < 4; i++)
        fits = p->dims[i] < 0 || p->dims[i] == want[i];
    r->batch = fits && p->dims[0] == 1 ? 1 : max_batch ? max_batch : BATCH_DEFAULT;
    return fits;
}

static bool gives_vector(struct task_face_recognizer *r)
{
    const struct infer_port *p = infer_n_outputs(r->session) ? infer_output(r->session, 0) : NULL;
    if (!p || p->type != INFER_F32 || p->n_dims != 2 || p->dims[1] < 1)
        return false;
    r->dim = (size_t)p->dims[1];
    return true;
}

enum err_code task_face_recognizer_open(struct task_face_recognizer **out, struct infer *in,
                                        const struct model_folder *f, size_t max_batch,
                                        struct err *err)
{
    *out = NULL;
    struct task_face_recognizer *r = calloc(1, sizeof *r);
    if (!r)
        return err_set(err, ERR_NOMEM, "%s", f->dir);
    r->family = task_face_family(f->name);
    enum err_code rc = task_network_open(&r->session, in, f, MODEL_RECOGNITION, NULL, err);
    if (rc == ERR_NONE && !(takes_crops(r, max_batch) && gives_vector(r)))
        rc = err_set(err, ERR_UNSUPPORTED,
                     "%s: the recognition network is not as %s: one f32 [n or 1, 3, %d, %d]; f32 "
                     "[n, length of a vector]",
                     f->dir, r->family->recognizer, FACE_CROP_PX, FACE_CROP_PX);
    if (rc == ERR_NONE)
        *out = r;
    else
        task_face_recognizer_close(r);
    return rc;
}

void task_face_recognizer_close(struct task_face_recognizer *r)
{
    if (r)
        infer_session_close(r->session);
    free(r);
}

size_t task_face_recognizer_dim(const struct task_face_recognizer *r)
{
    return r->dim;
}

enum err_code task_face_embed(const struct task_face_recognizer *r, const struct image *img,
                              const struct task_face *faces, size_t n, float *out,
                              const atomic_bool *cancel, struct err *err)
{
    const size_t batch = n < r->batch ? n : r->batch;
    enum err_code rc = ERR_NONE;
    if (!n)
        return ERR_NONE;
    float *crops = calloc(batch, CROP_LEN * sizeof *crops);
    if (!crops)
        return err_set(err, ERR_NOMEM, "crops of %zu faces", batch);
    for (size_t i = 0; i < n && rc == ERR_NONE; i += batch) {
        const size_t now = n - i < batch ? n - i : batch;
        for (size_t k = 0; k < now; k++)
            task_face_crop(img, &faces[i + k], &r->family->recognize, crops + k * CROP_LEN);
        const struct infer_tensor x = { .type = INFER_F32,
                                        .n_dims = 4,
                                        .dims = { (int64_t)now, 3, FACE_CROP_PX, FACE_CROP_PX },
                                        .data = crops };
        rc = task_check_cancel(cancel, err);
        if (rc == ERR_NONE)
            rc = task_network_embed(r->session, &x, 1, now, r->dim, out + i * r->dim, err);
    }
    free(crops);
    return rc;
}
