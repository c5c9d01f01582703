/* run.c - a request's entries carried out: those that need nothing but the input side by side, then
 * those that need another's result. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "predict/cache.h"

struct run {
    struct predict *p;
    const struct predict_input *in;
    struct image image; /* empty where the input is text */
};

/* One entry and what came of it. */
struct job {
    const struct run *run;
    const struct predict_entry *entry;
    const struct work *how;
    struct buf json; /* its part of the answer */
    enum err_code code;
    struct err err;
    pthread_t thread;
    bool has_thread;
};

/* How an entry of a kind is carried out. */
struct work {
    enum model_task task;
    enum model_type type;
    bool of_text;   /* else of a picture */
    bool is_second; /* needs the detection of the same task */
    enum err_code (*fn)(struct job *j, struct predict_bundle *b, struct err *err);
};

/* The vector as a string of JSON, which the caller may store without reading it. */
static enum err_code put_vector(struct buf *out, const float *v, size_t dim, struct err *err)
{
    enum err_code rc = buf_puts(out, "\"", err);
    if (rc == ERR_NONE)
        rc = json_put_floats(out, v, dim, err);
    return rc == ERR_NONE ? buf_puts(out, "\"", err) : rc;
}

static enum err_code clip_visual(struct job *j, struct predict_bundle *b, struct err *err)
{
    size_t dim = task_clip_visual_dim(b->clip_visual);
    float *v = calloc(dim, sizeof *v);
    if (!v)
        return err_set(err, ERR_NOMEM, "embedding");
    enum err_code rc =
        task_clip_visual_embed_image(b->clip_visual, &j->run->image, IMAGE_REFERENCE, v, err);
    if (rc == ERR_NONE)
        rc = put_vector(&j->json, v, dim, err);
    free(v);
    return rc;
}

static enum err_code clip_textual(struct job *j, struct predict_bundle *b, struct err *err)
{
    const struct predict_input *in = j->run->in;
    size_t dim = task_clip_textual_dim(b->clip_textual);
    float *v = calloc(dim, sizeof *v);
    if (!v)
        return err_set(err, ERR_NOMEM, "embedding");
    enum err_code rc = task_clip_textual_embed(b->clip_textual, in->text, in->n_text, v, err);
    if (rc == ERR_NONE)
        rc = put_vector(&j->json, v, dim, err);
    free(v);
    return rc;
}

static const struct work works[] = {
    { MODEL_CLIP, MODEL_VISUAL, false, false, clip_visual },
    { MODEL_CLIP, MODEL_TEXTUAL, true, false, clip_textual },
};
enum { N_WORKS = sizeof works / sizeof *works };

static const struct work *find_work(const struct predict_entry *e)
{
    for (int i = 0; i < N_WORKS; i++)
        if (works[i].task == e->task && works[i].type == e->type)
            return &works[i];
    return NULL;
}

static enum err_code check_cancel(const struct predict_input *in, struct err *err)
{
    return in->cancel && atomic_load(in->cancel)
               ? err_set(err, ERR_CANCELLED, "the client has hung up")
               : ERR_NONE;
}

static void carry_out(struct job *j)
{
    const struct predict_entry *e = j->entry;
    struct predict *p = j->run->p;
    struct predict_bundle *b = NULL;
    j->code = check_cancel(j->run->in, &j->err);
    if (j->code == ERR_NONE)
        j->code = predict_acquire(p, e->task, e->type, e->model, &b, &j->err);
    if (j->code == ERR_NONE)
        j->code = check_cancel(j->run->in, &j->err);
    if (j->code == ERR_NONE)
        j->code = j->how->fn(j, b, &j->err);
    predict_release(p, b);
}

static void *carry_out_thread(void *arg)
{
    carry_out(arg);
    return NULL;
}

/* Those of one wave side by side: a thread for each but the last, which this one does. Where there
 * is no thread to be had it does them all. */
static enum err_code run_wave(struct job *jobs, size_t n, bool second, struct err *err)
{
    struct job *last = NULL;
    for (size_t i = 0; i < n; i++)
        if (jobs[i].how->is_second == second)
            last = &jobs[i];
    for (size_t i = 0; i < n; i++) {
        struct job *j = &jobs[i];
        if (j->how->is_second != second)
            continue;
        j->has_thread = j != last && !pthread_create(&j->thread, NULL, carry_out_thread, j);
        if (!j->has_thread)
            carry_out(j);
    }
    enum err_code rc = ERR_NONE;
    for (size_t i = 0; i < n; i++) {
        if (jobs[i].has_thread)
            pthread_join(jobs[i].thread, NULL);
        jobs[i].has_thread = false;
        if (rc == ERR_NONE && jobs[i].code != ERR_NONE)
            rc = err_set(err, jobs[i].code, "%s", jobs[i].err.msg);
    }
    return rc;
}

static bool has_detection(const struct predict_entries *entries, enum model_task task)
{
    for (size_t i = 0; i < entries->n; i++)
        if (entries->at[i].task == task && entries->at[i].type == MODEL_DETECTION)
            return true;
    return false;
}

/* Whether all entries can be carried out at all, before anything is loaded. */
static enum err_code plan(struct run *run, const struct predict_entries *entries, struct job *jobs,
                          struct err *err)
{
    for (size_t i = 0; i < entries->n; i++) {
        const struct predict_entry *e = &entries->at[i];
        const char *task = model_task_name(e->task), *type = model_type_name(e->type);
        jobs[i] = (struct job){ .run = run, .entry = e, .how = find_work(e) };
        if (!jobs[i].how)
            return err_set(err, ERR_UNSUPPORTED, "task %s of type %s is not built in", task, type);
        if (jobs[i].how->of_text == (run->in->image != NULL))
            return err_set(err, ERR_INVALID, "Task %s of type %s needs %s", task, type,
                           jobs[i].how->of_text ? "text, not an image" : "an image, not text");
        if (jobs[i].how->is_second && !has_detection(entries, e->task))
            return err_set(err, ERR_INVALID,
                           "Task %s of type %s depends on output of (detection, %s)", task, type,
                           task);
    }
    return ERR_NONE;
}

/* {"clip":...,"imageHeight":...,"imageWidth":...}; of a task with two waves the second's result. */
static enum err_code put_answer(const struct run *run, const struct job *jobs, size_t n,
                                struct buf *out, struct err *err)
{
    const char *comma = "";
    enum err_code rc = buf_puts(out, "{", err);
    for (size_t i = 0; i < n && rc == ERR_NONE; i++) {
        bool superseded = false;
        for (size_t k = 0; k < n; k++)
            superseded |= jobs[k].entry->task == jobs[i].entry->task && jobs[k].how->is_second &&
                          !jobs[i].how->is_second;
        if (superseded)
            continue;
        rc = buf_printf(out, err, "%s\"%s\":", comma, model_task_name(jobs[i].entry->task));
        if (rc == ERR_NONE)
            rc = buf_append(out, jobs[i].json.data, jobs[i].json.len, err);
        comma = ",";
    }
    if (rc == ERR_NONE && run->in->image)
        rc = buf_printf(out, err, "%s\"imageHeight\":%u,\"imageWidth\":%u", comma,
                        run->image.height_px, run->image.width_px);
    return rc == ERR_NONE ? buf_puts(out, "}", err) : rc;
}

enum err_code predict_run(struct predict *p, const struct predict_entries *entries,
                          const struct predict_input *in, struct buf *json, struct err *err)
{
    struct run run = { .p = p, .in = in };
    struct job jobs[PREDICT_ENTRIES_MAX] = { 0 };
    enum err_code rc = plan(&run, entries, jobs, err);
    if (rc == ERR_NONE)
        rc = check_cancel(in, err);
    if (rc == ERR_NONE && in->image)
        rc = predict_decode(p, in->image, in->n_image, &run.image, err);
    if (rc == ERR_NONE)
        rc = run_wave(jobs, entries->n, false, err);
    if (rc == ERR_NONE)
        rc = run_wave(jobs, entries->n, true, err);
    if (rc == ERR_NONE)
        rc = put_answer(&run, jobs, entries->n, json, err);
    for (size_t i = 0; i < entries->n; i++)
        buf_clear(&jobs[i].json);
    image_clear(&run.image);
    return rc;
}
