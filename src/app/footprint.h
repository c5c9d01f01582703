/* footprint.h - what memory a service takes once it has used every model that is here. */
#ifndef FOVEA_APP_FOOTPRINT_H
#define FOVEA_APP_FOOTPRINT_H

#include <stdint.h>

#include "app/config.h"

struct footprint {
    uint64_t n_bytes;    /* resident between two requests, all of the process */
    uint64_t file_bytes; /* of the models' networks */
};

/* Measured, since what networks compute in is no matter of their size: each model is loaded and
 * asked once, by this process. Models that would take much of what is free, and those whose turn
 * does not come within some seconds, are reckoned by their files instead; those that do not load
 * are left out. ERR_IO (the models' folder), ERR_NOMEM, as engine_init(). */
enum err_code footprint_measure(const struct config *c, struct footprint *out, struct err *err);

#endif
