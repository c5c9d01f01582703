/* ort.h - ONNX Runtime's library, opened. Private to infer/ort*.c. */
#ifndef FOVEA_INFER_ORT_H
#define FOVEA_INFER_ORT_H

#include <onnxruntime_c_api.h>

#include "infer/session.h"

struct infer_ort {
    const OrtApi *api;
    OrtEnv *env;
    const char *version; /* the library's */
    char path[4096];     /* it was opened as */
};

/* The engine's library, opened by the first who asks. ERR_NOT_FOUND, ERR_UNSUPPORTED (too old). */
enum err_code infer_ort_get(struct infer *in, struct infer_ort **out, struct err *err);

/* The one place where an OrtStatus becomes an error: NULL is ERR_NONE; else err is set to "what:
 * its first line" and the status released. other: the code for failures that the status's own code
 * does not explain. */
enum err_code infer_ort_check(const struct infer_ort *ort, OrtStatus *status, enum err_code other,
                              const char *what, struct err *err);

#endif
