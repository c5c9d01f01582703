/* job.h - one entry of a request, and how its kind is carried out. */
#ifndef FOVEA_PREDICT_JOB_H
#define FOVEA_PREDICT_JOB_H

#include <pthread.h>

#include "predict/predict.h"

/* A model that is being loaded before its turn. */
struct ahead {
    pthread_t thread;
    bool runs; /* to be joined */
    struct predict *p;
    struct predict_bundle *bundle; /* NULL where it failed */
    enum err_code code;
    struct err err;
};

struct job {
    const struct predict_entry *entry;
    const struct job_kind *kind;
    const struct predict_input *in;
    struct predict_kind_stats *stats;
    const struct image *image; /* NULL where the input is text */
    const struct job *first;   /* of a kind that needs it: the detection, done */
    struct buf json;           /* its part of the answer */
    struct task_face *faces;   /* what a detection found, for the recognition */
    size_t n_faces;
    struct task_ocr_box *boxes; /* the same of text */
    size_t n_boxes;
    enum err_code code;
    struct err err;
    pthread_t thread;
    bool has_thread;
    struct ahead ahead;
};

struct job_kind {
    enum model_task task;
    enum model_type type;
    bool of_text;   /* else of a picture */
    bool is_second; /* needs the detection of the same task */
    enum err_code (*run)(struct job *j, struct predict_bundle *b, struct err *err);
};

enum err_code clip_run_visual(struct job *j, struct predict_bundle *b, struct err *err);
enum err_code clip_run_textual(struct job *j, struct predict_bundle *b, struct err *err);
enum err_code faces_detect(struct job *j, struct predict_bundle *b, struct err *err);
enum err_code faces_embed(struct job *j, struct predict_bundle *b, struct err *err);
enum err_code ocr_detect(struct job *j, struct predict_bundle *b, struct err *err);
enum err_code ocr_read(struct job *j, struct predict_bundle *b, struct err *err);

/* v [dim] as a string of JSON, which who gets it may store without reading it. */
enum err_code job_put_vector(struct buf *out, const float *v, size_t dim, struct err *err);
void job_clear(struct job *j);

#endif
