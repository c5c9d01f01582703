/* speed.h - how fast pictures become vectors on this machine, and what memory that takes. */
#ifndef FOVEA_APP_SPEED_H
#define FOVEA_APP_SPEED_H

#include <stdint.h>

#include "app/config.h"

struct speed {
    double images_per_s; /* from decoded pictures of a photo's size on */
    unsigned n_threads;  /* each with a picture of its own, as `fovea index` works */
    uint64_t n_bytes;    /* by which both towers and the threads made the process grow */
    uint64_t file_bytes; /* of both towers' networks */
};

/* Measured with the model of the settings, for about two seconds after it is loaded; no picture is
 * read. As predict_acquire(). */
enum err_code speed_measure(const struct config *c, struct speed *out, struct err *err);

#endif
