/* provider.c - which provider it is, and the trial that it has to pass.
 *
 * A driver that does not fit its library ends in abort(), an unreachable device in a call that does
 * not return; neither can be caught in the process that it happens to. So a child process, which is
 * this program again, does all that the service would: opens the libraries, finds the device, runs
 * a network on it, compares the outcome with the CPU's. A provider that takes no node of that
 * network is refused too: it would be named as what the service runs on, and the CPU would do the
 * work. The outcome is not kept beyond the process, since a driver may be mended, or broken, while
 * the libraries stay the same. */
#include "infer/provider.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/log.h"
#include "infer/ort.h"
#include "sys/clock.h"
#include "sys/memfd.h"
#include "sys/process.h"

/* Immich's order (its constants.py); TensorRT, which it does not use, builds an engine for minutes
 * for each network and shape. */
const struct infer_provider infer_providers[] = {
    { .name = "plugin" },
    { .name = "cuda", .ort_name = "CUDAExecutionProvider" },
    { .name = "migraphx", .ort_name = "MIGraphXExecutionProvider", .one_at_a_time = true },
    { .name = "rocm", .ort_name = "ROCMExecutionProvider" },
    { .name = "openvino", .ort_name = "OpenVINOExecutionProvider" },
    { .name = "openvino-cpu", .ort_name = "OpenVINOExecutionProvider" },
    { .name = "tensorrt", .ort_name = "TensorrtExecutionProvider", .by_name_only = true },
};
const size_t infer_n_providers = sizeof infer_providers / sizeof *infer_providers;

/* x f32 [1, 1, 4, 4] -> Conv (w [2, 1, 2, 2]) -> MatMul (m [3, 2]) -> y f32 [1, 2, 3, 2], as ONNX
 * (IR 7, opset 13): what pictures and words need most. */
static const uint8_t network[] = {
    0x08, 0x07, 0x3a, 0xb7, 0x01, 0x0a, 0x0f, 0x0a, 0x01, 0x78, 0x0a, 0x01, 0x77, 0x12, 0x01,
    0x63, 0x22, 0x04, 0x43, 0x6f, 0x6e, 0x76, 0x0a, 0x11, 0x0a, 0x01, 0x63, 0x0a, 0x01, 0x6d,
    0x12, 0x01, 0x79, 0x22, 0x06, 0x4d, 0x61, 0x74, 0x4d, 0x75, 0x6c, 0x12, 0x01, 0x70, 0x2a,
    0x2f, 0x08, 0x02, 0x08, 0x01, 0x08, 0x02, 0x08, 0x02, 0x10, 0x01, 0x42, 0x01, 0x77, 0x4a,
    0x20, 0x00, 0x00, 0x80, 0x3f, 0x00, 0x00, 0x00, 0xc0, 0x00, 0x00, 0x40, 0x40, 0x00, 0x00,
    0x00, 0x3f, 0x00, 0x00, 0x80, 0xbf, 0x00, 0x00, 0x00, 0x40, 0x00, 0x00, 0x80, 0x3e, 0x00,
    0x00, 0x80, 0x40, 0x2a, 0x23, 0x08, 0x03, 0x08, 0x02, 0x10, 0x01, 0x42, 0x01, 0x6d, 0x4a,
    0x18, 0x00, 0x00, 0x00, 0x40, 0x00, 0x00, 0x80, 0xbf, 0x00, 0x00, 0x00, 0x3f, 0x00, 0x00,
    0x80, 0x3f, 0x00, 0x00, 0x40, 0xc0, 0x00, 0x00, 0x40, 0x3f, 0x5a, 0x1b, 0x0a, 0x01, 0x78,
    0x12, 0x16, 0x0a, 0x14, 0x08, 0x01, 0x12, 0x10, 0x0a, 0x02, 0x08, 0x01, 0x0a, 0x02, 0x08,
    0x01, 0x0a, 0x02, 0x08, 0x04, 0x0a, 0x02, 0x08, 0x04, 0x62, 0x1b, 0x0a, 0x01, 0x79, 0x12,
    0x16, 0x0a, 0x14, 0x08, 0x01, 0x12, 0x10, 0x0a, 0x02, 0x08, 0x01, 0x0a, 0x02, 0x08, 0x02,
    0x0a, 0x02, 0x08, 0x03, 0x0a, 0x02, 0x08, 0x02, 0x42, 0x04, 0x0a, 0x00, 0x10, 0x0d,
};
enum { N_X = 16, N_Y = 12 };

/* Both ends are the same program, so the structs are the format. */
struct question {
    char ort_library[4096], ep_library[4096];
    int device_id;
    bool half_openvino, half_rocm;
    unsigned which, timeout_s; /* which: of infer_providers */
};

struct answer {
    enum err_code code;
    char msg[ERR_MSG_MAX];
};

/* ---- the child ---- */

static enum err_code run_network(struct infer *in, const struct infer_provider *p, const char *path,
                                 float out[N_Y], struct err *err)
{
    struct infer_session *s;
    float x[N_X];
    for (int i = 0; i < N_X; i++)
        x[i] = (float)(i * 7 % N_X) / 4 - 1;
    const struct infer_tensor t = { .n_dims = 4, .dims = { 1, 1, 4, 4 }, .data = x };
    struct infer_tensor y = { 0 };
    enum err_code rc = infer_session_open_on(&s, in, &infer_ort_backend, p, p != NULL,
                                             &(struct infer_network){ .path = path }, err);
    if (rc == ERR_NONE)
        rc = infer_run(s, &t, 1, &y, 1, err);
    if (rc == ERR_NONE)
        memcpy(out, y.data, N_Y * sizeof *out);
    infer_tensor_clear(&y);
    infer_session_close(s);
    return rc;
}

/* Within what computing in f16, or TF32, explains: the values go up to 50. */
static enum err_code compare(const float *got, const float *want, struct err *err)
{
    for (int i = 0; i < N_Y; i++)
        if (!(fabsf(got[i] - want[i]) < 0.25f))
            return err_set(err, ERR_CORRUPT, "it computes %g where the CPU computes %g",
                           (double)got[i], (double)want[i]);
    return ERR_NONE;
}

static enum err_code run_and_compare(struct infer *in, const struct infer_provider *p,
                                     struct err *err)
{
    int fd = -1;
    char path[32];
    float got[N_Y], want[N_Y];
    struct infer_ort *ort;
    enum err_code rc = infer_ort_get(in, &ort, err);
    if (rc == ERR_NONE)
        rc = infer_ort_ready(in, ort, p, err);
    if (rc == ERR_NONE)
        rc = memfd_of_bytes(&fd, "network", network, sizeof network, err);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (rc == ERR_NONE)
        rc = run_network(in, NULL, path, want, err);
    if (rc == ERR_NONE)
        rc = run_network(in, p, path, got, err);
    if (rc == ERR_NONE)
        rc = compare(got, want, err);
    memfd_close(&fd);
    return rc;
}

static enum err_code try_it(const struct question *q, struct err *err)
{
    struct infer *in;
    const struct infer_options o = {
        .ort_library = q->ort_library,
        .n_threads = 1,
        .provider = { .name = "cpu",
                      .ep_library = *q->ep_library ? q->ep_library : NULL,
                      .device_id = q->device_id,
                      .half_openvino = q->half_openvino,
                      .half_rocm = q->half_rocm },
    };
    enum err_code rc = infer_create(&in, &o, err);
    if (rc == ERR_NONE)
        rc = run_and_compare(in, &infer_providers[q->which], err);
    infer_destroy(in);
    return rc;
}

enum err_code infer_probe_serve(int fd, struct err *err)
{
    struct question q;
    struct err why = { 0 };
    enum err_code rc = process_recv(fd, &q, sizeof q, NULL, 0, 10000, err);
    if (rc == ERR_NONE && q.which >= infer_n_providers)
        rc = err_set(err, ERR_INVALID, "no provider %u", q.which);
    if (rc != ERR_NONE)
        return rc;
    /* Not to outlive who asked, nor to leave a core file for what was to be expected. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    alarm(q.timeout_s + 5);
    setrlimit(RLIMIT_CORE, &(struct rlimit){ 0 });
    struct answer a = { .code = try_it(&q, &why) };
    snprintf(a.msg, sizeof a.msg, "%s", why.msg);
    return process_send(fd, &a, sizeof a, NULL, 0, err);
}

/* ---- who asks ---- */

/* In slices, so that a service that is to stop does. */
static enum err_code wait_for_answer(const struct infer_provider_options *o, int fd,
                                     struct answer *a, struct err *err)
{
    const int64_t start = clock_mono_ns();
    for (;;) {
        struct err why = { 0 };
        enum err_code rc = process_recv(fd, a, sizeof *a, NULL, 0, 200, &why);
        if (rc == ERR_NONE)
            return rc;
        if (rc != ERR_LIMIT)
            return err_set(err, rc, "%s", why.msg);
        if (o->cancel && atomic_load(o->cancel))
            return err_set(err, ERR_CANCELLED, "its trial was broken off");
        if (clock_ms_since(start) >= 1000.0 * o->probe_timeout_s)
            return err_set(err, rc, "a trial of it took longer than %u s", o->probe_timeout_s);
    }
}

static enum err_code ask(const struct infer *in, const struct infer_ort *ort, unsigned which,
                         struct err *err)
{
    const struct infer_provider_options *o = &in->options.provider;
    struct question q = { .device_id = o->device_id,
                          .half_openvino = o->half_openvino,
                          .half_rocm = o->half_rocm,
                          .which = which,
                          .timeout_s = o->probe_timeout_s };
    struct process child;
    struct answer a = { 0 };
    struct err why = { 0 };
    int status;
    char how[80];
    snprintf(q.ort_library, sizeof q.ort_library, "%s", ort->path);
    snprintf(q.ep_library, sizeof q.ep_library, "%s", o->ep_library ? o->ep_library : "");
    enum err_code rc = process_spawn(&child, o->probe_program, "infer-probe", NULL, err);
    if (rc != ERR_NONE)
        return rc;
    rc = process_send(child.fd, &q, sizeof q, NULL, 0, &why);
    if (rc == ERR_NONE)
        rc = wait_for_answer(o, child.fd, &a, &why);
    process_kill(&child, &status);
    if (rc == ERR_NONE)
        return a.code == ERR_NONE ? a.code : err_set(err, a.code, "%s", a.msg);
    if (rc == ERR_LIMIT || rc == ERR_CANCELLED)
        return err_set(err, rc, "%s", why.msg);
    return err_set(err, rc, "a trial of it was %s", process_describe(status, how));
}

/* Tried, and then made ready here, which may fail all the same. */
static bool passes(const struct infer *in, struct infer_ort *ort, unsigned which, struct err *why)
{
    enum err_code rc = ERR_NONE;
    if (in->options.provider.probe_program)
        rc = ask(in, ort, which, why);
    if (rc == ERR_NONE)
        rc = infer_ort_ready(in, ort, &infer_providers[which], why);
    return rc == ERR_NONE;
}

static bool is_wanted(const struct infer *in, const struct infer_provider *p)
{
    const char *name = in->options.provider.name;
    return name && strcmp(name, "auto") != 0 ? !strcmp(name, p->name) : !p->by_name_only;
}

bool infer_wants_half(const struct infer *in)
{
    const struct infer_provider_options *o = &in->options.provider;
    bool half = false;
    for (size_t i = 0; i < infer_n_providers; i++) {
        const struct infer_provider *p = &infer_providers[i];
        half |= is_wanted(in, p) && ((o->half_openvino && !strcmp(p->name, "openvino")) ||
                                     (o->half_rocm && !strcmp(p->name, "migraphx")));
    }
    return half;
}

/* A reason more, where there is room. */
static void add_reason(struct infer *in, const char *name, const char *reason)
{
    const size_t n = strlen(in->why_not);
    snprintf(in->why_not + n, sizeof in->why_not - n, "%s%s: %s", n ? "; " : "", name, reason);
}

static const struct infer_provider *decide(struct infer *in, struct infer_ort *ort)
{
    const char *name = in->options.provider.name;
    const bool named = name && strcmp(name, "auto") != 0;
    for (unsigned i = 0; i < infer_n_providers; i++) {
        const struct infer_provider *p = &infer_providers[i];
        struct err why = { 0 };
        if (!is_wanted(in, p))
            continue;
        if (!infer_ort_offers(in, ort, p)) {
            if (named)
                add_reason(in, p->name,
                           p->ort_name ? "this ONNX Runtime library does not have it"
                                       : "FOVEA_EP_LIBRARY is not set");
        } else if (passes(in, ort, i, &why)) {
            return p;
        } else {
            add_reason(in, p->name, why.msg);
        }
    }
    return NULL;
}

static void tell(const struct infer *in, const struct infer_provider *p)
{
    if (p && in->why_not[0])
        log_write(LOG_INFO, "not used: %s", in->why_not);
    if (p)
        log_write(LOG_INFO, "networks run on %s", p->name);
    else if (in->why_not[0])
        log_write(LOG_WARN, "networks run on the CPU, %s", in->why_not);
}

/* An engine that runs little does without: a GPU takes longer to start than a few runs on the CPU
 * do. Where there is no library, opening the session says so. */
static const struct infer_provider *get(struct infer *in, bool telling)
{
    const char *name = in->options.provider.name;
    struct infer_ort *ort;
    pthread_mutex_lock(&in->deciding);
    if (!in->decided && in->options.runs != INFER_RUNS_FEW && !(name && !strcmp(name, "cpu")) &&
        infer_ort_get(in, &ort, NULL) == ERR_NONE) {
        const struct infer_provider *p = decide(in, ort);
        if (telling)
            tell(in, p);
        atomic_store(&in->provider, p);
        in->decided = true;
    }
    pthread_mutex_unlock(&in->deciding);
    return atomic_load(&in->provider);
}

const struct infer_provider *infer_provider_get(struct infer *in)
{
    return get(in, true);
}

const char *infer_provider(const struct infer *in)
{
    const struct infer_provider *p = atomic_load(&in->provider);
    return p ? p->name : "cpu";
}

const char *infer_provider_decide(struct infer *in, char *why, size_t n)
{
    get(in, false);
    snprintf(why, n, "%s", in->why_not);
    return infer_provider(in);
}
