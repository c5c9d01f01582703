/* session.h - the backend table, and what the backends of infer/ see of an engine and a session. */
#ifndef FOVEA_INFER_SESSION_H
#define FOVEA_INFER_SESSION_H

#include <pthread.h>
#include <stdatomic.h>

#include "infer/infer.h"
#include "infer/prepared.h"

struct infer_provider; /* provider.h */
struct infer_ort;      /* ort.h; NULL is fine for close */
void infer_ort_close(struct infer_ort *ort);

struct infer {
    struct infer_options options; /* strings are copies; n_threads >= 1 */
    pthread_mutex_t lock;         /* for opening the library once */
    struct infer_ort *ort;        /* NULL until the first session needs it */
    pthread_mutex_t deciding;     /* for deciding once */
    bool decided;
    _Atomic(const struct infer_provider *) provider; /* NULL: the CPU */
    char why_not[ERR_MSG_MAX];                       /* what kept others from being used */
    struct infer_prepared_seen seen;
};

/* open fills the session's ports and state; where it fails after setting state, close is called all
 * the same. run gets tensors that fit the ports, from several threads at once. */
struct infer_backend {
    enum err_code (*open)(struct infer_session *s, const struct infer_network *network,
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
    const struct infer_provider *provider; /* NULL: the CPU */
    bool whole;                            /* fail to open where it would leave nodes to the CPU */
    atomic_size_t rows_max;                /* that memory sufficed for at once; 0: all */
    size_t n_inputs, n_outputs;
    struct infer_port inputs[INFER_PORTS_MAX], outputs[INFER_PORTS_MAX];
    void *state;
};

extern const struct infer_backend infer_ort_backend, infer_fake_backend;

/* A session of this backend; provider and whole as in it. */
enum err_code infer_session_open_on(struct infer_session **out, struct infer *in,
                                    const struct infer_backend *backend,
                                    const struct infer_provider *provider, bool whole,
                                    const struct infer_network *network, struct err *err);

/* infer_run() after its checks: in one run or, where memory does not suffice, in several (rows.c).
 */
enum err_code infer_run_rows(struct infer_session *s, const struct infer_tensor *in,
                             struct infer_tensor *out, size_t n_out, struct err *err);
/* How many there are that can be run apart; 1 where they cannot. */
size_t infer_n_rows(const struct infer_session *s, const struct infer_tensor *in, size_t n_out);
/* What was found to suffice was another memory's: all are tried again. */
void infer_free_rows(struct infer_session *s);

const char *infer_type_name(enum infer_type type); /* "f32", ... */

#define INFER_FAKE_MAGIC "fovea-fake 1\n"

#endif
