/* predict.h - loaded models, and requests answered with them.
 *
 * The bundle cache: each model is loaded once, shared by all who ask, and counted.
 *
 *   struct predict_bundle *b;
 *   predict_acquire(p, MODEL_CLIP, MODEL_TEXTUAL, "starter", &b, err);
 *   task_clip_textual_embed(b->clip_textual, text, n, NULL, vec, err);   // any number of threads
 *   predict_release(p, b);
 *
 * Of many threads that ask for a model that is not loaded, one loads it and the others wait for the
 * outcome; different models load side by side. A load that fails for reasons that may pass (a file
 * that is being replaced) is tried once more; what fails then is not remembered: the next who asks
 * tries again. A bundle that nobody holds is unloaded when it was not used for its time to live,
 * when others need its place in the memory budget (the one not used for longest first), or when the
 * system is short of memory; else bundles stay until predict_destroy(). */
#ifndef FOVEA_PREDICT_PREDICT_H
#define FOVEA_PREDICT_PREDICT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/json.h"
#include "image/image.h"
#include "infer/infer.h"
#include "model/model.h"
#include "sys/count.h"
#include "task/task.h"

struct predict;

/* The member that task and type select is set. */
struct predict_bundle {
    enum model_task task;
    enum model_type type;
    struct task_clip_visual *clip_visual;
    struct task_clip_textual *clip_textual;
    struct task_face_detector *face_detector;
    struct task_face_recognizer *face_recognizer;
    struct task_ocr_detector *ocr_detector;
    struct task_ocr_recognizer *ocr_recognizer;
};

/* Pairs of a task and a type: clip visual, textual, faces detection, recognition, ocr the same. */
enum { PREDICT_N_KINDS = 6 };
struct predict_kind {
    enum model_task task;
    enum model_type type;
};
extern const struct predict_kind predict_kinds[PREDICT_N_KINDS];

/* Sees to it that the files of one type of a model are there, before it is loaded; again: they were
 * there, and could not be read as what they should be. Blocks as long as it takes. What it returns
 * other than ERR_NONE is why the model cannot be loaded. Of many threads, one for each model. */
typedef enum err_code (*predict_provide_fn)(enum model_task task, enum model_type type,
                                            const char *name, bool again, void *ctx,
                                            struct err *err);

struct predict_options {
    const char *models_dir;
    const char *cache_dir;      /* derived files, may be deleted any time; NULL: none are kept */
    struct infer_options infer; /* its cache_dir is ignored for the one above */
    predict_provide_fn provide; /* NULL: what is not there is ERR_NOT_FOUND */
    void *provide_ctx;
    struct image_decoder *decoder;   /* borrowed, for predict_run(); NULL: pictures are refused */
    size_t max_batch_faces;          /* in one run of a network; 0: as many as is fast */
    size_t max_batch_ocr;            /* lines of one width; 0: as many as the reference takes */
    unsigned ttl_s[PREDICT_N_KINDS]; /* in that order; 0: for ever */
    unsigned poll_s;                 /* between two looks for what to unload; 0: never looks */
    uint64_t budget_bytes;           /* of the loaded models' files; 0: no bound */
    unsigned pressure_percent; /* of the last 10 s that some task waited for memory (PSI), from
                                  which on all that is idle is unloaded; 0: never */
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

/* What was done since the start. */
struct predict_kind_stats {
    struct count n_answered, n_failed; /* entries */
    struct count_times load;           /* of models that loaded */
    struct count_times prepare, infer; /* of entries: the network's run, and all before and after */
    struct count n_load_failures;
};
enum predict_unload { PREDICT_IDLE, PREDICT_BUDGET, PREDICT_PRESSURE, PREDICT_N_UNLOADS };
struct predict_stats {
    struct predict_kind_stats kinds[PREDICT_N_KINDS];
    struct count_times decode; /* of pictures */
    struct count n_decode_errors;
    struct count n_text_hits, n_text_misses, n_picture_hits, n_picture_misses;
    struct count n_unloads[PREDICT_N_UNLOADS]; /* by why a model went */
};
const struct predict_stats *predict_stats(const struct predict *p);
/* infer_provider(). */
const char *predict_provider(const struct predict *p);

/* fn for each model that is loaded, which must not come back to p. n_bytes: of its files. */
struct predict_loaded {
    enum model_task task;
    enum model_type type;
    const char *name;
    uint64_t n_bytes;
    size_t n_users;
};
void predict_each_loaded(struct predict *p, void (*fn)(const struct predict_loaded *l, void *ctx),
                         void *ctx);

/* Requests: what Immich's service is asked for, `{task: {type: {modelName, options}}}`. */
enum { PREDICT_ENTRIES_MAX = PREDICT_N_KINDS };

/* One model's work. Strings belong to the struct predict_entries. */
struct predict_entry {
    enum model_task task;
    enum model_type type;
    const char *model;
    const char *language;  /* clip textual: as Immich calls it, "de", "pt-BR"; NULL: not given */
    double min_score;      /* detection and recognition; NaN: not given */
    double max_resolution; /* ocr detection, of the shorter side; NaN: not given */
    bool slow_score;       /* ocr detection: see task.h's by_outline */
};
struct predict_entries {
    struct json *json; /* what at[] points into */
    size_t n;
    struct predict_entry at[PREDICT_ENTRIES_MAX];
};

/* json: n bytes of UTF-8. ERR_INVALID with the reference's "Invalid request format." where it says
 * so, else with what is wrong: a task, type or option that nothing here knows, or an option's
 * value. On failure *out is empty. */
enum err_code predict_entries_parse(const char *json, size_t n, struct predict_entries *out,
                                    struct err *err);
void predict_entries_clear(struct predict_entries *e);

/* A picture's file or a text; borrowed. */
struct predict_input {
    const uint8_t *image; /* n_image bytes; NULL: it is text */
    size_t n_image;
    const char *text; /* n_text bytes of UTF-8 */
    size_t n_text;
    const atomic_bool *cancel; /* looked at between two steps of the work; NULL: never */
};

/* Appends the answer, one JSON object, to json. The picture is decoded once by the reference's
 * contract, for all requests that bring the same bytes within a minute; the vector of a text that
 * was asked for lately, of the same model files, is not computed again; entries run side by side,
 * after them those that need another's result. ERR_INVALID (an entry that needs the other kind of
 * input, or another entry's result; a damaged picture), ERR_CANCELLED, and what predict_acquire(),
 * image_decode() and the tasks say. Any thread. */
enum err_code predict_run(struct predict *p, const struct predict_entries *entries,
                          const struct predict_input *in, struct buf *json, struct err *err);

#endif
