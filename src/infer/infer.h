/* infer.h - tensors in, tensors out: one face for every way of running a network.
 *
 * An `infer` is the engine: the inference library (opened when the first session needs it) and what
 * all sessions share. A session is one loaded network. What runs it is decided by the file:
 *
 *   model.onnx                     ONNX Runtime (ort.c), on an execution provider that works, else
 *                                  on the CPU (provider.h)
 *   "fovea-fake 1 ..." as line 1   fake.c, a toy for tests that need neither library nor weights
 *
 * Ownership: a session must be closed before its engine is destroyed. Output tensors own their
 * data: infer_tensor_clear() each. Input tensors are borrowed for the call.
 * Threads: any number of infer_run() on one session at once; open and close from any thread. */
#ifndef FOVEA_INFER_INFER_H
#define FOVEA_INFER_INFER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

enum { INFER_DIMS_MAX = 8, INFER_PORTS_MAX = 32, INFER_NAME_MAX = 128 };
#define INFER_TENSOR_MAX_BYTES ((size_t)1 << 30)
#define INFER_KEEP_MAX_BYTES ((uint64_t)3 << 29) /* the kept form's offsets have 31 bits */

enum infer_type { INFER_F32, INFER_I32, INFER_I64, INFER_U8 };

struct infer_tensor {
    enum infer_type type;
    size_t n_dims;
    int64_t dims[INFER_DIMS_MAX];
    void *data;                   /* row-major, dense */
    void (*free_fn)(void *owner); /* the backend's; NULL where data is borrowed */
    void *owner;
};

/* A named input or output; -1 in dims where any size goes. */
struct infer_port {
    char name[INFER_NAME_MAX];
    enum infer_type type;
    size_t n_dims;
    int64_t dims[INFER_DIMS_MAX];
};

/* What networks run on: the first execution provider that works of the plug-in, CUDA, MIGraphX,
 * ROCm and OpenVINO, as far as the library has them; else the CPU. A provider brings drivers into
 * the process that may abort or hang, so each is tried first in a child process, on a network of
 * two nodes. One that later fails with a network gives that network to the CPU. */
struct infer_provider_options {
    const char *name; /* "cpu", or the one to be tried: "plugin", "cuda", "tensorrt", "migraphx",
                         "rocm", "openvino", "openvino-cpu"; NULL: "auto" */
    const char *ep_library;        /* the plug-in's, for ONNX Runtime 1.22 or later; NULL: none */
    int device_id;                 /* which of its devices, from 0 */
    bool half_openvino, half_rocm; /* compute in f16 */
    const char *probe_program; /* `PROGRAM infer-probe` calls infer_probe_serve(0); NULL: providers
                                  are used untried */
    unsigned probe_timeout_s;  /* after which one hangs */
    const atomic_bool *cancel; /* true: wait for no trial any more; NULL: never */
};

/* How many runs of a network are to be expected. */
enum infer_runs {
    INFER_RUNS_MANY, /* take the time to make them fast when it is opened */
    INFER_RUNS_SOME, /* nobody knows: answer soon, and make them fast when there were several */
    INFER_RUNS_FEW,  /* start soon, run slower, on the CPU */
};

struct infer_options {
    const char *ort_library; /* NULL: beside the binary, the build's copy, <bindir>/../lib/fovea/,
                                the system's loader path */
    const char *cache_dir;   /* prepared networks, of their size in all, may be deleted any time;
                                  NULL: prepare every time */
    unsigned n_threads;      /* for one run; 0: one a core */
    enum infer_runs runs;
    struct infer_provider_options provider;
};

struct infer;
struct infer_session;

/* Opens nothing yet. Strings are copied. Sets a variable of the environment that keeps ONNX Runtime
 * from sending events to its maker, so no other thread may read the environment meanwhile.
 * ERR_NOMEM. */
enum err_code infer_create(struct infer **out, const struct infer_options *o, struct err *err);
void infer_destroy(struct infer *in);

/* Say that nothing has run for a while: what was kept to compute in goes back to the system, up to
 * 96 MB, and the next run takes its page faults. Any time. */
void infer_pause(struct infer *in);

/* Say that no run is to be expected soon: what of the library can be read from its file again, 20
 * MB of code, goes back to the system. Any time; a run is right but for a while slower after it. */
void infer_rest(struct infer *in);

/* "ONNX Runtime 1.32.0 (/usr/lib/.../libonnxruntime.so.1)" into out, opening the library if need
 * be; for doctor. ERR_NOT_FOUND and ERR_UNSUPPORTED say where it was looked for and what is wrong.
 */
enum err_code infer_describe(struct infer *in, char *out, size_t n, struct err *err);

/* What networks run on, as infer_provider_options calls it; "cpu" until the first session is
 * opened. Static. */
const char *infer_provider(const struct infer *in);
/* The same, decided now if it was not, and not logged. why gets, where another was to be used, what
 * kept it from that, else "". */
const char *infer_provider_decide(struct infer *in, char *why, size_t n);

/* Do the settings have networks computed in f16, by a provider that they let be used? It does not
 * depend on what was decided, so that all commands with the same settings say the same. */
bool infer_wants_half(const struct infer *in);

/* The child's part of a trial: read from the socket fd what to try, try it, answer, return. */
enum err_code infer_probe_serve(int fd, struct err *err);

/* A network that reads a row of ids of fixed length, but whose answer is settled before its end, as
 * that of a text tower with causal attention is by the token that ends the text: it may be kept in
 * a form that takes the beginning of a row alone, in as much less time, if the answers are the
 * same. Whether they are is found out once, when it is prepared: try_fn runs n_rows through s,
 * first whole, then cut to where they are settled, and appends the first output of each. The form
 * that is kept says of itself (infer_metadata()) under INFER_PREFIX_KEY how long a whole row is. */
struct infer_prefix {
    enum err_code (*try_fn)(void *arg, struct infer_session *s, bool cut, struct buf *out,
                            struct err *err);
    size_t n_rows; /* that give as many numbers each */
    void *arg;
};
#define INFER_PREFIX_KEY "fovea.prefix_of"

/* What is to be loaded. identity, a string that changes when any of the network's files does, lets
 * it be kept in cache_dir as prepared and used the next time; NULL: nothing is kept, as it must be
 * for files of more than INFER_KEEP_MAX_BYTES. prefix: NULL where it has to take what its file says
 * it takes; it is looked at where the network is prepared. */
struct infer_network {
    const char *path, *identity;
    const struct infer_prefix *prefix;
};

/* ERR_NOT_FOUND (the file, or an inference library), ERR_CORRUPT (not a network), ERR_UNSUPPORTED
 * (an element type or a number of ports that nothing here can hold), ERR_NOMEM, ERR_IO. */
enum err_code infer_session_open(struct infer_session **out, struct infer *in,
                                 const struct infer_network *network, struct err *err);
void infer_session_close(struct infer_session *s);

size_t infer_n_inputs(const struct infer_session *s);
size_t infer_n_outputs(const struct infer_session *s);
const struct infer_port *infer_input(const struct infer_session *s, size_t i);
const struct infer_port *infer_output(const struct infer_session *s, size_t i);

/* What the network's file says about itself under key: *value is the caller's to free(), NULL where
 * it says nothing. ERR_NOMEM. */
enum err_code infer_metadata(const struct infer_session *s, const char *key, char **value,
                             struct err *err);

/* in[i] is the session's input i, all of them; out[0 .. n_out) get its first n_out outputs. Types
 * and shapes are checked against the ports first: ERR_INVALID names the port, what was got and what
 * it takes. On failure all of out is empty. Where memory does not suffice for all rows (the first
 * dimension, where it is free everywhere), they are run in parts, of half as many until it does. */
enum err_code infer_run(struct infer_session *s, const struct infer_tensor *in, size_t n_in,
                        struct infer_tensor *out, size_t n_out, struct err *err);

/* How long this thread has been inside infer_run() since it began: as a clock, read before and
 * after, it tells how much of some work was the network's, without passing anything through it. */
int64_t infer_thread_ns(void);

size_t infer_type_bytes(enum infer_type type);
/* Elements in t. ERR_LIMIT for a negative dimension or more than INFER_TENSOR_MAX_BYTES. */
enum err_code infer_count(const struct infer_tensor *t, size_t *n, struct err *err);
void infer_tensor_clear(struct infer_tensor *t); /* frees what it owns; {0} is a valid empty one */

#endif
