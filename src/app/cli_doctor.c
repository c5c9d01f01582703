/* cli_doctor.c - is everything there that fovea needs, and what to do where it is not. */
#include <stdlib.h>
#include <string.h>

#include "app/cli.h"
#include "app/engine.h"
#include "app/footprint.h"
#include "app/out.h"
#include "app/speed.h"
#include "base/str.h"
#include "infer/infer.h"
#include "library/library.h"
#include "simd/simd.h"
#include "sys/cpu.h"
#include "sys/file.h"
#include "sys/memory.h"

static const struct cli_option options[] = {
    { "library", 0, "DIR", "the library's folder (default: $FOVEA_LIBRARY)" },
    { NULL, 0, NULL, NULL },
};

/* A thing that is missing but not needed yet is no fault. */
enum mark { GOOD, NOTE, FAULT };

static int n_faults;

static void tell(enum mark mark, const char *what, const char *text)
{
    static const char *const marks[] = { "ok", "--", "FAULT" };
    n_faults += mark == FAULT;
    printf("%-6s %-16s ", marks[mark], what);
    out_path(stdout, text);
    printf("\n");
}

static void check_cpu(void)
{
    char name[128], isa[64], text[256];
    cpu_name(name);
    snprintf(text, sizeof text, "%s, %s; kernels: %s", name, out_count(cpu_count(), "core").text,
             simd_describe(simd_used(), isa));
    tell(GOOD, "CPU", text);
}

/* What does not work was told, so the rest is done on the CPU and it is not tried again. */
static void check_infer(struct config *c)
{
    struct err err = { 0 };
    struct infer *in = NULL;
    struct infer_options o = engine_infer(c, 1, ENGINE_BATCH);
    char text[1024], why[ERR_MSG_MAX];
    enum err_code rc = infer_create(&in, &o, &err);
    if (rc == ERR_NONE)
        rc = infer_describe(in, text, sizeof text, &err);
    tell(rc == ERR_NONE ? GOOD : FAULT, "inference", rc == ERR_NONE ? text : err.msg);
    if (rc == ERR_NONE) {
        const char *provider = infer_provider_decide(in, why, sizeof why);
        snprintf(text, sizeof text, "%s%s%s", provider, *why ? "; not used: " : "", why);
        tell(*why ? NOTE : GOOD, "provider", text);
        if (!strcmp(provider, config_providers[CONFIG_CPU]))
            c->provider = CONFIG_CPU;
    }
    infer_destroy(in);
}

static void check_helper(void)
{
    char path[4096];
    if (engine_helper_path(path))
        tell(GOOD, "decode helper", path);
    else
        tell(FAULT, "decode helper", "fovea-decode is not beside fovea: only JPEG can be read");
}

/* Both towers, as a run and a search load them; their vectors are compared, so must be alike. */
static enum err_code load_model(const struct config *c, struct err *err)
{
    struct engine e;
    struct predict_bundle *b = NULL;
    size_t dims[2] = { 0 };
    enum err_code rc = engine_init(&e, c, 1, ENGINE_ONCE, err);
    if (rc != ERR_NONE)
        return rc;
    for (enum model_type t = MODEL_VISUAL; t <= MODEL_TEXTUAL; t++) {
        rc = predict_acquire(e.predict, MODEL_CLIP, t, c->model, &b, err);
        if (rc != ERR_NONE)
            break;
        dims[t] = t == MODEL_VISUAL ? task_clip_visual_dim(b->clip_visual)
                                    : task_clip_textual_dim(b->clip_textual);
        predict_release(e.predict, b);
    }
    engine_clear(&e);
    if (rc == ERR_NONE && dims[MODEL_VISUAL] != dims[MODEL_TEXTUAL])
        rc = err_set(
            err, ERR_CORRUPT,
            "%s: its visual/ gives vectors of %zu dimensions, its textual/ of %zu, so words "
            "find nothing; put both folders of one model there",
            c->model, dims[MODEL_VISUAL], dims[MODEL_TEXTUAL]);
    return rc;
}

struct models {
    bool chosen, works; /* the one of the settings: is it there, does it load */
    size_t n;           /* of whatever task */
    const struct config *config;
};

static uint64_t network_bytes(const struct model_folder *f)
{
    char identity[HASH_HEX];
    uint64_t total = 0, n;
    for (int k = 0; k < PREDICT_N_KINDS; k++)
        if (predict_kinds[k].task == f->task &&
            model_identity(f, predict_kinds[k].type, identity, &n, NULL) == ERR_NONE)
            total += n;
    return total;
}

static enum err_code tell_model(const struct model_folder *f, void *ctx, struct err *err)
{
    (void)err;
    struct models *m = ctx;
    char text[MODEL_NAME_MAX + 64], size[16];
    struct err why = { 0 };
    bool is = f->task == MODEL_CLIP && !strcmp(f->name, m->config->model);
    m->chosen |= is;
    uint64_t n_bytes = network_bytes(f);
    m->n++;
    snprintf(text, sizeof text, "%s/%s, %s%s", model_task_name(f->task), f->name,
             str_bytes(n_bytes, size), is ? " (used by default)" : "");
    if (is && load_model(m->config, &why) != ERR_NONE) {
        tell(FAULT, "model", why.msg);
        return ERR_NONE;
    }
    m->works |= is;
    tell(GOOD, "model", text);
    return ERR_NONE;
}

static void check_memory(const struct config *c)
{
    char text[320], all[16], left[16];
    struct err err = { 0 };
    struct footprint is;
    if (footprint_measure(c, &is, &err) != ERR_NONE) {
        tell(FAULT, "memory", err.msg);
        return;
    }
    const uint64_t available = memory_available();
    int n = snprintf(
        text, sizeof text, "a service that uses all models here takes about %s; %s free",
        str_bytes(is.n_bytes, all), available ? str_bytes(available, left) : "unknown how much is");
    const bool too_much = available && is.n_bytes > available;
    if (too_much && n > 0 && (size_t)n < sizeof text)
        snprintf(text + n, sizeof text - (size_t)n,
                 ". Set FOVEA_MODELS_MIB=%llu, so that idle models make room, or use smaller ones",
                 (unsigned long long)((double)available * 0.8 * (double)is.file_bytes /
                                      (double)is.n_bytes) >>
                     20);
    tell(too_much ? NOTE : GOOD, "memory", text);
}

static void check_speed(const struct config *c)
{
    char text[256];
    struct speed s;
    struct err err = { 0 };
    if (speed_measure(c, &s, &err) != ERR_NONE) {
        tell(FAULT, "speed", err.msg);
        return;
    }
    snprintf(text, sizeof text,
             "%.*f photos a second with %s, decoding aside; 10,000 in %.*f minutes",
             s.images_per_s<10, s.images_per_s, out_count(s.n_threads, "thread").text,
                            s.images_per_s> 20,
             10000 / 60.0 / s.images_per_s);
    tell(GOOD, "speed", text);
    if (simd_used() != simd_detect())
        tell(NOTE, "speed", "FOVEA_SIMD keeps the kernels from what this processor has: unset it");
}

static void check_models(const struct config *c)
{
    struct models m = { .config = c };
    struct err err = { 0 };
    if (model_list(c->models_dir, tell_model, &m, &err) != ERR_NONE) {
        tell(FAULT, "models", err.msg);
        return;
    }
    struct model_folder f;
    /* A library needs it, which is said there; the service takes what it is asked for. */
    if (!m.chosen && model_find(c->models_dir, MODEL_CLIP, c->model, &f, &err) != ERR_NONE)
        tell(NOTE, "model", err.msg);
    if (m.works)
        check_speed(c);
    if (m.n)
        check_memory(c);
}

static void check_vectors(struct store *s, const char *dir, const struct config *c)
{
    struct predict *p = NULL;
    struct predict_options o = { .models_dir = c->models_dir, .cache_dir = c->cache_dir };
    struct library_vectors v = { 0 };
    struct err err = { 0 };
    char space[HASH_HEX], text[512];
    enum err_code rc = predict_create(&p, &o, &err);
    if (rc == ERR_NONE)
        rc = predict_space(p, c->model, space, &err);
    enum mark mark = rc == ERR_NONE ? NOTE : FAULT;
    if (rc == ERR_NONE)
        rc = library_vectors_open(&v, s, dir, space, &err);
    if (rc != ERR_NONE)
        tell(mark, "vectors", err.msg);
    else if (v.sidecar_fault) {
        snprintf(text, sizeof text,
                 "sidecar: %.300s; searches are slower; `fovea index` writes it anew",
                 v.sidecar_fault);
        tell(NOTE, "vectors", text);
    } else {
        snprintf(text, sizeof text, "%zu in the sidecar, %zu beside it", v.sidecar.view.n_rows,
                 v.tail.view.n_rows);
        tell(GOOD, "vectors", text);
    }
    library_vectors_close(&v);
    predict_destroy(p);
}

static void check_library(const char *dir, const struct config *c)
{
    struct err err = { 0 };
    struct store *s = NULL;
    struct store_counts n;
    enum err_code rc = store_open(&s, dir, STORE_READ, &err);
    if (rc == ERR_NOT_FOUND) {
        tell(NOTE, "library", err.msg);
        return;
    }
    if (rc == ERR_NONE)
        rc = store_verify(s, &err);
    if (rc == ERR_NONE)
        rc = store_count(s, &n, &err);
    if (rc == ERR_NONE) {
        char text[4352];
        snprintf(text, sizeof text, "%s: whole, %s, %lld failed", dir,
                 out_count((uint64_t)n.n_photos, "photo").text, (long long)n.n_failed);
        tell(GOOD, "library", text);
        check_vectors(s, dir, c);
    } else {
        tell(FAULT, "library", err.msg);
    }
    store_close(s);
}

static int run(const struct cli_call *call)
{
    if (call->n_args)
        return cli_usage(call, "takes no argument");
    struct config c = *call->config; /* its strings are lent */
    tell(GOOD, "fovea", FOVEA_VERSION);
    check_cpu();
    check_infer(&c);
    check_helper();
    check_models(&c);
    check_library(cli_library(call), &c);
    return n_faults ? EXIT_FAILED : EXIT_OK;
}

const struct cli_command cli_doctor = {
    .name = "doctor",
    .args = "[OPTION...]",
    .summary = "is everything there, and what to do if not",
    .details =
        "Checks the processor's kernels, the inference library, the decode helper, the "
        "models and the\n"
        "library, measures for two seconds how fast the model is, and loads all models to see what "
        "memory they take. Exit status 1 when "
        "something that fovea needs is missing or broken.",
    .options = options,
    .run = run,
    .uses = CONFIG_USE(CONFIG_LIBRARY) | CONFIG_USE(CONFIG_MODELS),
};
