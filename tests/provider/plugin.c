/* A plug-in execution provider as tests need one: it computes Conv (no padding, stride 1, one
 * group) and MatMul (any by two dimensions) on the CPU, and fails where FAKE_EP says:
 *
 *   good  abort-create  hang-create  error-create  crash-devices  no-devices  many-devices
 *   error-session  abort-run  error-run  wrong-run  nothing
 *   late-error   runs of more than 64 inputs fail: the trial passes
 *   late-memory  a run of more than two rows finds no memory
 *   no-memory    none does
 *
 * FAKE_EP_LOG names a file to which each run adds a line. */
#include <onnxruntime_c_api.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct factory {
    OrtEpFactory face; /* first: ONNX Runtime calls back with its address */
    const OrtApi *api;
};

struct provider {
    OrtEp face;
    const OrtApi *api;
};

struct node {
    OrtNodeComputeInfo face;
    const OrtApi *api;
    bool conv;
};

static bool mode(const char *name)
{
    const char *m = getenv("FAKE_EP");
    return m && !strcmp(m, name);
}

static void hang(void)
{
    for (;;)
        pause();
}

/* ---- computing ---- */

struct tensor {
    const float *data;
    int64_t dims[8];
    size_t n_dims, n;
};

static OrtStatus *get_input(const struct node *node, OrtKernelContext *k, size_t i,
                            struct tensor *t)
{
    const OrtValue *v;
    OrtTensorTypeAndShapeInfo *info = NULL;
    const OrtApi *api = node->api;
    OrtStatus *st = api->KernelContext_GetInput(k, i, &v);
    if (!st)
        st = api->GetTensorTypeAndShape(v, &info);
    if (!st)
        st = api->GetDimensionsCount(info, &t->n_dims);
    if (!st)
        st = api->GetDimensions(info, t->dims, t->n_dims);
    if (!st)
        st = api->GetTensorShapeElementCount(info, &t->n);
    if (!st)
        st = api->GetTensorMutableData((OrtValue *)(uintptr_t)v, (void **)(uintptr_t)&t->data);
    if (info)
        api->ReleaseTensorTypeAndShapeInfo(info);
    return st;
}

static OrtStatus *get_output(const struct node *node, OrtKernelContext *k, const int64_t *dims,
                             size_t n_dims, float **data)
{
    OrtValue *v;
    OrtStatus *st = node->api->KernelContext_GetOutput(k, 0, dims, n_dims, &v);
    return st ? st : node->api->GetTensorMutableData(v, (void **)data);
}

static float conv_at(const struct tensor *x, const struct tensor *w, int64_t n, int64_t m,
                     int64_t row, int64_t column)
{
    float sum = 0;
    for (int64_t c = 0; c < w->dims[1]; c++)
        for (int64_t i = 0; i < w->dims[2]; i++)
            for (int64_t j = 0; j < w->dims[3]; j++)
                sum += w->data[((m * w->dims[1] + c) * w->dims[2] + i) * w->dims[3] + j] *
                       x->data[((n * x->dims[1] + c) * x->dims[2] + row + i) * x->dims[3] + column +
                               j];
    return sum;
}

static OrtStatus *conv(const struct node *node, OrtKernelContext *k, const struct tensor *x,
                       const struct tensor *w)
{
    const int64_t dims[4] = { x->dims[0], w->dims[0], x->dims[2] - w->dims[2] + 1,
                              x->dims[3] - w->dims[3] + 1 };
    float *y;
    OrtStatus *st = get_output(node, k, dims, 4, &y);
    for (int64_t n = 0; n < dims[0] && !st; n++)
        for (int64_t m = 0; m < dims[1]; m++)
            for (int64_t i = 0; i < dims[2]; i++)
                for (int64_t j = 0; j < dims[3]; j++)
                    *y++ = conv_at(x, w, n, m, i, j);
    return st;
}

static OrtStatus *matmul(const struct node *node, OrtKernelContext *k, const struct tensor *a,
                         const struct tensor *b)
{
    int64_t dims[8];
    const size_t last = a->n_dims - 1, inner = (size_t)b->dims[0], columns = (size_t)b->dims[1];
    float *y;
    memcpy(dims, a->dims, sizeof dims);
    dims[last] = b->dims[1];
    OrtStatus *st = get_output(node, k, dims, a->n_dims, &y);
    for (size_t r = 0; r < a->n / inner && !st; r++)
        for (size_t c = 0; c < columns; c++, y++) {
            *y = mode("wrong-run") ? 7 : 0;
            for (size_t i = 0; i < inner; i++)
                *y += a->data[r * inner + i] * b->data[i * columns + c];
        }
    return st;
}

static void log_run(const struct node *node)
{
    const char *path = getenv("FAKE_EP_LOG");
    FILE *f = path ? fopen(path, "a") : NULL;
    if (f) {
        fprintf(f, "%s %d\n", node->conv ? "Conv" : "MatMul", (int)getpid());
        fclose(f);
    }
}

static OrtStatus *ORT_API_CALL compute(OrtNodeComputeInfo *face, void *state, OrtKernelContext *k)
{
    const struct node *node = (const struct node *)face;
    struct tensor a, b;
    (void)state;
    log_run(node);
    if (mode("abort-run"))
        abort();
    OrtStatus *st = get_input(node, k, 0, &a);
    if (!st)
        st = get_input(node, k, 1, &b);
    if (st)
        return st;
    if (mode("error-run") || (mode("late-error") && a.n > 64))
        return node->api->CreateStatus(ORT_FAIL, "the device was lost");
    if (mode("no-memory") || (mode("late-memory") && a.dims[0] > 2))
        return node->api->CreateStatus(ORT_FAIL, "CUDA failure 2: out of memory");
    return node->conv ? conv(node, k, &a, &b) : matmul(node, k, &a, &b);
}

static OrtStatus *ORT_API_CALL create_state(OrtNodeComputeInfo *face, OrtNodeComputeContext *c,
                                            void **state)
{
    (void)c;
    *state = face;
    return NULL;
}

static void ORT_API_CALL release_state(OrtNodeComputeInfo *face, void *state)
{
    (void)face, (void)state;
}

/* ---- the provider ---- */

static const char *ORT_API_CALL ep_name(const OrtEp *face)
{
    (void)face;
    return "FakeExecutionProvider";
}

/* With two inputs and, as far as the number of attributes tells, all as it is by default: Conv has
 * two that ONNX Runtime fills in. */
static bool is_op(const OrtApi *api, const OrtNode *node, const char *op)
{
    const char *type = "";
    size_t n_inputs = 0, n_attributes = 0;
    OrtStatus *st = api->Node_GetOperatorType(node, &type);
    if (!st)
        st = api->Node_GetNumInputs(node, &n_inputs);
    if (!st)
        st = api->Node_GetNumAttributes(node, &n_attributes);
    if (st)
        api->ReleaseStatus(st);
    return !strcmp(type, op) && n_inputs == 2 && n_attributes <= 2;
}

static OrtStatus *ORT_API_CALL get_capability(OrtEp *face, const OrtGraph *graph,
                                              OrtEpGraphSupportInfo *info)
{
    const OrtApi *api = ((struct provider *)face)->api;
    const OrtNode *nodes[64];
    size_t n;
    OrtStatus *st = api->Graph_GetNumNodes(graph, &n);
    if (st || n > 64 || mode("nothing"))
        return st;
    st = api->Graph_GetNodes(graph, nodes, n);
    for (size_t i = 0; i < n && !st; i++)
        if (is_op(api, nodes[i], "Conv") || is_op(api, nodes[i], "MatMul"))
            st = api->GetEpApi()->EpGraphSupportInfo_AddNodesToFuse(
                info, &nodes[i], 1,
                &(OrtNodeFusionOptions){ .ort_version_supported = ORT_API_VERSION });
    return st;
}

static OrtStatus *ORT_API_CALL compile(OrtEp *face, const OrtGraph **graphs, const OrtNode **fused,
                                       size_t n, OrtNodeComputeInfo **infos, OrtNode **contexts)
{
    const OrtApi *api = ((struct provider *)face)->api;
    (void)fused, (void)contexts;
    for (size_t i = 0; i < n; i++) {
        const OrtNode *inner;
        OrtStatus *st = api->Graph_GetNodes(graphs[i], &inner, 1);
        struct node *node = st ? NULL : calloc(1, sizeof *node);
        if (!node)
            return st;
        *node = (struct node){ .face = { .ort_version_supported = ORT_API_VERSION,
                                         .CreateState = create_state,
                                         .Compute = compute,
                                         .ReleaseState = release_state },
                               .api = api,
                               .conv = is_op(api, inner, "Conv") };
        infos[i] = &node->face;
    }
    return NULL;
}

static void ORT_API_CALL release_nodes(OrtEp *face, OrtNodeComputeInfo **infos, size_t n)
{
    (void)face;
    for (size_t i = 0; i < n; i++)
        free(infos[i]);
}

/* ---- the factory ---- */

static const char *ORT_API_CALL factory_name(const OrtEpFactory *face)
{
    (void)face;
    return "FakeExecutionProvider";
}

static const char *ORT_API_CALL factory_vendor(const OrtEpFactory *face)
{
    (void)face;
    return "tests";
}

static uint32_t ORT_API_CALL factory_vendor_id(const OrtEpFactory *face)
{
    (void)face;
    return 0;
}

static const char *ORT_API_CALL factory_version(const OrtEpFactory *face)
{
    (void)face;
    return "1.0.0";
}

static bool ORT_API_CALL is_stream_aware(const OrtEpFactory *face)
{
    (void)face;
    return false;
}

static OrtStatus *ORT_API_CALL no_data_transfer(OrtEpFactory *face, OrtDataTransferImpl **out)
{
    (void)face;
    *out = NULL;
    return NULL;
}

static OrtStatus *ORT_API_CALL get_devices(OrtEpFactory *face,
                                           const OrtHardwareDevice *const *devices, size_t n,
                                           OrtEpDevice **out, size_t max, size_t *n_out)
{
    const OrtApi *api = ((struct factory *)face)->api;
    OrtStatus *st = NULL;
    *n_out = 0;
    if (mode("no-devices"))
        return NULL;
    if (mode("many-devices")) { /* of which none is there */
        *n_out = max;
        return NULL;
    }
    if (mode("crash-devices"))
        raise(SIGSEGV);
    for (size_t i = 0; i < n && !*n_out && !st; i++)
        if (api->HardwareDevice_Type(devices[i]) == OrtHardwareDeviceType_CPU)
            st = api->GetEpApi()->CreateEpDevice(face, devices[i], NULL, NULL, &out[(*n_out)++]);
    return st;
}

static OrtStatus *ORT_API_CALL create_ep(OrtEpFactory *face,
                                         const OrtHardwareDevice *const *devices,
                                         const OrtKeyValuePairs *const *metadata, size_t n,
                                         const OrtSessionOptions *options, const OrtLogger *logger,
                                         OrtEp **out)
{
    const OrtApi *api = ((struct factory *)face)->api;
    (void)devices, (void)metadata, (void)n, (void)options, (void)logger;
    if (mode("error-session"))
        return api->CreateStatus(ORT_FAIL, "no driver for the device");
    struct provider *p = calloc(1, sizeof *p);
    if (!p)
        return api->CreateStatus(ORT_FAIL, "no memory");
    *p = (struct provider){ .face = { .ort_version_supported = ORT_API_VERSION,
                                      .GetName = ep_name,
                                      .GetCapability = get_capability,
                                      .Compile = compile,
                                      .ReleaseNodeComputeInfos = release_nodes },
                            .api = api };
    *out = &p->face;
    return NULL;
}

static void ORT_API_CALL release_ep(OrtEpFactory *face, OrtEp *ep)
{
    (void)face;
    free(ep);
}

__attribute__((visibility("default"))) OrtStatus *CreateEpFactories(const char *name,
                                                                    const OrtApiBase *base,
                                                                    const OrtLogger *logger,
                                                                    OrtEpFactory **factories,
                                                                    size_t max, size_t *n);
__attribute__((visibility("default"))) OrtStatus *ReleaseEpFactory(OrtEpFactory *factory);

OrtStatus *CreateEpFactories(const char *name, const OrtApiBase *base, const OrtLogger *logger,
                             OrtEpFactory **factories, size_t max, size_t *n)
{
    const OrtApi *api = base->GetApi(ORT_API_VERSION);
    (void)name, (void)logger, (void)max;
    if (mode("abort-create"))
        abort();
    if (mode("hang-create"))
        hang();
    if (mode("error-create"))
        return api->CreateStatus(ORT_FAIL, "libcudart.so.13: cannot open shared object file");
    struct factory *f = calloc(1, sizeof *f);
    if (!f)
        return api->CreateStatus(ORT_FAIL, "no memory");
    *f = (struct factory){ .face = { .ort_version_supported = ORT_API_VERSION,
                                     .GetName = factory_name,
                                     .GetVendor = factory_vendor,
                                     .GetVendorId = factory_vendor_id,
                                     .GetVersion = factory_version,
                                     .GetSupportedDevices = get_devices,
                                     .CreateEp = create_ep,
                                     .ReleaseEp = release_ep,
                                     .CreateDataTransfer = no_data_transfer,
                                     .IsStreamAware = is_stream_aware },
                           .api = api };
    factories[0] = &f->face;
    *n = 1;
    return NULL;
}

OrtStatus *ReleaseEpFactory(OrtEpFactory *factory)
{
    free(factory);
    return NULL;
}
