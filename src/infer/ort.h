/* ort.h - ONNX Runtime's library, opened. Private to infer/ort*.c. */
#ifndef FOVEA_INFER_ORT_H
#define FOVEA_INFER_ORT_H

#include <onnxruntime_c_api.h>

#include "infer/provider.h"

/* All we call is in this version of the API, and so is every session option set by name; libraries
 * offer all versions up to their own. */
enum { INFER_ORT_API_VERSION = 11 };

struct infer_ort {
    const OrtApiBase *base;
    const OrtApi *api;
    OrtEnv *env;
    struct infer_ort_heap *heap; /* NULL: each session has an arena */
    const OrtEpDevice *plugin;   /* what the plug-in provider runs on; NULL: it is not open */
    const char *version;         /* the library's */
    char path[4096];             /* it was opened as */
};

/* The engine's library, opened by the first who asks. ERR_NOT_FOUND, ERR_UNSUPPORTED (too old). */
enum err_code infer_ort_get(struct infer *in, struct infer_ort **out, struct err *err);

/* The one place where an OrtStatus becomes an error: NULL is ERR_NONE; else err is set to "what:
 * its first line" and the status released. other: the code for failures that the status's own code
 * does not explain. */
enum err_code infer_ort_check(const struct infer_ort *ort, OrtStatus *status, enum err_code other,
                              const char *what, struct err *err);

/* options get p: what infer_ort_ready() was called for. path is the network's. ERR_UNSUPPORTED: it
 * does not load, or has no such device. */
enum err_code infer_ort_append(const struct infer *in, const struct infer_ort *ort,
                               const struct infer_provider *p, const char *path,
                               OrtSessionOptions *options, struct err *err);

/* What all sessions compute in, registered with ort's environment: *out is NULL where it cannot be
 * (no addresses, or another engine of this process has its own there), and ONNX Runtime's arenas
 * serve. All sessions must be closed before it is destroyed. ERR_NOMEM. The rest take NULL. */
enum err_code infer_ort_heap_create(struct infer_ort_heap **out, const struct infer_ort *ort,
                                    struct err *err);
void infer_ort_heap_destroy(struct infer_ort_heap *h);
/* Of what is free, only so much is kept as makes the next run fast, or nothing. Any thread. */
void infer_ort_heap_after_run(struct infer_ort_heap *h);
void infer_ort_heap_empty(struct infer_ort_heap *h);

#endif
