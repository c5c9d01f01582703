#include "task/clip.h"

#include "task/network.h"

/* Exports leave the length of a vector open at times; the model's config.json then has it. */
static enum err_code vector_dim(const struct infer_session *s, const struct model_folder *f,
                                size_t *dim, struct err *err)
{
    const struct infer_port *p = infer_n_outputs(s) ? infer_output(s, 0) : NULL;
    if (!p || p->type != INFER_F32 || !p->n_dims)
        return err_set(err, ERR_UNSUPPORTED, "first output is not a vector of f32");
    if (p->dims[p->n_dims - 1] > 0) {
        *dim = (size_t)p->dims[p->n_dims - 1];
        return ERR_NONE;
    }
    unsigned n;
    enum err_code rc = model_embed_dim(f, &n, err);
    if (rc == ERR_NONE)
        *dim = n;
    return rc;
}

enum err_code task_clip_open_network(struct infer_session **out, size_t *dim, struct infer *in,
                                     const struct model_folder *f, enum model_type type,
                                     const struct infer_prefix *prefix, struct err *err)
{
    enum err_code rc = task_network_open(out, in, f, type, prefix, err);
    if (rc != ERR_NONE)
        return rc;
    struct err why = { 0 };
    rc = vector_dim(*out, f, dim, &why);
    if (rc != ERR_NONE) {
        infer_session_close(*out);
        *out = NULL;
        err_set(err, rc, "%s/%s: %s", f->dir, model_type_name(type), why.msg);
    }
    return rc;
}
