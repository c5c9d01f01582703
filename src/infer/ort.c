/* ort.c - the library itself: found, opened, its version checked, its log taken over.
 *
 * It is opened with dlopen, so that a build with another execution provider (CUDA, OpenVINO) is
 * dropped in without building anything, and what needs no network starts without its 35 MB. It
 * stays mapped until the process ends: its threads and static state do not survive dlclose. */
#include "infer/ort.h"

#include <dlfcn.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"
#include "sys/file.h"

static const char *const sonames[] = { "libonnxruntime.so.1", "libonnxruntime.so" };
enum { N_SONAMES = sizeof sonames / sizeof *sonames };

/* It says the same again in the status that a call returns, so an error here is news only where a
 * provider fell back in silence. */
static void ORT_API_CALL take_log(void *ctx, OrtLoggingLevel severity, const char *category,
                                  const char *id, const char *where, const char *message)
{
    (void)ctx, (void)category, (void)id, (void)where;
    log_write(severity >= ORT_LOGGING_LEVEL_FATAL ? LOG_ERROR : LOG_INFO, "ONNX Runtime: %s",
              message);
}

/* Of "/source/file.cc:393 function [ONNXRuntimeError] : 1 : FAIL : what happened" the last. */
static const char *the_point(const char *message)
{
    const char *at = strstr(message, "[ONNXRuntimeError] : ");
    for (int i = 0; i < 3 && at; i++) {
        at = strstr(at, " : ");
        at = at ? at + 3 : NULL;
    }
    return at ? at : message;
}

/* Providers have no code for it: the CPU's and the GPUs' arenas, CUDA, cuBLAS, HIP, OpenCL. */
static bool says_memory(const char *message)
{
    static const char *const words[] = {
        "Failed to allocate memory", "out of memory", "bad_alloc",
        "ErrorMemoryAllocation",     "OUT_OF_MEMORY", "ALLOC_FAILED",
        "OUT_OF_RESOURCES"
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcasestr(message, words[i]))
            return true;
    return false;
}

enum err_code infer_ort_check(const struct infer_ort *ort, OrtStatus *status, enum err_code other,
                              const char *what, struct err *err)
{
    if (!status)
        return ERR_NONE;
    enum err_code code = other;
    switch (ort->api->GetErrorCode(status)) {
    case ORT_NO_SUCHFILE: code = ERR_NOT_FOUND; break;
    case ORT_NO_MODEL:
    case ORT_INVALID_PROTOBUF:
    case ORT_INVALID_GRAPH: code = ERR_CORRUPT; break;
    case ORT_NOT_IMPLEMENTED: code = ERR_UNSUPPORTED; break;
    default: break;
    }
    const char *message = the_point(ort->api->GetErrorMessage(status));
    code = says_memory(message) ? ERR_NOMEM : code;
    err_set(err, code, "%s: %.*s", what, (int)strcspn(message, "\n"), message);
    ort->api->ReleaseStatus(status);
    return code;
}

static void *try_open(const char *path, char *why, size_t n)
{
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    const char *e = handle ? NULL : dlerror();
    if (e)
        snprintf(why, n, "%s", e);
    return handle;
}

/* Beside the binary (where the build links it too), where it is installed, the system's path. A
 * file that is there but does not load ends the search: silence about it would mislead. */
static void *search(struct infer_ort *ort, char *why, size_t n)
{
    char self[2048];
    if (file_self_dir(self, sizeof self))
        for (int i = 0; i < 2 * N_SONAMES; i++) {
            snprintf(ort->path, sizeof ort->path, "%s/%s%s", self,
                     i < N_SONAMES ? "" : "../lib/fovea/", sonames[i % N_SONAMES]);
            if (file_exists(ort->path))
                return try_open(ort->path, why, n);
        }
    void *handle = NULL;
    for (int i = 0; i < N_SONAMES && !handle; i++) {
        snprintf(ort->path, sizeof ort->path, "%s", sonames[i]);
        handle = try_open(ort->path, why, n);
    }
    if (!handle)
        snprintf(why, n, "no %s beside the binary, in ../lib/fovea or on the system's path",
                 sonames[0]);
    return handle;
}

static enum err_code open_library(struct infer_ort *ort, const char *library, struct err *err)
{
    char why[400] = "";
    void *handle;
    if (library && *library) {
        snprintf(ort->path, sizeof ort->path, "%s", library);
        handle = try_open(library, why, sizeof why);
    } else {
        handle = search(ort, why, sizeof why);
    }
    if (!handle)
        return err_set(err, ERR_NOT_FOUND,
                       "ONNX Runtime: %s; FOVEA_ORT_LIBRARY names the library's file", why);
    /* POSIX has objects and functions share a representation; C does not let it be cast. */
    const OrtApiBase *(*get_base)(void);
    void *sym = dlsym(handle, "OrtGetApiBase");
    memcpy(&get_base, &sym, sizeof sym);
    if (!sym)
        return err_set(err, ERR_UNSUPPORTED, "%s: not an ONNX Runtime library", ort->path);
    const OrtApiBase *base = ort->base = get_base();
    ort->version = base->GetVersionString();
    ort->api = base->GetApi(INFER_ORT_API_VERSION);
    if (!ort->api)
        return err_set(err, ERR_UNSUPPORTED, "%s: ONNX Runtime %s is too old, 1.%d is needed",
                       ort->path, ort->version, INFER_ORT_API_VERSION);
    return ERR_NONE;
}

static enum err_code open_runtime(struct infer_ort **out, const char *library, struct err *err)
{
    struct infer_ort *ort = calloc(1, sizeof *ort);
    if (!ort)
        return err_set(err, ERR_NOMEM, "ONNX Runtime");
    enum err_code rc = open_library(ort, library, err);
    if (rc == ERR_NONE)
        rc = infer_ort_check(ort,
                             ort->api->CreateEnvWithCustomLogger(
                                 take_log, NULL, ORT_LOGGING_LEVEL_ERROR, "fovea", &ort->env),
                             ERR_INTERNAL, "ONNX Runtime", err);
    if (rc == ERR_NONE)
        rc = infer_ort_check(ort, ort->api->DisableTelemetryEvents(ort->env), ERR_INTERNAL,
                             "ONNX Runtime", err);
    if (rc == ERR_NONE)
        rc = infer_ort_heap_create(&ort->heap, ort, err);
    if (rc == ERR_NONE)
        *out = ort;
    else
        infer_ort_close(ort);
    return rc;
}

enum err_code infer_ort_get(struct infer *in, struct infer_ort **out, struct err *err)
{
    enum err_code rc = ERR_NONE;
    pthread_mutex_lock(&in->lock);
    if (!in->ort)
        rc = open_runtime(&in->ort, in->options.ort_library, err);
    *out = in->ort;
    pthread_mutex_unlock(&in->lock);
    return rc;
}

void infer_ort_close(struct infer_ort *ort)
{
    if (!ort)
        return;
    infer_ort_heap_destroy(ort->heap);
    if (ort->env)
        ort->api->ReleaseEnv(ort->env);
    free(ort);
}

/* Pages of the library that nobody can have written, so that the file has them all. */
static int let_go(struct dl_phdr_info *lib, size_t size, void *arg)
{
    const struct infer_ort *ort = arg;
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    (void)size;
    if (strcmp(lib->dlpi_name, ort->path) != 0)
        return 0;
    for (size_t i = 0; i < lib->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &lib->dlpi_phdr[i];
        uintptr_t at = (lib->dlpi_addr + p->p_vaddr + page - 1) & ~(page - 1);
        uintptr_t end = (lib->dlpi_addr + p->p_vaddr + p->p_memsz) & ~(page - 1);
        if (p->p_type == PT_LOAD && !(p->p_flags & PF_W) && at < end)
            (void)madvise((void *)at, end - at, MADV_DONTNEED);
    }
    return 1;
}

void infer_pause(struct infer *in)
{
    pthread_mutex_lock(&in->lock);
    if (in->ort)
        infer_ort_heap_empty(in->ort->heap);
    pthread_mutex_unlock(&in->lock);
}

void infer_rest(struct infer *in)
{
    pthread_mutex_lock(&in->lock);
    if (in->ort)
        dl_iterate_phdr(let_go, in->ort);
    pthread_mutex_unlock(&in->lock);
}

enum err_code infer_describe(struct infer *in, char *out, size_t n, struct err *err)
{
    struct infer_ort *ort;
    enum err_code rc = infer_ort_get(in, &ort, err);
    if (rc == ERR_NONE)
        snprintf(out, n, "ONNX Runtime %s (%s)", ort->version, ort->path);
    return rc;
}
