/* predict.h - the bundle cache: each model is loaded once, shared by all who ask, and counted.
 *
 *   struct predict_bundle *b;
 *   predict_acquire(p, MODEL_CLIP, MODEL_TEXTUAL, "starter", &b, err);
 *   task_clip_textual_embed(b->clip_textual, text, n, vec, err);   // any number of threads
 *   predict_release(p, b);
 *
 * Of many threads that ask for a model that is not loaded, one loads it and the others wait for the
 * outcome. A failed load is not remembered: the next who asks tries again. Bundles stay loaded
 * until predict_destroy(). */
#ifndef FOVEA_PREDICT_PREDICT_H
#define FOVEA_PREDICT_PREDICT_H

#include "infer/infer.h"
#include "model/model.h"
#include "task/task.h"

struct predict;

/* The member that task and type select is set. */
struct predict_bundle {
    enum model_task task;
    enum model_type type;
    struct task_clip_visual *clip_visual;
    struct task_clip_textual *clip_textual;
};

struct predict_options {
    const char *models_dir;
    const char *cache_dir;      /* derived files, may be deleted any time; NULL: none are kept */
    struct infer_options infer; /* its cache_dir is ignored for the one above */
};

/* Loads nothing yet; strings are copied. ERR_NOMEM. */
enum err_code predict_create(struct predict **out, const struct predict_options *o,
                             struct err *err);
/* All bundles must have been released. */
void predict_destroy(struct predict *p);

/* Borrow a bundle until predict_release(). name as model_find() takes it. Blocks while it loads.
 * ERR_INVALID (name, or a type that the task lacks), ERR_NOT_FOUND, ERR_CORRUPT, ERR_UNSUPPORTED,
 * ERR_NOMEM. */
enum err_code predict_acquire(struct predict *p, enum model_task task, enum model_type type,
                              const char *name, struct predict_bundle **out, struct err *err);
void predict_release(struct predict *p, struct predict_bundle *b); /* NULL is fine */

/* model_space() of the CLIP model of that name; loads no network. */
enum err_code predict_space(struct predict *p, const char *name, char out[HASH_HEX],
                            struct err *err);

#endif
