/* config.h - settings from the environment, in one table: name, kind, range, default, what it is.
 *
 * The table is where `fovea --help`, docs/config.md and what a bad value is told come from.
 * Immich's names are kept; those of its settings that have no meaning here are accepted and
 * checked, and say why they do nothing. */
#ifndef FOVEA_APP_CONFIG_H
#define FOVEA_APP_CONFIG_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

#define CONFIG_DEFAULT_MODEL "starter"

enum config_kind {
    CONFIG_FOLDER, /* fallback is below $xdg, else below ~/home, where xdg is not NULL */
    CONFIG_TEXT,
    CONFIG_NUMBER, /* whole, from min to max */
    CONFIG_SWITCH, /* 0 or 1 */
    CONFIG_CHOICE, /* one of the words of choices, in any case; its place among them */
};

/* Who reads a setting. What a command has no use for cannot keep it from running. */
enum config_use { CONFIG_SERVICE, CONFIG_LIBRARY, CONFIG_MODELS };
#define CONFIG_USE(use) (1u << (use))

struct config_setting {
    const char *env, *fallback, *help;
    enum config_kind kind;
    enum config_use use; /* of most: by the service */
    const char *xdg, *home;
    int min, max;
    const char *const *choices; /* ends with NULL */
    const char *unused;         /* why it does nothing here; NULL: it does */
    size_t at; /* in struct config, of a char * or an int; not where it is unused */
};
extern const struct config_setting config_settings[];
extern const size_t config_n_settings;
extern const char *const config_providers[]; /* ends with NULL */
enum { CONFIG_CPU = 1 };                     /* of them */

enum {
    CONFIG_N_KINDS = 6
}; /* of models: clip visual, textual, faces and ocr detection, recognition */

/* Every path is absolute or as the user gave it; all on the heap, NULL where not set. */
struct config {
    char *library_dir; /* FOVEA_LIBRARY */
    char *models_dir;  /* MACHINE_LEARNING_CACHE_FOLDER, as Immich's service calls it */
    char *cache_dir;
    char *ort_library;
    char *model; /* FOVEA_MODEL */
    char *ep_library;
    int provider; /* of config_providers */
    int provider_timeout_s, device_id;
    int half_openvino, half_rocm; /* 1: FP16 */
    /* of the service */
    char *host;
    char *token, *token_file;              /* at most one of them; token_load() */
    char *tls_cert, *tls_key;              /* both or neither */
    int port, log_level;                   /* log_level: of enum log_level, by config_log_level() */
    int log_format;                        /* 1: JSON */
    int request_threads, intra_op_threads; /* 0: one a core */
    int keepalive_s, timeout_s, queue_max;
    int max_body_mib, max_bodies_mib, max_fields, max_entries_kib;
    int model_ttl_s, model_ttl_poll_s, ttl_s[CONFIG_N_KINDS]; /* ttl_s: -1 for model_ttl_s */
    char *preload[CONFIG_N_KINDS];                            /* names, commas between */
    char *upstreams[4]; /* URLs: clip visual, clip textual, faces, ocr */
    int hedge_ms;       /* 0: never */
    int models_mib, pressure_percent;
    int max_batch_faces, max_batch_ocr; /* 0: not given */
    /* of downloads */
    char *hub_url, *ocr_url, *hub_token, *ca_file;
    int offline, download_stall_s, download_kib_s; /* download_kib_s: 0 for no bound */
};

/* Of the settings whose use is among uses (CONFIG_USE() bits); of others a number is its default,
 * and text NULL. ERR_INVALID when a value is bad, or a default needs HOME and there is none;
 * ERR_NOMEM. *c is empty then. */
enum err_code config_load(struct config *c, unsigned uses, struct err *err);
void config_clear(struct config *c);
/* IMMICH_LOG_LEVEL as one of enum log_level. */
int config_log_level(const struct config *c);
/* A log line for each setting that is given and does nothing here. */
void config_log_unused(void);
/* The settings of these uses, for help. */
void config_print_help(unsigned uses);

#endif
