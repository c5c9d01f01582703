/* engine.h - the parts that most commands need, made from the settings: models and decoder. */
#ifndef FOVEA_APP_ENGINE_H
#define FOVEA_APP_ENGINE_H

#include "app/config.h"
#include "fetch/fetch.h"
#include "image/image.h"
#include "predict/predict.h"

struct engine {
    struct predict *predict;
    struct image_decoder *decoder;
    struct fetch *fetch; /* of a service */
    atomic_bool stop;    /* set: downloads end */
};

enum engine_use {
    ENGINE_ONCE,    /* few runs of a network follow, so start soon */
    ENGINE_BATCH,   /* many */
    ENGINE_SERVICE, /* for as long as it takes: idle models go, absent ones are downloaded */
};

/* n_threads: of one network run. Loads and starts nothing yet. e stays where it is. */
enum err_code engine_init(struct engine *e, const struct config *c, unsigned n_threads,
                          enum engine_use use, struct err *err);
void engine_clear(struct engine *e);

/* How networks run, by the settings. Strings are c's. */
struct infer_options engine_infer(const struct config *c, unsigned n_threads, enum engine_use use);

/* What downloads models, by the settings; nothing is asked of the network yet. on_progress, cancel:
 * as fetch.h has them. */
enum err_code engine_fetch_create(struct fetch **out, const struct config *c,
                                  fetch_progress_fn on_progress, void *ctx,
                                  const atomic_bool *cancel, struct err *err);

/* Where fovea-decode is: beside the binary, else ../libexec/fovea. out holds 4096 bytes. false:
 * nowhere. */
bool engine_helper_path(char *out);

#endif
