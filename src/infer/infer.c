#include "infer/infer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "infer/provider.h"
#include "infer/session.h"
#include "sys/clock.h"
#include "sys/cpu.h"
#include "sys/file.h"

static const struct {
    const char *name;
    size_t bytes;
} types[] = {
    [INFER_F32] = { "f32", 4 },
    [INFER_I32] = { "i32", 4 },
    [INFER_I64] = { "i64", 8 },
    [INFER_U8] = { "u8", 1 },
};

size_t infer_type_bytes(enum infer_type type)
{
    return types[type].bytes;
}

const char *infer_type_name(enum infer_type type)
{
    return types[type].name;
}

enum err_code infer_count(const struct infer_tensor *t, size_t *n, struct err *err)
{
    size_t count = 1, bytes;
    for (size_t i = 0; i < t->n_dims; i++)
        if (t->dims[i] < 0 || __builtin_mul_overflow(count, (size_t)t->dims[i], &count))
            return err_set(err, ERR_LIMIT, "tensor dimension %zu is %lld", i,
                           (long long)t->dims[i]);
    if (__builtin_mul_overflow(count, infer_type_bytes(t->type), &bytes) ||
        bytes > INFER_TENSOR_MAX_BYTES)
        return err_set(err, ERR_LIMIT, "tensor of %zu elements, the limit is %zu bytes", count,
                       INFER_TENSOR_MAX_BYTES);
    *n = count;
    return ERR_NONE;
}

void infer_tensor_clear(struct infer_tensor *t)
{
    if (t->free_fn)
        t->free_fn(t->owner);
    *t = (struct infer_tensor){ 0 };
}

static bool copy(const char *s, const char **out)
{
    *out = s ? str_ndup(s, strlen(s)) : NULL;
    return *out || !s;
}

/* ONNX Runtime's own builds (1.29 and later, on Linux too) keep an identifier of the machine below
 * ~/.cache and send events to their maker. DisableTelemetryEvents() comes too late for the first
 * and leaves the sender's threads; this (Privacy.md of the package) is read as the library starts.
 * That of 1.32 woke every few seconds, and with it 3 MB of code that infer_rest() had let go. */
static bool keep_to_ourselves(void)
{
    return !setenv("ORT_DISABLE_TELEMETRY", "1", 1);
}

enum err_code infer_create(struct infer **out, const struct infer_options *o, struct err *err)
{
    *out = NULL;
    struct infer *in = calloc(1, sizeof *in);
    if (!in)
        return err_set(err, ERR_NOMEM, "inference engine");
    pthread_mutex_init(&in->lock, NULL);
    pthread_mutex_init(&in->deciding, NULL);
    pthread_mutex_init(&in->seen.lock, NULL);
    in->options = (struct infer_options){ .n_threads = o->n_threads ? o->n_threads : cpu_count(),
                                          .runs = o->runs,
                                          .provider = o->provider };
    struct infer_provider_options *p = &in->options.provider;
    p->name = p->ep_library = p->probe_program = NULL;
    if (!keep_to_ourselves() || !copy(o->ort_library, &in->options.ort_library) ||
        !copy(o->cache_dir, &in->options.cache_dir) || !copy(o->provider.name, &p->name) ||
        !copy(o->provider.ep_library, &p->ep_library) ||
        !copy(o->provider.probe_program, &p->probe_program)) {
        infer_destroy(in);
        return err_set(err, ERR_NOMEM, "inference engine");
    }
    *out = in;
    return ERR_NONE;
}

void infer_destroy(struct infer *in)
{
    if (!in)
        return;
    infer_ort_close(in->ort);
    pthread_mutex_destroy(&in->lock);
    pthread_mutex_destroy(&in->deciding);
    pthread_mutex_destroy(&in->seen.lock);
    const struct infer_provider_options *p = &in->options.provider;
    const char *const strings[] = { in->options.ort_library, in->options.cache_dir, p->name,
                                    p->ep_library, p->probe_program };
    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++)
        free((char *)(uintptr_t)strings[i]);
    free(in);
}

/* The first bytes decide, not the name: a test puts a fake where a model is looked for. */
static enum err_code is_fake(const char *path, bool *fake, struct err *err)
{
    struct file_info info;
    enum err_code rc = file_stat(path, &info, err); /* a FIFO would block fopen */
    if (rc != ERR_NONE)
        return rc;
    char head[sizeof INFER_FAKE_MAGIC - 1];
    FILE *f = fopen(path, "rbe");
    if (!f)
        return err_set(err, ERR_IO, "%s: cannot open", path);
    *fake = fread(head, 1, sizeof head, f) == sizeof head &&
            !memcmp(head, INFER_FAKE_MAGIC, sizeof head);
    fclose(f);
    return ERR_NONE;
}

enum err_code infer_session_open_on(struct infer_session **out, struct infer *in,
                                    const struct infer_backend *backend,
                                    const struct infer_provider *provider, bool whole,
                                    const struct infer_network *network, struct err *err)
{
    *out = NULL;
    struct infer_session *s = calloc(1, sizeof *s);
    if (!s)
        return err_set(err, ERR_NOMEM, "%s: session", network->path);
    s->engine = in;
    s->backend = backend;
    s->provider = provider;
    s->whole = whole;
    enum err_code rc = s->backend->open(s, network, err);
    if (rc == ERR_NONE)
        *out = s;
    else
        infer_session_close(s);
    return rc;
}

enum err_code infer_session_open(struct infer_session **out, struct infer *in,
                                 const struct infer_network *network, struct err *err)
{
    bool fake = false;
    *out = NULL;
    enum err_code rc = is_fake(network->path, &fake, err);
    if (rc != ERR_NONE)
        return rc;
    const struct infer_provider *p = fake ? NULL : infer_provider_get(in);
    return infer_session_open_on(out, in,
                                 fake ? &infer_fake_backend
                                 : p  ? &infer_fallback_backend
                                      : &infer_ort_backend,
                                 p, false, network, err);
}

void infer_session_close(struct infer_session *s)
{
    if (s && s->state)
        s->backend->close(s);
    free(s);
}

size_t infer_n_inputs(const struct infer_session *s)
{
    return s->n_inputs;
}

size_t infer_n_outputs(const struct infer_session *s)
{
    return s->n_outputs;
}

const struct infer_port *infer_input(const struct infer_session *s, size_t i)
{
    return &s->inputs[i];
}

const struct infer_port *infer_output(const struct infer_session *s, size_t i)
{
    return &s->outputs[i];
}

/* "f32 [1, 3, ?, 224]" */
static void put_shape(char out[160], enum infer_type type, const int64_t *dims, size_t n_dims)
{
    size_t n = (size_t)snprintf(out, 160, "%s [", infer_type_name(type));
    for (size_t i = 0; i < n_dims; i++) {
        const char *comma = i ? ", " : "";
        n +=
            (size_t)(dims[i] < 0 ? snprintf(out + n, 160 - n, "%s?", comma)
                                 : snprintf(out + n, 160 - n, "%s%lld", comma, (long long)dims[i]));
        n = n < 150 ? n : 150;
    }
    snprintf(out + n, 160 - n, "]");
}

static enum err_code check_input(const struct infer_port *p, const struct infer_tensor *t,
                                 struct err *err)
{
    bool fits = t->type == p->type && t->n_dims == p->n_dims;
    for (size_t i = 0; fits && i < p->n_dims; i++)
        fits = p->dims[i] < 0 || p->dims[i] == t->dims[i];
    size_t n;
    if (fits)
        return infer_count(t, &n, err);
    char got[160], want[160];
    put_shape(got, t->type, t->dims, t->n_dims < INFER_DIMS_MAX ? t->n_dims : INFER_DIMS_MAX);
    put_shape(want, p->type, p->dims, p->n_dims);
    return err_set(err, ERR_INVALID, "network input \"%s\" takes %s, not %s", p->name, want, got);
}

static _Thread_local int64_t thread_ns;

int64_t infer_thread_ns(void)
{
    return thread_ns;
}

enum err_code infer_run(struct infer_session *s, const struct infer_tensor *in, size_t n_in,
                        struct infer_tensor *out, size_t n_out, struct err *err)
{
    memset(out, 0, n_out * sizeof *out);
    if (n_in != s->n_inputs || n_out > s->n_outputs)
        return err_set(err, ERR_INVALID, "network has %zu inputs and %zu outputs, not %zu and %zu",
                       s->n_inputs, s->n_outputs, n_in, n_out);
    for (size_t i = 0; i < n_in; i++) {
        enum err_code rc = check_input(&s->inputs[i], &in[i], err);
        if (rc != ERR_NONE)
            return rc;
    }
    int64_t start = clock_mono_ns();
    enum err_code rc = infer_run_rows(s, in, out, n_out, err);
    thread_ns += clock_mono_ns() - start;
    for (size_t i = 0; rc != ERR_NONE && i < n_out; i++)
        infer_tensor_clear(&out[i]);
    return rc;
}

enum err_code infer_metadata(const struct infer_session *s, const char *key, char **value,
                             struct err *err)
{
    *value = NULL;
    return s->backend->metadata(s, key, value, err);
}
