/* ort_timer.c - an ONNX Runtime library that times another's runs: FOVEA_ORT_LIBRARY names this
 * one, FOVEA_BENCH_ORT the real one, FOVEA_BENCH_RUNS the file that gets a line for each run, its
 * nanoseconds. Only for compare_service.py: its Run() is the one call that it replaces. */
#include <dlfcn.h>
#include <fcntl.h>
#include <onnxruntime_c_api.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const OrtApi *real;
static OrtApi timed;
static int log_fd = -1;

static long long now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static OrtStatusPtr ORT_API_CALL run(OrtSession *session, const OrtRunOptions *options,
                                     const char *const *in_names, const OrtValue *const *in,
                                     size_t n_in, const char *const *out_names, size_t n_out,
                                     OrtValue **out)
{
    long long begun = now_ns();
    OrtStatusPtr status = real->Run(session, options, in_names, in, n_in, out_names, n_out, out);
    dprintf(log_fd, "%lld\n", now_ns() - begun);
    return status;
}

/* The real library must be no older than the header: the whole table is copied. */
static const OrtApi *ORT_API_CALL get_api(uint32_t version)
{
    const OrtApiBase *(*get_base)(void);
    void *library = dlopen(getenv("FOVEA_BENCH_ORT"), RTLD_NOW | RTLD_LOCAL);
    void *sym = library ? dlsym(library, "OrtGetApiBase") : NULL;
    if (!sym)
        return NULL;
    memcpy(&get_base, &sym, sizeof sym);
    real = get_base()->GetApi(version);
    log_fd = open(getenv("FOVEA_BENCH_RUNS"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (!real || log_fd < 0)
        return NULL;
    memcpy(&timed, real, sizeof timed);
    timed.Run = run;
    return &timed;
}

static const char *ORT_API_CALL get_version(void)
{
    return "timed";
}

const OrtApiBase *OrtGetApiBase(void);
const OrtApiBase *OrtGetApiBase(void)
{
    static const OrtApiBase base = { get_api, get_version };
    return &base;
}
