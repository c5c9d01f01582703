#include "app/config.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/log.h"
#include "base/str.h"
#include "model/model.h"

/* The reference's words, and "fatal", which Immich's server takes under the same name. */
static const char *const log_words[] = { "fatal", "critical", "error", "warning", "warn",
                                         "info",  "log",      "debug", "verbose", NULL };
static const enum log_level log_levels[] = { LOG_ERROR, LOG_ERROR, LOG_ERROR, LOG_WARN, LOG_WARN,
                                             LOG_INFO,  LOG_INFO,  LOG_DEBUG, LOG_DEBUG };
static const char *const log_formats[] = { "text", "json", NULL };
static const char *const precisions[] = { "FP32", "FP16", NULL };
const char *const config_providers[] = { "auto", "cpu",      "plugin",       "cuda",     "migraphx",
                                         "rocm", "openvino", "openvino-cpu", "tensorrt", NULL };

static const char one_process[] = "one process serves all requests";
static const char no_ann[] = "there is no ARM NN here";
static const char no_rknn[] = "there is no RKNN here";
static const char one_device[] = "one process uses one device, MACHINE_LEARNING_DEVICE_ID";

#define AT(member) .at = offsetof(struct config, member)
#define NUMBER(low, high) .kind = CONFIG_NUMBER, .min = (low), .max = (high)

const struct config_setting config_settings[] = {
    { "FOVEA_LIBRARY", "fovea", "the library's folder", .kind = CONFIG_FOLDER,
      .use = CONFIG_LIBRARY, .xdg = "XDG_DATA_HOME", .home = ".local/share", AT(library_dir) },
    { "MACHINE_LEARNING_CACHE_FOLDER", "fovea/models", "where models are", .kind = CONFIG_FOLDER,
      .use = CONFIG_MODELS, .xdg = "XDG_CACHE_HOME", .home = ".cache", AT(models_dir) },
    { "FOVEA_CACHE", "fovea", "what can be computed again", .kind = CONFIG_FOLDER,
      .use = CONFIG_MODELS, .xdg = "XDG_CACHE_HOME", .home = ".cache", AT(cache_dir) },
    { "FOVEA_MODEL", CONFIG_DEFAULT_MODEL, "the CLIP model", .kind = CONFIG_TEXT,
      .use = CONFIG_MODELS, AT(model) },
    { "FOVEA_ORT_LIBRARY", NULL, "the ONNX Runtime library", .kind = CONFIG_TEXT,
      .use = CONFIG_MODELS, AT(ort_library) },
    { "FOVEA_PROVIDER", "auto", "what networks run on; auto: the first that works",
      .kind = CONFIG_CHOICE, .choices = config_providers, .use = CONFIG_MODELS, AT(provider) },
    { "FOVEA_EP_LIBRARY", NULL, "a plug-in execution provider's library", .kind = CONFIG_TEXT,
      .use = CONFIG_MODELS, AT(ep_library) },
    { "FOVEA_PROVIDER_TIMEOUT_S", "60", "seconds for which a provider's trial may take",
      NUMBER(1, 3600), .use = CONFIG_MODELS, AT(provider_timeout_s) },
    { "MACHINE_LEARNING_DEVICE_ID", "0", "which of the GPUs", NUMBER(0, 1023), .use = CONFIG_MODELS,
      AT(device_id) },
    { "MACHINE_LEARNING_OPENVINO_PRECISION", "FP32", "precision on OpenVINO", .kind = CONFIG_CHOICE,
      .choices = precisions, .use = CONFIG_MODELS, AT(half_openvino) },
    { "MACHINE_LEARNING_ROCM_PRECISION", "FP32", "precision on MIGraphX", .kind = CONFIG_CHOICE,
      .choices = precisions, .use = CONFIG_MODELS, AT(half_rocm) },

    { "IMMICH_HOST", "[::]", "the address to listen on", .kind = CONFIG_TEXT, AT(host) },
    { "IMMICH_PORT", "3003", "the port, 0 for any", NUMBER(0, 65535), AT(port) },
    { "IMMICH_LOG_LEVEL", "info", "what is logged", .kind = CONFIG_CHOICE, .choices = log_words,
      AT(log_level) },
    { "FOVEA_LOG_FORMAT", "text", "how it is logged; a JSON object a line is for programs",
      .kind = CONFIG_CHOICE, .choices = log_formats, AT(log_format) },
    { "FOVEA_TOKEN", NULL, "what requests must bring as `Authorization: Bearer`",
      .kind = CONFIG_TEXT, AT(token) },
    { "FOVEA_TOKEN_FILE", NULL, "the file that holds it, instead", .kind = CONFIG_TEXT,
      AT(token_file) },
    { "FOVEA_TLS_CERT", NULL, "HTTPS: the PEM file of the certificate and its chain",
      .kind = CONFIG_TEXT, AT(tls_cert) },
    { "FOVEA_TLS_KEY", NULL, "HTTPS: the PEM file of its key", .kind = CONFIG_TEXT, AT(tls_key) },
    { "MACHINE_LEARNING_REQUEST_THREADS", "0", "requests worked on at once, 0: one a core",
      NUMBER(0, 1024), AT(request_threads) },
    { "MACHINE_LEARNING_MODEL_INTRA_OP_THREADS", "0", "threads of one network's run, 0: one a core",
      NUMBER(0, 1024), AT(intra_op_threads) },
    { "MACHINE_LEARNING_HTTP_KEEPALIVE_TIMEOUT_S", "2",
      "seconds that a connection without a request stays", NUMBER(1, 86400), AT(keepalive_s) },
    { "FOVEA_HTTP_TIMEOUT_S", "30", "seconds for which a client may send or read nothing",
      NUMBER(1, 86400), AT(timeout_s) },
    { "FOVEA_HTTP_QUEUE", "128", "requests that wait; one more is answered 503", NUMBER(1, 100000),
      AT(queue_max) },
    { "FOVEA_HTTP_MAX_BODY_MIB", "256", "size of a request", NUMBER(1, 1 << 20), AT(max_body_mib) },
    { "FOVEA_HTTP_MAX_BODIES_MIB", "1024", "size of all requests at once", NUMBER(1, 1 << 20),
      AT(max_bodies_mib) },
    { "FOVEA_HTTP_MAX_FIELDS", "64", "fields of a form", NUMBER(3, 10000), AT(max_fields) },
    { "FOVEA_HTTP_MAX_ENTRIES_KIB", "64", "size of the field `entries`", NUMBER(1, 1024),
      AT(max_entries_kib) },

    { "MACHINE_LEARNING_MODEL_TTL", "300",
      "seconds after which an idle model is unloaded, 0: never", NUMBER(0, INT_MAX),
      AT(model_ttl_s) },
    { "MACHINE_LEARNING_MODEL_TTL_POLL_S", "10", "seconds between two looks for idle models",
      NUMBER(0, 86400), AT(model_ttl_poll_s) },
    { "FOVEA_TTL_CLIP_VISUAL", "-1", "the same for this kind of model, -1: no other",
      NUMBER(-1, INT_MAX), AT(ttl_s[0]) },
    { "FOVEA_TTL_CLIP_TEXTUAL", "-1", "the same for this kind", NUMBER(-1, INT_MAX), AT(ttl_s[1]) },
    { "FOVEA_TTL_FACIAL_RECOGNITION_DETECTION", "-1", "the same for this kind", NUMBER(-1, INT_MAX),
      AT(ttl_s[2]) },
    { "FOVEA_TTL_FACIAL_RECOGNITION_RECOGNITION", "-1", "the same for this kind",
      NUMBER(-1, INT_MAX), AT(ttl_s[3]) },
    { "FOVEA_TTL_OCR_DETECTION", "-1", "the same for this kind", NUMBER(-1, INT_MAX),
      AT(ttl_s[4]) },
    { "FOVEA_TTL_OCR_RECOGNITION", "-1", "the same for this kind", NUMBER(-1, INT_MAX),
      AT(ttl_s[5]) },
    { "FOVEA_MODELS_MIB", "0", "size of the loaded models' files in all, 0: no bound",
      NUMBER(0, 1 << 20), AT(models_mib) },
    { "FOVEA_UNLOAD_AT_PRESSURE", "0",
      "percent of time that tasks wait for memory at which idle models are unloaded, 0: never",
      NUMBER(0, 100), AT(pressure_percent) },
    { "MACHINE_LEARNING_PRELOAD__CLIP__VISUAL", NULL, "models to load at the start, commas between",
      .kind = CONFIG_TEXT, AT(preload[0]) },
    { "MACHINE_LEARNING_PRELOAD__CLIP__TEXTUAL", NULL, "models to load at the start",
      .kind = CONFIG_TEXT, AT(preload[1]) },
    { "MACHINE_LEARNING_PRELOAD__FACIAL_RECOGNITION__DETECTION", NULL,
      "models to load at the start", .kind = CONFIG_TEXT, AT(preload[2]) },
    { "MACHINE_LEARNING_PRELOAD__FACIAL_RECOGNITION__RECOGNITION", NULL,
      "models to load at the start", .kind = CONFIG_TEXT, AT(preload[3]) },
    { "MACHINE_LEARNING_PRELOAD__OCR__DETECTION", NULL, "models to load at the start",
      .kind = CONFIG_TEXT, AT(preload[4]) },
    { "MACHINE_LEARNING_PRELOAD__OCR__RECOGNITION", NULL, "models to load at the start",
      .kind = CONFIG_TEXT, AT(preload[5]) },
    { "MACHINE_LEARNING_MAX_BATCH_SIZE__FACIAL_RECOGNITION", "0",
      "faces in one run of the network, 0: 4", NUMBER(0, 4096), AT(max_batch_faces) },
    { "MACHINE_LEARNING_MAX_BATCH_SIZE__OCR", "0", "text lines in one run of the network, 0: 6",
      NUMBER(0, 4096), AT(max_batch_ocr) },

    { "FOVEA_UPSTREAM_CLIP_VISUAL", NULL,
      "URL of a service that embeds pictures instead of this one", .kind = CONFIG_TEXT,
      AT(upstreams[0]) },
    { "FOVEA_UPSTREAM_CLIP_TEXTUAL", NULL, "of one that embeds texts", .kind = CONFIG_TEXT,
      AT(upstreams[1]) },
    { "FOVEA_UPSTREAM_FACIAL_RECOGNITION", NULL, "of one that finds faces", .kind = CONFIG_TEXT,
      AT(upstreams[2]) },
    { "FOVEA_UPSTREAM_OCR", NULL, "of one that reads text in pictures", .kind = CONFIG_TEXT,
      AT(upstreams[3]) },
    { "FOVEA_UPSTREAM_HEDGE_MS", "3000",
      "milliseconds after which what an upstream has not answered is done here too, 0: never",
      NUMBER(0, 600000), AT(hedge_ms) },

    { "HF_ENDPOINT", MODEL_HUB_URL, "where models are downloaded from", .kind = CONFIG_TEXT,
      .use = CONFIG_MODELS, AT(hub_url) },
    { "FOVEA_OCR_ENDPOINT", MODEL_OCR_URL, "where the models of OCR are downloaded from",
      .kind = CONFIG_TEXT, .use = CONFIG_MODELS, AT(ocr_url) },
    { "HF_TOKEN", NULL, "what the hub knows you by; it is sent to HF_ENDPOINT only",
      .kind = CONFIG_TEXT, .use = CONFIG_MODELS, AT(hub_token) },
    { "HF_HUB_OFFLINE", "0", "download nothing", .kind = CONFIG_SWITCH, .use = CONFIG_MODELS,
      AT(offline) },
    { "HF_HUB_DOWNLOAD_TIMEOUT", "10",
      "seconds for which a download may bring next to nothing before it is tried again",
      NUMBER(1, 3600), .use = CONFIG_MODELS, AT(download_stall_s) },
    { "FOVEA_DOWNLOAD_MAX_KIB_S", "0", "KiB a second that downloads take at most, 0: no bound",
      NUMBER(0, INT_MAX), .use = CONFIG_MODELS, AT(download_kib_s) },
    { "SSL_CERT_FILE", NULL, "certificates to trust instead of the system's, as PEM",
      .kind = CONFIG_TEXT, .use = CONFIG_MODELS, AT(ca_file) },

    { "MACHINE_LEARNING_WORKERS", NULL, "processes", NUMBER(1, 1024), .unused = one_process },
    { "MACHINE_LEARNING_WORKER_TIMEOUT", NULL, "seconds until a stuck process is replaced",
      NUMBER(0, INT_MAX), .unused = one_process },
    { "MACHINE_LEARNING_MODEL_INTER_OP_THREADS", NULL, "parts of a network run side by side",
      NUMBER(0, 1024),
      .unused = "a network's parts run one after another, each on all its threads" },
    { "MACHINE_LEARNING_MODEL_ARENA", NULL, "the inference library's own memory pool",
      .kind = CONFIG_SWITCH, .unused = "memory is given back when a model is unloaded" },
    { "MACHINE_LEARNING_TEST_FULL", NULL, "of the reference's own tests", .kind = CONFIG_SWITCH,
      .unused = "it is for the reference's own tests" },
    { "MACHINE_LEARNING_ANN", NULL, "use ARM NN", .kind = CONFIG_SWITCH, .unused = no_ann },
    { "MACHINE_LEARNING_ANN_FP16_TURBO", NULL, "half precision on ARM NN", .kind = CONFIG_SWITCH,
      .unused = no_ann },
    { "MACHINE_LEARNING_ANN_TUNING_LEVEL", NULL, "tuning of ARM NN", NUMBER(0, 3),
      .unused = no_ann },
    { "MACHINE_LEARNING_RKNN", NULL, "use RKNN", .kind = CONFIG_SWITCH, .unused = no_rknn },
    { "MACHINE_LEARNING_RKNN_THREADS", NULL, "threads of RKNN", NUMBER(1, 64), .unused = no_rknn },
    { "MACHINE_LEARNING_DEVICE_IDS", NULL, "which GPUs", .kind = CONFIG_TEXT,
      .unused = one_device },
    { "NO_COLOR", NULL, "no colours in the log", .kind = CONFIG_TEXT,
      .unused = "the log has no colours" },
};
const size_t config_n_settings = sizeof config_settings / sizeof *config_settings;

static const char *set(const char *env)
{
    const char *v = getenv(env);
    return v && *v ? v : NULL;
}

static bool is_text(const struct config_setting *s)
{
    return s->kind == CONFIG_FOLDER || s->kind == CONFIG_TEXT;
}

static enum err_code resolve_folder(const struct config_setting *s, const char *v, char **out,
                                    struct err *err)
{
    const char *base = set(s->xdg), *home = set("HOME");
    if (v)
        *out = str_format("%s", v);
    else if (base && base[0] == '/') /* the specification: a relative one is to be ignored */
        *out = str_format("%s/%s", base, s->fallback);
    else if (home)
        *out = str_format("%s/%s/%s", home, s->home, s->fallback);
    else
        return err_set(err, ERR_INVALID, "neither %s nor HOME is set: set one of them", s->env);
    return *out ? ERR_NONE : err_set(err, ERR_NOMEM, "settings");
}

static enum err_code parse_number(const struct config_setting *s, const char *v, int *out,
                                  struct err *err)
{
    int64_t n;
    if (!str_to_i64(v, s->min, s->max, &n))
        return err_set(err, ERR_INVALID, "%s is a whole number from %d to %d, not \"%.60s\"",
                       s->env, s->min, s->max, v);
    *out = (int)n;
    return ERR_NONE;
}

/* The words that the reference takes. */
static enum err_code parse_switch(const struct config_setting *s, const char *v, int *out,
                                  struct err *err)
{
    static const char *const words[] = { "0",   "1",  "false", "true", "no", "yes",
                                         "off", "on", "f",     "t",    "n",  "y" };
    for (int i = 0; i < (int)(sizeof words / sizeof *words); i++)
        if (!strcasecmp(words[i], v)) {
            *out = i % 2;
            return ERR_NONE;
        }
    return err_set(err, ERR_INVALID, "%s is true or false, not \"%.60s\"", s->env, v);
}

static enum err_code parse_choice(const struct config_setting *s, const char *v, int *out,
                                  struct err *err)
{
    char all[128] = "";
    for (int i = 0; s->choices[i]; i++) {
        size_t n = strlen(all);
        snprintf(all + n, sizeof all - n, "%s%s", i ? ", " : "", s->choices[i]);
        if (!strcasecmp(s->choices[i], v)) {
            *out = i;
            return ERR_NONE;
        }
    }
    return err_set(err, ERR_INVALID, "%s is one of %s, not \"%.60s\"", s->env, all, v);
}

static bool is_used(const struct config_setting *s, unsigned uses)
{
    return uses & CONFIG_USE(s->use);
}

static enum err_code read_setting(const struct config_setting *s, struct config *c, bool used,
                                  struct err *err)
{
    if (!used && is_text(s))
        return ERR_NONE;
    const char *v = used ? set(s->env) : NULL;
    int unused;
    void *at = (char *)c + s->at;
    int *number = s->unused ? &unused : at;
    if (s->kind == CONFIG_FOLDER)
        return resolve_folder(s, v, at, err);
    v = v ? v : s->fallback;
    if (!v)
        return ERR_NONE;
    switch (s->kind) {
    case CONFIG_NUMBER: return parse_number(s, v, number, err);
    case CONFIG_SWITCH: return parse_switch(s, v, number, err);
    case CONFIG_CHOICE: return parse_choice(s, v, number, err);
    default: break;
    }
    if (s->unused)
        return ERR_NONE;
    *(char **)at = str_ndup(v, strlen(v));
    return *(char **)at ? ERR_NONE : err_set(err, ERR_NOMEM, "settings");
}

enum err_code config_load(struct config *c, unsigned uses, struct err *err)
{
    *c = (struct config){ 0 };
    enum err_code rc = ERR_NONE;
    for (size_t i = 0; i < config_n_settings && rc == ERR_NONE; i++)
        rc = read_setting(&config_settings[i], c, is_used(&config_settings[i], uses), err);
    if (rc != ERR_NONE)
        config_clear(c);
    return rc;
}

void config_clear(struct config *c)
{
    for (size_t i = 0; i < config_n_settings; i++)
        if (is_text(&config_settings[i]) && !config_settings[i].unused)
            free(*(char **)(void *)((char *)c + config_settings[i].at));
    *c = (struct config){ 0 };
}

int config_log_level(const struct config *c)
{
    return (int)log_levels[c->log_level];
}

void config_log_unused(void)
{
    for (size_t i = 0; i < config_n_settings; i++)
        if (config_settings[i].unused && set(config_settings[i].env))
            log_write(LOG_INFO, "%s does nothing here: %s", config_settings[i].env,
                      config_settings[i].unused);
}

void config_print_help(unsigned uses)
{
    for (size_t i = 0; i < config_n_settings; i++) {
        const struct config_setting *s = &config_settings[i];
        char value[96];
        if (s->unused || !is_used(s, uses))
            continue;
        if (s->xdg)
            snprintf(value, sizeof value, "~/%s/%s", s->home, s->fallback);
        else
            snprintf(value, sizeof value, "%s", s->fallback ? s->fallback : "not set");
        printf("  %-30s  %s (%s)\n", s->env, s->help, value);
    }
    if (uses & CONFIG_USE(CONFIG_MODELS))
        printf("  %-30s  %s\n", "FOVEA_SIMD", "use at most c, avx2, avx512vnni, neon or dotprod");
}
