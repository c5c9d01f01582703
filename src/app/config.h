/* config.h - settings from the environment, in one table: name, default, what it is. */
#ifndef FOVEA_APP_CONFIG_H
#define FOVEA_APP_CONFIG_H

#include "base/err.h"

#define CONFIG_DEFAULT_MODEL "starter"

/* Every path is absolute or as the user gave it; all on the heap. */
struct config {
    char *library_dir; /* FOVEA_LIBRARY */
    char *models_dir;  /* MACHINE_LEARNING_CACHE_FOLDER, as Immich's service calls it */
    char *cache_dir;
    char *ort_library; /* FOVEA_ORT_LIBRARY, or NULL */
    char *model;       /* FOVEA_MODEL */
};

/* ERR_INVALID when a default needs HOME and there is none, ERR_NOMEM; *c is empty then. */
enum err_code config_load(struct config *c, struct err *err);
void config_clear(struct config *c);
/* The table for `fovea --help`. */
void config_print_help(void);

#endif
