/* session.h - the backend table, and what the backends of infer/ see of an engine and a session. */
#ifndef FOVEA_INFER_SESSION_H
#define FOVEA_INFER_SESSION_H

#include <pthread.h>

#include "infer/infer.h"

struct infer_ort; /* ort.h; NULL is fine for close */
void infer_ort_close(struct infer_ort *ort);

struct infer {
    struct infer_options options; /* strings are copies; n_threads >= 1 */
    pthread_mutex_t lock;         /* for opening the library once */
    struct infer_ort *ort;        /* NULL until the first session needs it */
};

/* open fills the session's ports and state; where it fails after setting state, close is called all
 * the same. run gets tensors that fit the ports, from several threads at once. */
struct infer_backend {
    enum err_code (*open)(struct infer_session *s, const char *path, const char *identity,
                          struct err *err);
    enum err_code (*run)(struct infer_session *s, const struct infer_tensor *in,
                         struct infer_tensor *out, size_t n_out, struct err *err);
    enum err_code (*metadata)(const struct infer_session *s, const char *key, char **value,
                              struct err *err);
    void (*close)(struct infer_session *s);
};

struct infer_session {
    const struct infer_backend *backend;
    struct infer *engine;
    size_t n_inputs, n_outputs;
    struct infer_port inputs[INFER_PORTS_MAX], outputs[INFER_PORTS_MAX];
    void *state;
};

extern const struct infer_backend infer_ort_backend, infer_fake_backend;

const char *infer_type_name(enum infer_type type); /* "f32", ... */

#define INFER_FAKE_MAGIC "fovea-fake 1\n"

#endif
