#include <stdlib.h>

#include "predict/job.h"

enum err_code clip_run_visual(struct job *j, struct predict_bundle *b, struct err *err)
{
    size_t dim = task_clip_visual_dim(b->clip_visual);
    float *v = calloc(dim, sizeof *v);
    if (!v)
        return err_set(err, ERR_NOMEM, "embedding");
    enum err_code rc =
        task_clip_visual_embed_image(b->clip_visual, j->image, IMAGE_REFERENCE, v, err);
    if (rc == ERR_NONE)
        rc = job_put_vector(&j->json, v, dim, err);
    free(v);
    return rc;
}

enum err_code clip_run_textual(struct job *j, struct predict_bundle *b, struct err *err)
{
    size_t dim = task_clip_textual_dim(b->clip_textual);
    float *v = calloc(dim, sizeof *v);
    if (!v)
        return err_set(err, ERR_NOMEM, "embedding");
    enum err_code rc = task_clip_textual_embed(b->clip_textual, j->in->text, j->in->n_text,
                                               j->entry->language, v, err);
    if (rc == ERR_NONE)
        rc = job_put_vector(&j->json, v, dim, err);
    free(v);
    return rc;
}
