#include "task/network.h"

#include <string.h>

#include "task/task.h"

enum err_code task_network_open(struct infer_session **out, struct infer *in,
                                const struct model_folder *f, enum model_type type,
                                const struct infer_prefix *prefix, struct err *err)
{
    char path[MODEL_PATH_MAX], identity[HASH_HEX];
    uint64_t n_bytes;
    *out = NULL;
    enum err_code rc = model_path(f, type, "model.onnx", path, err);
    if (rc == ERR_NONE)
        rc = model_identity(f, type, identity, &n_bytes, err);
    if (rc == ERR_NONE)
        rc =
            infer_session_open(out, in,
                               &(struct infer_network){
                                   path, n_bytes > INFER_KEEP_MAX_BYTES ? NULL : identity, prefix },
                               err);
    return rc;
}

enum err_code task_check_cancel(const atomic_bool *cancel, struct err *err)
{
    return cancel && atomic_load(cancel)
               ? err_set(err, ERR_CANCELLED, "nobody waits for the answer")
               : ERR_NONE;
}

enum err_code task_network_embed(struct infer_session *s, const struct infer_tensor *in,
                                 size_t n_in, size_t n, size_t dim, float *out, struct err *err)
{
    struct infer_tensor y;
    size_t got;
    enum err_code rc = infer_run(s, in, n_in, &y, 1, err);
    if (rc != ERR_NONE)
        return rc;
    rc = infer_count(&y, &got, err);
    if (rc == ERR_NONE && (y.type != INFER_F32 || got != n * dim))
        rc = err_set(err, ERR_CORRUPT, "network gave %zu values for %zu vectors of %zu", got, n,
                     dim);
    if (rc == ERR_NONE)
        memcpy(out, y.data, got * sizeof *out);
    infer_tensor_clear(&y);
    return rc;
}
