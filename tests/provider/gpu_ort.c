/* A false ONNX Runtime: the library at FAKE_ORT_REAL, which says that it has the providers of
 * FAKE_ORT_PROVIDERS (commas between). With FAKE_ORT_LOG set, adding one succeeds and adds a line
 * to that file, "CUDA device_id=0 ...", and the CPU does its work; else adding fails as it does in
 * the real library. */
#include <dlfcn.h>
#include <onnxruntime_c_api.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const OrtApi *real;

static OrtStatus *ORT_API_CALL get_providers(char ***out, int *n)
{
    char *all = strdup(getenv("FAKE_ORT_PROVIDERS"));
    *out = calloc(16, sizeof **out);
    *n = 0;
    for (char *rest = all, *name; (name = strsep(&rest, ","));)
        (*out)[(*n)++] = strdup(name);
    free(all);
    return NULL;
}

static OrtStatus *ORT_API_CALL release_providers(char **names, int n)
{
    for (int i = 0; i < n; i++)
        free(names[i]);
    free(names);
    return NULL;
}

static void log_options(const char *name, const char *const *keys, const char *const *values,
                        size_t n)
{
    FILE *f = fopen(getenv("FAKE_ORT_LOG"), "a");
    if (!f)
        return;
    fprintf(f, "%s", name);
    for (size_t i = 0; i < n; i++)
        fprintf(f, " %s=%s", keys[i], values[i]);
    fprintf(f, "\n");
    fclose(f);
}

/* The options of all three kinds are something that is not NULL. */
static int something;

static OrtStatus *ORT_API_CALL create_cuda(OrtCUDAProviderOptionsV2 **out)
{
    *out = (OrtCUDAProviderOptionsV2 *)(void *)&something;
    return NULL;
}

static OrtStatus *ORT_API_CALL update_cuda(OrtCUDAProviderOptionsV2 *o, const char *const *keys,
                                           const char *const *values, size_t n)
{
    (void)o;
    log_options("CUDA", keys, values, n);
    return NULL;
}

static OrtStatus *ORT_API_CALL append_cuda(OrtSessionOptions *s, const OrtCUDAProviderOptionsV2 *o)
{
    (void)s, (void)o;
    return NULL;
}

static void ORT_API_CALL release_cuda(OrtCUDAProviderOptionsV2 *o)
{
    (void)o;
}

static OrtStatus *ORT_API_CALL create_trt(OrtTensorRTProviderOptionsV2 **out)
{
    *out = (OrtTensorRTProviderOptionsV2 *)(void *)&something;
    return NULL;
}

static OrtStatus *ORT_API_CALL update_trt(OrtTensorRTProviderOptionsV2 *o, const char *const *keys,
                                          const char *const *values, size_t n)
{
    (void)o;
    log_options("TensorRT", keys, values, n);
    return NULL;
}

static OrtStatus *ORT_API_CALL append_trt(OrtSessionOptions *s,
                                          const OrtTensorRTProviderOptionsV2 *o)
{
    (void)s, (void)o;
    return NULL;
}

static void ORT_API_CALL release_trt(OrtTensorRTProviderOptionsV2 *o)
{
    (void)o;
}

static OrtStatus *ORT_API_CALL create_rocm(OrtROCMProviderOptions **out)
{
    *out = (OrtROCMProviderOptions *)(void *)&something;
    return NULL;
}

static OrtStatus *ORT_API_CALL update_rocm(OrtROCMProviderOptions *o, const char *const *keys,
                                           const char *const *values, size_t n)
{
    (void)o;
    log_options("ROCm", keys, values, n);
    return NULL;
}

static OrtStatus *ORT_API_CALL append_rocm(OrtSessionOptions *s, const OrtROCMProviderOptions *o)
{
    (void)s, (void)o;
    return NULL;
}

static void ORT_API_CALL release_rocm(OrtROCMProviderOptions *o)
{
    (void)o;
}

static OrtStatus *ORT_API_CALL append_by_name(OrtSessionOptions *s, const char *name,
                                              const char *const *keys, const char *const *values,
                                              size_t n)
{
    (void)s;
    log_options(name, keys, values, n);
    return NULL;
}

static const OrtApi *ORT_API_CALL get_api(uint32_t version)
{
    static OrtApi api;
    if (version > 16) /* as old as the last that had all of these */
        return NULL;
    api = *real;
    api.GetAvailableProviders = get_providers;
    api.ReleaseAvailableProviders = release_providers;
    if (!getenv("FAKE_ORT_LOG"))
        return &api;
    api.CreateCUDAProviderOptions = create_cuda;
    api.UpdateCUDAProviderOptions = update_cuda;
    api.SessionOptionsAppendExecutionProvider_CUDA_V2 = append_cuda;
    api.ReleaseCUDAProviderOptions = release_cuda;
    api.CreateTensorRTProviderOptions = create_trt;
    api.UpdateTensorRTProviderOptions = update_trt;
    api.SessionOptionsAppendExecutionProvider_TensorRT_V2 = append_trt;
    api.ReleaseTensorRTProviderOptions = release_trt;
    api.CreateROCMProviderOptions = create_rocm;
    api.UpdateROCMProviderOptions = update_rocm;
    api.SessionOptionsAppendExecutionProvider_ROCM = append_rocm;
    api.ReleaseROCMProviderOptions = release_rocm;
    api.SessionOptionsAppendExecutionProvider = append_by_name;
    return &api;
}

static const char *ORT_API_CALL get_version_string(void)
{
    return "1.16.0";
}

__attribute__((visibility("default"))) const OrtApiBase *OrtGetApiBase(void)
{
    static const OrtApiBase base = { get_api, get_version_string };
    const OrtApiBase *(*get_base)(void);
    void *lib = dlopen(getenv("FAKE_ORT_REAL"), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    void *sym = lib ? dlsym(lib, "OrtGetApiBase") : NULL;
    memcpy(&get_base, &sym, sizeof sym);
    if (!sym)
        return NULL;
    real = get_base()->GetApi(16);
    return &base;
}
