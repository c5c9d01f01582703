/* ort_provider.c - what ONNX Runtime is told of a provider: by its own function for CUDA, TensorRT
 * and ROCm, by name for MIGraphX and OpenVINO, by device for a plug-in. Options as Immich 3.1 has
 * them (sessions/ort.py). Where a provider keeps what it compiles, that is in a folder of its own
 * for each network below the cache folder. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "infer/ort.h"
#include "sys/file.h"

enum { PAIRS_MAX = 4, VALUE_MAX = 1024, DEVICES_MAX = 64 }; /* VALUE_MAX is ONNX Runtime's limit */

struct pairs {
    size_t n;
    const char *keys[PAIRS_MAX], *values[PAIRS_MAX];
    char text[PAIRS_MAX][VALUE_MAX];
};

static void add(struct pairs *p, const char *key, const char *value)
{
    snprintf(p->text[p->n], VALUE_MAX, "%s", value);
    p->keys[p->n] = key;
    p->values[p->n] = p->text[p->n];
    p->n++;
}

static void add_device(struct pairs *p, const struct infer *in)
{
    char id[16];
    snprintf(id, sizeof id, "%d", in->options.provider.device_id);
    add(p, "device_id", id);
}

/* Without the folder where it cannot be made: it compiles each time. */
static bool add_folder(struct pairs *p, const char *key, const struct infer *in, const char *name,
                       const char *path)
{
    uint8_t where[HASH_BYTES];
    char hex[HASH_HEX], dir[VALUE_MAX];
    hash_bytes(path, strlen(path), where);
    hash_hex(where, hex);
    if (!in->options.cache_dir ||
        snprintf(dir, sizeof dir, "%s/%s-%.16s", in->options.cache_dir, name, hex) >=
            (int)sizeof dir ||
        file_make_dirs(dir, NULL) != ERR_NONE)
        return false;
    add(p, key, dir);
    return true;
}

/* ---- one function a provider ---- */

struct call {
    const struct infer *in;
    const struct infer_ort *ort;
    const OrtApi *api;
    const char *path; /* the network's */
    OrtSessionOptions *options;
};

static OrtStatus *append_cuda(const struct call *c)
{
    OrtCUDAProviderOptionsV2 *o = NULL;
    struct pairs p = { 0 };
    add_device(&p, c->in);
    add(&p, "arena_extend_strategy", "kSameAsRequested");
    OrtStatus *st = c->api->CreateCUDAProviderOptions(&o);
    if (!st)
        st = c->api->UpdateCUDAProviderOptions(o, p.keys, p.values, p.n);
    if (!st)
        st = c->api->SessionOptionsAppendExecutionProvider_CUDA_V2(c->options, o);
    if (o)
        c->api->ReleaseCUDAProviderOptions(o);
    return st;
}

/* CUDA after it: for the nodes that it does not take. */
static OrtStatus *append_tensorrt(const struct call *c)
{
    OrtTensorRTProviderOptionsV2 *o = NULL;
    struct pairs p = { 0 };
    add_device(&p, c->in);
    if (add_folder(&p, "trt_engine_cache_path", c->in, "tensorrt", c->path))
        add(&p, "trt_engine_cache_enable", "1");
    OrtStatus *st = c->api->CreateTensorRTProviderOptions(&o);
    if (!st)
        st = c->api->UpdateTensorRTProviderOptions(o, p.keys, p.values, p.n);
    if (!st)
        st = c->api->SessionOptionsAppendExecutionProvider_TensorRT_V2(c->options, o);
    if (o)
        c->api->ReleaseTensorRTProviderOptions(o);
    return st ? st : append_cuda(c);
}

static OrtStatus *append_rocm(const struct call *c)
{
    OrtROCMProviderOptions *o = NULL;
    struct pairs p = { 0 };
    add_device(&p, c->in);
    add(&p, "arena_extend_strategy", "kSameAsRequested");
    OrtStatus *st = c->api->CreateROCMProviderOptions(&o);
    if (!st)
        st = c->api->UpdateROCMProviderOptions(o, p.keys, p.values, p.n);
    if (!st)
        st = c->api->SessionOptionsAppendExecutionProvider_ROCM(c->options, o);
    if (o)
        c->api->ReleaseROCMProviderOptions(o);
    return st;
}

static OrtStatus *append_migraphx(const struct call *c)
{
    struct pairs p = { 0 };
    add_device(&p, c->in);
    add(&p, "migraphx_fp16_enable", c->in->options.provider.half_rocm ? "1" : "0");
    (void)add_folder(&p, "migraphx_model_cache_dir", c->in, "migraphx", c->path);
    return c->api->SessionOptionsAppendExecutionProvider(c->options, "MIGraphX", p.keys, p.values,
                                                         p.n);
}

static OrtStatus *append_openvino_on(const struct call *c, const char *device,
                                     const char *precision)
{
    struct pairs p = { 0 };
    add(&p, "device_type", device);
    add(&p, "precision", precision);
    (void)add_folder(&p, "cache_dir", c->in, "openvino", c->path);
    return c->api->SessionOptionsAppendExecutionProvider(c->options, "OpenVINO", p.keys, p.values,
                                                         p.n);
}

static OrtStatus *append_openvino(const struct call *c)
{
    char device[32];
    snprintf(device, sizeof device, "GPU.%d", c->in->options.provider.device_id);
    return append_openvino_on(c, device, c->in->options.provider.half_openvino ? "FP16" : "FP32");
}

/* The C API does not list its devices, so one without a GPU is another provider. It refuses FP16
 * there. */
static OrtStatus *append_openvino_cpu(const struct call *c)
{
    return append_openvino_on(c, "CPU", "FP32");
}

static OrtStatus *append_plugin(const struct call *c)
{
    return c->api->SessionOptionsAppendExecutionProvider_V2(c->options, c->ort->env,
                                                            &c->ort->plugin, 1, NULL, NULL, 0);
}

static const struct way {
    const char *name;
    uint32_t api; /* the version that has what is called */
    OrtStatus *(*append)(const struct call *c);
} ways[] = {
    { "plugin", 22, append_plugin },     { "cuda", 11, append_cuda },
    { "migraphx", 12, append_migraphx }, { "rocm", 16, append_rocm },
    { "openvino", 12, append_openvino }, { "openvino-cpu", 12, append_openvino_cpu },
    { "tensorrt", 11, append_tensorrt },
};

static enum err_code way_of(const struct infer_ort *ort, const struct infer_provider *p,
                            const struct way **way, const OrtApi **api, struct err *err)
{
    for (*way = ways; strcmp((*way)->name, p->name) != 0;)
        ++*way;
    *api = ort->base->GetApi((*way)->api);
    if (!*api)
        return err_set(err, ERR_UNSUPPORTED, "ONNX Runtime %s is too old, 1.%u is needed",
                       ort->version, (*way)->api);
    return ERR_NONE;
}

enum err_code infer_ort_append(const struct infer *in, const struct infer_ort *ort,
                               const struct infer_provider *p, const char *path,
                               OrtSessionOptions *options, struct err *err)
{
    const struct way *way;
    struct call c = { .in = in, .ort = ort, .path = path, .options = options };
    enum err_code rc = way_of(ort, p, &way, &c.api, err);
    return rc == ERR_NONE
               ? infer_ort_check(ort, way->append(&c), ERR_UNSUPPORTED, "it cannot be added", err)
               : rc;
}

bool infer_ort_offers(const struct infer *in, const struct infer_ort *ort,
                      const struct infer_provider *p)
{
    char **names;
    int n;
    bool found = false;
    if (!p->ort_name)
        return in->options.provider.ep_library;
    if (infer_ort_check(ort, ort->api->GetAvailableProviders(&names, &n), ERR_INTERNAL, "", NULL) !=
        ERR_NONE)
        return false;
    for (int i = 0; i < n; i++)
        found |= !strcmp(names[i], p->ort_name);
    (void)infer_ort_check(ort, ort->api->ReleaseAvailableProviders(names, n), ERR_INTERNAL, "",
                          NULL);
    return found;
}

/* ---- the plug-in ---- */

struct devices {
    size_t n;
    const OrtEpDevice *at[DEVICES_MAX];
};

/* All that the environment has, but those of `known`. */
static enum err_code list_devices(const struct infer_ort *ort, const OrtApi *api,
                                  const struct devices *known, struct devices *out, struct err *err)
{
    const OrtEpDevice *const *all;
    size_t n;
    out->n = 0;
    enum err_code rc = infer_ort_check(ort, api->GetEpDevices(ort->env, &all, &n), ERR_INTERNAL,
                                       "the plug-in's devices", err);
    for (size_t i = 0; rc == ERR_NONE && i < n && out->n < DEVICES_MAX; i++) {
        bool is_known = false;
        for (size_t k = 0; known && k < known->n; k++)
            is_known |= known->at[k] == all[i];
        if (!is_known)
            out->at[out->n++] = all[i];
    }
    return rc;
}

/* The device_id-th of the best kind that there is. */
static enum err_code pick_device(const struct infer *in, struct infer_ort *ort, const OrtApi *api,
                                 const struct devices *d, struct err *err)
{
    static const OrtHardwareDeviceType kinds[] = { OrtHardwareDeviceType_GPU,
                                                   OrtHardwareDeviceType_NPU,
                                                   OrtHardwareDeviceType_CPU };
    const int wanted = in->options.provider.device_id;
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        int n = 0;
        for (size_t i = 0; i < d->n; i++)
            if (api->HardwareDevice_Type(api->EpDevice_Device(d->at[i])) == kinds[k] &&
                n++ == wanted) {
                ort->plugin = d->at[i];
                return ERR_NONE;
            }
        if (n)
            return err_set(err, ERR_NOT_FOUND, "%s has %d device%s, the wanted one is number %d",
                           in->options.provider.ep_library, n, n == 1 ? "" : "s", wanted);
    }
    return err_set(err, ERR_NOT_FOUND, "%s has no device here", in->options.provider.ep_library);
}

/* ONNX Runtime takes a relative path from where its own library is, not from here. */
static enum err_code register_plugin(const struct infer *in, const struct infer_ort *ort,
                                     const OrtApi *api, struct err *err)
{
    const char *given = in->options.provider.ep_library;
    char *path = realpath(given, NULL);
    enum err_code rc = infer_ort_check(
        ort, api->RegisterExecutionProviderLibrary(ort->env, "fovea-plugin", path ? path : given),
        ERR_UNSUPPORTED, given, err);
    free(path);
    return rc;
}

enum err_code infer_ort_ready(const struct infer *in, struct infer_ort *ort,
                              const struct infer_provider *p, struct err *err)
{
    const struct way *way;
    const OrtApi *api;
    struct devices before, after;
    if (p->ort_name || ort->plugin)
        return ERR_NONE;
    enum err_code rc = way_of(ort, p, &way, &api, err);
    if (rc == ERR_NONE)
        rc = list_devices(ort, api, NULL, &before, err);
    if (rc == ERR_NONE)
        rc = register_plugin(in, ort, api, err);
    if (rc == ERR_NONE)
        rc = list_devices(ort, api, &before, &after, err);
    return rc == ERR_NONE ? pick_device(in, ort, api, &after, err) : rc;
}
