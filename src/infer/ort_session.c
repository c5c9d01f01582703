/* ort_session.c - one network in ONNX Runtime: opened (from its prepared form where there is one)
 * and run. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"
#include "infer/ort_forms.h"
#include "infer/prefix.h"
#include "infer/prepared.h"
#include "sys/memory.h"

struct network {
    const struct infer_ort *ort;
    char *path; /* of model.onnx */
    struct infer_ort_forms forms;
    OrtMemoryInfo *cpu;
    struct file_map map; /* the prepared form; empty if it was read from model.onnx */
    size_t n_map;        /* of it, the network's */
};

static const struct {
    ONNXTensorElementDataType ort;
    enum infer_type ours;
} types[] = {
    { ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, INFER_F32 },
    { ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32, INFER_I32 },
    { ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64, INFER_I64 },
    { ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8, INFER_U8 },
};
enum { N_TYPES = sizeof types / sizeof *types };

static bool our_type(ONNXTensorElementDataType t, enum infer_type *out)
{
    for (int i = 0; i < N_TYPES; i++)
        if (types[i].ort == t) {
            *out = types[i].ours;
            return true;
        }
    return false;
}

static ONNXTensorElementDataType ort_type(enum infer_type t)
{
    for (int i = 0; i < N_TYPES; i++)
        if (types[i].ours == t)
            return types[i].ort;
    return ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
}

/* Type and shape of a port or of a value. */
static enum err_code read_shape(const struct infer_ort *ort, const OrtTensorTypeAndShapeInfo *info,
                                const char *what, enum infer_type *type, size_t *n_dims,
                                int64_t dims[INFER_DIMS_MAX], struct err *err)
{
    const OrtApi *api = ort->api;
    ONNXTensorElementDataType t;
    enum err_code rc =
        infer_ort_check(ort, api->GetTensorElementType(info, &t), ERR_INTERNAL, what, err);
    if (rc == ERR_NONE && !our_type(t, type))
        rc = err_set(err, ERR_UNSUPPORTED, "%s: elements of ONNX type %d", what, (int)t);
    if (rc == ERR_NONE)
        rc = infer_ort_check(ort, api->GetDimensionsCount(info, n_dims), ERR_INTERNAL, what, err);
    if (rc == ERR_NONE && *n_dims > INFER_DIMS_MAX)
        rc = err_set(err, ERR_UNSUPPORTED, "%s: %zu dimensions, the limit is %d", what, *n_dims,
                     INFER_DIMS_MAX);
    if (rc == ERR_NONE)
        rc = infer_ort_check(ort, api->GetDimensions(info, dims, *n_dims), ERR_INTERNAL, what, err);
    return rc;
}

static enum err_code read_port(const struct network *w, bool input, size_t i, struct infer_port *p,
                               struct err *err)
{
    const OrtApi *api = w->ort->api;
    OrtAllocator *heap;
    OrtTypeInfo *info = NULL;
    const OrtTensorTypeAndShapeInfo *shape = NULL;
    char *name = NULL;
    enum err_code rc = infer_ort_check(w->ort, api->GetAllocatorWithDefaultOptions(&heap),
                                       ERR_INTERNAL, "network", err);
    if (rc != ERR_NONE)
        return rc;
    rc = infer_ort_check(w->ort,
                         input ? api->SessionGetInputName(w->forms.first, i, heap, &name)
                               : api->SessionGetOutputName(w->forms.first, i, heap, &name),
                         ERR_CORRUPT, "network", err);
    if (rc == ERR_NONE && snprintf(p->name, sizeof p->name, "%s", name) >= (int)sizeof p->name)
        rc = err_set(err, ERR_UNSUPPORTED, "input or output name longer than %d: %.60s...",
                     INFER_NAME_MAX - 1, name);
    if (rc == ERR_NONE)
        rc = infer_ort_check(w->ort,
                             input ? api->SessionGetInputTypeInfo(w->forms.first, i, &info)
                                   : api->SessionGetOutputTypeInfo(w->forms.first, i, &info),
                             ERR_CORRUPT, p->name, err);
    if (rc == ERR_NONE)
        rc = infer_ort_check(w->ort, api->CastTypeInfoToTensorInfo(info, &shape), ERR_CORRUPT,
                             p->name, err);
    if (rc == ERR_NONE && !shape)
        rc = err_set(err, ERR_UNSUPPORTED, "%s: not a tensor", p->name);
    if (rc == ERR_NONE)
        rc = read_shape(w->ort, shape, p->name, &p->type, &p->n_dims, p->dims, err);
    if (info)
        api->ReleaseTypeInfo(info);
    if (name)
        heap->Free(heap, name);
    return rc;
}

static enum err_code read_ports(struct infer_session *s, struct err *err)
{
    const struct network *w = s->state;
    const OrtApi *api = w->ort->api;
    enum err_code rc =
        infer_ort_check(w->ort, api->SessionGetInputCount(w->forms.first, &s->n_inputs),
                        ERR_CORRUPT, "network", err);
    if (rc == ERR_NONE)
        rc = infer_ort_check(w->ort, api->SessionGetOutputCount(w->forms.first, &s->n_outputs),
                             ERR_CORRUPT, "network", err);
    if (rc == ERR_NONE && (s->n_inputs > INFER_PORTS_MAX || s->n_outputs > INFER_PORTS_MAX))
        rc = err_set(err, ERR_UNSUPPORTED, "%zu inputs and %zu outputs, the limit is %d each",
                     s->n_inputs, s->n_outputs, INFER_PORTS_MAX);
    for (size_t i = 0; i < s->n_inputs && rc == ERR_NONE; i++)
        rc = read_port(w, true, i, &s->inputs[i], err);
    for (size_t i = 0; i < s->n_outputs && rc == ERR_NONE; i++)
        rc = read_port(w, false, i, &s->outputs[i], err);
    return rc;
}

struct setting {
    const char *key, *value;
};

/* in_place: the network comes optimised and from memory that stays. packs: its weights are copied
 * into the order that kernels read them in.
 * Measured on 96 pictures through EfficientNet-Lite0, two threads: workers that spin between runs
 * take 945 ms of CPU instead of 648, and more wall time as soon as anything else runs. Planning
 * memory by pattern holds 8-15 MB more for no gain; no arena at all costs 5 % at a batch of one and
 * 60 % at eight. A batch of eight takes 15 % longer a picture than a batch of one. */
static enum err_code make_options(const struct infer *in, const struct infer_ort *ort,
                                  bool in_place, bool packs, const char *save_as,
                                  OrtSessionOptions **out, struct err *err)
{
    const struct setting settings[] = {
        { "session.intra_op.allow_spinning", "0" },
        { "session.inter_op.allow_spinning", "0" },
        { "session.disable_prepacking", packs ? "0" : "1" },
        { "session.use_ort_model_bytes_directly", in_place ? "1" : "0" },
        { "session.use_ort_model_bytes_for_initializers", in_place ? "1" : "0" },
        { "session.save_model_format", "ORT" },
        { "session.use_env_allocators", ort->heap ? "1" : "0" },
    };
    const OrtApi *api = ort->api;
    OrtStatus *st = api->CreateSessionOptions(out);
    if (!st)
        st = api->SetIntraOpNumThreads(*out, (int)in->options.n_threads);
    if (!st)
        st = api->SetInterOpNumThreads(*out, 1);
    if (!st)
        st = api->DisableMemPattern(*out);
    if (!st)
        st = api->SetSessionGraphOptimizationLevel(*out,
                                                   in_place ? ORT_DISABLE_ALL : ORT_ENABLE_ALL);
    for (size_t i = 0; i < sizeof settings / sizeof *settings && !st; i++)
        st = api->AddSessionConfigEntry(*out, settings[i].key, settings[i].value);
    if (!st && save_as)
        st = api->SetOptimizedModelFilePath(*out, save_as);
    return infer_ort_check(ort, st, ERR_INTERNAL, "ONNX Runtime's options", err);
}

/* The session's provider, where it has one; a node it does not take is the CPU's. */
static enum err_code append_provider(const struct infer_session *s, const struct infer_ort *ort,
                                     const char *path, OrtSessionOptions *options, struct err *err)
{
    OrtStatus *st = NULL;
    if (!s->provider)
        return ERR_NONE;
    if (s->whole)
        st = ort->api->AddSessionConfigEntry(options, "session.disable_cpu_ep_fallback", "1");
    enum err_code rc = infer_ort_check(ort, st, ERR_INTERNAL, "ONNX Runtime's options", err);
    return rc == ERR_NONE ? infer_ort_append(s->engine, ort, s->provider, path, options, err) : rc;
}

/* From the map where there is one, else from the file at path; optimised and saved where save_as is
 * set. */
static enum err_code create(const struct infer_session *s, const char *path, bool packs,
                            const char *save_as, OrtSession **out, struct err *err)
{
    const struct network *w = s->state;
    const void *bytes = w->map.data;
    const OrtApi *api = w->ort->api;
    OrtSessionOptions *options = NULL;
    enum err_code rc =
        make_options(s->engine, w->ort, bytes != NULL, packs, save_as, &options, err);
    if (rc == ERR_NONE)
        rc = append_provider(s, w->ort, path, options, err);
    if (rc == ERR_NONE)
        rc = infer_ort_check(
            w->ort,
            bytes ? api->CreateSessionFromArray(w->ort->env, bytes, w->n_map, options, out)
                  : api->CreateSession(w->ort->env, path, options, out),
            ERR_CORRUPT, path, err);
    if (options)
        api->ReleaseSessionOptions(options);
    return rc;
}

static enum err_code pack(void *arg, OrtSession **out, struct err *err)
{
    const struct infer_session *s = arg;
    const struct network *w = s->state;
    enum err_code rc = create(s, w->path, true, NULL, out, err);
    if (rc == ERR_NONE)
        log_write(LOG_DEBUG, "%s: packed", w->path);
    return rc;
}

static bool open_prepared(struct infer_session *s, const struct infer_prepared *p)
{
    struct network *w = s->state;
    struct err why = { 0 };
    if (!infer_prepared_open(p, &s->engine->seen, &w->map, &w->n_map))
        return false;
    const enum infer_runs runs = s->engine->options.runs;
    const bool packs = runs == INFER_RUNS_MANY;
    if (create(s, p->file, packs, NULL, &w->forms.first, &why) == ERR_NONE) {
        w->forms.pack = runs == INFER_RUNS_SOME ? pack : NULL;
        w->forms.arg = s;
        w->forms.map = &w->map;
        w->forms.n_runs = 0; /* of trials */
        if (packs)
            infer_ort_forms_packed(&w->forms);
        return true;
    }
    log_write(LOG_WARN, "%s; prepared again", why.msg);
    file_map_close(&w->map);
    return false;
}

static void release(struct network *w)
{
    if (w->forms.first)
        w->ort->api->ReleaseSession(w->forms.first);
    w->forms.first = NULL;
    memory_give_back(); /* the network's size and more, which nothing else here will need */
}

/* What the rows of a trial give with the network at path, which is saved where save_as is set. */
static enum err_code try_rows(struct infer_session *s, const char *path, const char *save_as,
                              const struct infer_prefix *prefix, bool cut, struct buf *out,
                              struct err *err)
{
    struct network *w = s->state;
    enum err_code rc = create(s, path, false, save_as, &w->forms.first, err);
    if (rc == ERR_NONE)
        rc = read_ports(s, err);
    if (rc == ERR_NONE)
        rc = prefix->try_fn(prefix->arg, s, cut, out, err);
    release(w);
    return rc;
}

/* But for the order in which a kernel may add. */
static bool agree_row(const float *a, const float *b, size_t n)
{
    float most = 0, apart = 0;
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(a[i]) || !isfinite(b[i]))
            return false;
        most = fmaxf(most, fabsf(a[i]));
        apart = fmaxf(apart, fabsf(a[i] - b[i]));
    }
    return apart <= 1e-5f * most;
}

/* Each row by itself: the vectors of one text may be much longer than another's. */
static bool agree(const struct buf *whole, const struct buf *cut, size_t n_rows)
{
    const float *a = (const void *)whole->data, *b = (const void *)cut->data;
    const size_t n = whole->len / sizeof *a / n_rows;
    bool agreed = n && whole->len == cut->len && whole->len == n * n_rows * sizeof *a;
    for (size_t i = 0; i < n_rows && agreed; i++)
        agreed = agree_row(a + i * n, b + i * n, n);
    return agreed;
}

/* The network's other form, saved to part; an error where it has none. It lies there as an ONNX
 * file first, which is read whole before what it became is written over it: a second file would
 * have to be cleared away after a crash. */
static enum err_code save_prefix(struct infer_session *s, const struct infer_network *network,
                                 const struct infer_prepared_part *part, struct err *err)
{
    const struct infer_prefix *prefix = network->prefix;
    struct file_map map = { 0 };
    struct buf whole = { 0 }, cut = { 0 };
    enum err_code rc = file_map_open(&map, network->path, err);
    if (rc == ERR_NONE && ftruncate(part->fd, 0))
        rc = err_set(err, ERR_IO, "%s: %s", part->path, strerror(errno));
    if (rc == ERR_NONE)
        rc = infer_prefix_write(part->fd, map.data, map.size, err);
    file_map_close(&map);
    if (rc == ERR_NONE)
        rc = try_rows(s, network->path, NULL, prefix, false, &whole, err);
    if (rc == ERR_NONE)
        rc = try_rows(s, part->path, part->path, prefix, true, &cut, err);
    if (rc == ERR_NONE && !agree(&whole, &cut, prefix->n_rows))
        rc = err_set(err, ERR_UNSUPPORTED, "the beginning of a row does not settle the answer");
    buf_clear(&whole);
    buf_clear(&cut);
    return rc;
}

/* Optimise the network at path and keep the outcome. The session that it takes for that is not
 * used: it holds the weights both as they were read and as they are saved, twice their size.
 * Nothing is kept on failure (disk full, over the format's 2 GB), and the caller loads without. */
static void prepare(struct infer_session *s, const struct infer_network *network,
                    const struct infer_prepared *p)
{
    struct infer_prepared_part part;
    struct err why = { 0 };
    if (!infer_prepared_claim(p, &part))
        return;
    enum err_code rc = network->prefix ? save_prefix(s, network, &part, &why) : ERR_UNSUPPORTED;
    if (rc != ERR_NONE) {
        if (network->prefix)
            log_write(LOG_DEBUG, "%s: rows are read to their end: %s", network->path, why.msg);
        struct network *w = s->state;
        rc = create(s, network->path, false, part.path, &w->forms.first, &why);
        release(w);
    }
    if (rc == ERR_NONE)
        rc = infer_prepared_keep(p, &part, &why);
    else
        infer_prepared_drop(&part);
    if (rc != ERR_NONE)
        log_write(LOG_DEBUG, "network not kept prepared: %s", why.msg);
}

static enum err_code ort_open(struct infer_session *s, const struct infer_network *network,
                              struct err *err)
{
    const struct infer *in = s->engine;
    const char *path = network->path;
    struct infer_ort *ort;
    struct infer_prepared p;
    enum err_code rc = infer_ort_get(s->engine, &ort, err);
    if (rc != ERR_NONE)
        return rc;
    struct network *w = calloc(1, sizeof *w);
    if (!w)
        return err_set(err, ERR_NOMEM, "%s: session", path);
    w->ort = ort;
    infer_ort_forms_init(&w->forms, ort);
    s->state = w;
    w->path = str_ndup(path, strlen(path));
    if (!w->path)
        return err_set(err, ERR_NOMEM, "%s: session", path);
    rc = infer_ort_check(
        ort, ort->api->CreateCpuMemoryInfo(OrtDeviceAllocator, OrtMemTypeDefault, &w->cpu),
        ERR_INTERNAL, path, err);
    if (rc != ERR_NONE)
        return rc;
    bool keep =
        network->identity && !s->provider && in->options.cache_dir &&
        infer_prepared_name(&p, in->options.cache_dir, network, ort->version, NULL) == ERR_NONE;
    bool opened = keep && open_prepared(s, &p);
    if (keep && !opened) {
        prepare(s, network, &p);
        opened = open_prepared(s, &p);
    }
    if (!opened)
        rc = create(s, path, in->options.runs != INFER_RUNS_FEW, NULL, &w->forms.first, err);
    if (rc == ERR_NONE)
        rc = read_ports(s, err) == ERR_NONE ? ERR_NONE : err_prefix(err, "%s", path);
    return rc;
}

static void ort_close(struct infer_session *s)
{
    struct network *w = s->state;
    infer_ort_forms_clear(&w->forms);
    infer_ort_heap_empty(w->ort->heap);
    if (w->cpu)
        w->ort->api->ReleaseMemoryInfo(w->cpu);
    file_map_close(&w->map);
    free(w->path);
    free(w);
}

/* A value and the way to free it, for a tensor that outlives this file's functions. */
struct held {
    const OrtApi *api;
    OrtValue *value;
};

static void release_held(void *owner)
{
    struct held *h = owner;
    h->api->ReleaseValue(h->value);
    free(h);
}

/* value becomes the tensor's, or is released. */
static enum err_code take_output(const struct infer_ort *ort, OrtValue *value, const char *name,
                                 struct infer_tensor *t, struct err *err)
{
    OrtTensorTypeAndShapeInfo *info = NULL;
    struct held *h = malloc(sizeof *h);
    if (!h) {
        ort->api->ReleaseValue(value);
        return err_set(err, ERR_NOMEM, "network output");
    }
    *h = (struct held){ ort->api, value };
    *t = (struct infer_tensor){ .owner = h, .free_fn = release_held };
    enum err_code rc = infer_ort_check(ort, ort->api->GetTensorTypeAndShape(value, &info),
                                       ERR_INTERNAL, name, err);
    if (rc == ERR_NONE)
        rc = read_shape(ort, info, name, &t->type, &t->n_dims, t->dims, err);
    if (rc == ERR_NONE)
        rc = infer_ort_check(ort, ort->api->GetTensorMutableData(value, &t->data), ERR_INTERNAL,
                             name, err);
    if (info)
        ort->api->ReleaseTensorTypeAndShapeInfo(info);
    return rc;
}

static enum err_code wrap_input(const struct network *w, const struct infer_port *p,
                                const struct infer_tensor *t, OrtValue **out, struct err *err)
{
    size_t n;
    enum err_code rc = infer_count(t, &n, err);
    if (rc != ERR_NONE)
        return rc;
    return infer_ort_check(
        w->ort,
        w->ort->api->CreateTensorWithDataAsOrtValue(w->cpu, t->data, n * infer_type_bytes(t->type),
                                                    t->dims, t->n_dims, ort_type(t->type), out),
        ERR_INTERNAL, p->name, err);
}

static enum err_code ort_run(struct infer_session *s, const struct infer_tensor *in,
                             struct infer_tensor *out, size_t n_out, struct err *err)
{
    struct network *w = s->state;
    const char *in_names[INFER_PORTS_MAX], *out_names[INFER_PORTS_MAX];
    OrtValue *in_values[INFER_PORTS_MAX] = { 0 }, *out_values[INFER_PORTS_MAX] = { 0 };
    enum err_code rc = ERR_NONE;
    for (size_t i = 0; i < s->n_inputs && rc == ERR_NONE; i++) {
        in_names[i] = s->inputs[i].name;
        rc = wrap_input(w, &s->inputs[i], &in[i], &in_values[i], err);
    }
    for (size_t i = 0; i < n_out; i++)
        out_names[i] = s->outputs[i].name;
    OrtSession *session = infer_ort_forms_take(&w->forms);
    if (rc == ERR_NONE)
        rc = infer_ort_check(w->ort,
                             w->ort->api->Run(session, NULL, in_names,
                                              (const OrtValue *const *)in_values, s->n_inputs,
                                              out_names, n_out, out_values),
                             ERR_INTERNAL, "network", err);
    infer_ort_forms_give(&w->forms, session, true);
    for (size_t i = 0; i < n_out; i++) {
        enum err_code got = ERR_NONE;
        if (out_values[i])
            got = take_output(w->ort, out_values[i], out_names[i], &out[i], err);
        rc = rc == ERR_NONE ? got : rc;
    }
    for (size_t i = 0; i < s->n_inputs; i++)
        if (in_values[i])
            w->ort->api->ReleaseValue(in_values[i]);
    infer_ort_heap_after_run(w->ort->heap);
    return rc;
}

static enum err_code ort_metadata(const struct infer_session *s, const char *key, char **value,
                                  struct err *err)
{
    struct network *w = s->state;
    const OrtApi *api = w->ort->api;
    OrtModelMetadata *all = NULL;
    OrtAllocator *heap;
    char *found = NULL;
    OrtStatus *st = api->GetAllocatorWithDefaultOptions(&heap);
    OrtSession *session = infer_ort_forms_take(&w->forms);
    if (!st)
        st = api->SessionGetModelMetadata(session, &all);
    infer_ort_forms_give(&w->forms, session, false);
    if (!st)
        st = api->ModelMetadataLookupCustomMetadataMap(all, heap, key, &found);
    enum err_code rc = infer_ort_check(w->ort, st, ERR_INTERNAL, key, err);
    *value = found ? strdup(found) : NULL;
    if (found && !*value)
        rc = err_set(err, ERR_NOMEM, "metadata %s", key);
    if (found)
        heap->Free(heap, found);
    if (all)
        api->ReleaseModelMetadata(all);
    return rc;
}

const struct infer_backend infer_ort_backend = { ort_open, ort_run, ort_metadata, ort_close };
