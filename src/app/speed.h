/* speed.h - how fast pictures become vectors on this machine. */
#ifndef FOVEA_APP_SPEED_H
#define FOVEA_APP_SPEED_H

#include "app/config.h"
#include "image/image.h"

struct speed {
    double images_per_s; /* from decoded pictures of a photo's size on */
    unsigned n_threads;  /* each with a picture of its own, as `fovea index` works */
};

/* A photo of 12 megapixels as JPEG decodes it for a small network, a quarter of its sides; of no
 * meaning. ERR_NOMEM. */
enum err_code speed_picture(struct image *out, struct err *err);

/* Measured with the model of the settings, for about two seconds after it is loaded; no picture is
 * read. As predict_acquire(). */
enum err_code speed_measure(const struct config *c, struct speed *out, struct err *err);

#endif
