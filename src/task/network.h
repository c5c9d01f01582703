/* network.h - the network in a model's folder. Private to task/. */
#ifndef FOVEA_TASK_NETWORK_H
#define FOVEA_TASK_NETWORK_H

#include "infer/infer.h"
#include "model/model.h"

/* <dir>/<type>/model.onnx as a session, kept prepared where its size allows. Errors as
 * infer_session_open(), as is prefix; *out is NULL then. */
enum err_code task_network_open(struct infer_session **out, struct infer *in,
                                const struct model_folder *f, enum model_type type,
                                const struct infer_prefix *prefix, struct err *err);

/* Run and copy the first output, which must be n * dim floats: ERR_CORRUPT. */
enum err_code task_network_embed(struct infer_session *s, const struct infer_tensor *in,
                                 size_t n_in, size_t n, size_t dim, float *out, struct err *err);

#endif
