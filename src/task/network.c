#include "task/network.h"

enum err_code task_network_open(struct infer_session **out, struct infer *in,
                                const struct model_folder *f, enum model_type type, struct err *err)
{
    char path[MODEL_PATH_MAX], identity[HASH_HEX];
    uint64_t n_bytes;
    *out = NULL;
    enum err_code rc = model_path(f, type, "model.onnx", path, err);
    if (rc == ERR_NONE)
        rc = model_identity(f, type, identity, &n_bytes, err);
    if (rc == ERR_NONE)
        rc = infer_session_open(out, in, path, n_bytes > INFER_KEEP_MAX_BYTES ? NULL : identity,
                                err);
    return rc;
}
