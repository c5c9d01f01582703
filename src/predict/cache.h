/* cache.h - what the parts of predict/ see of struct predict. */
#ifndef FOVEA_PREDICT_CACHE_H
#define FOVEA_PREDICT_CACHE_H

#include "predict/predict.h"

/* A picture by the reference contract; as image_decode(). */
enum err_code predict_decode(struct predict *p, const uint8_t *bytes, size_t n, struct image *out,
                             struct err *err);

#endif
