/* run.c - a request's entries carried out: those that need nothing but the input side by side, then
 * those that need another's result. */
#include <string.h>

#include "predict/cache.h"
#include "predict/job.h"
#include "sys/clock.h"

static const struct job_kind kinds[] = {
    { MODEL_CLIP, MODEL_VISUAL, false, false, clip_run_visual },
    { MODEL_CLIP, MODEL_TEXTUAL, true, false, clip_run_textual },
    { MODEL_FACES, MODEL_DETECTION, false, false, faces_detect },
    { MODEL_FACES, MODEL_RECOGNITION, false, true, faces_embed },
    { MODEL_OCR, MODEL_DETECTION, false, false, ocr_detect },
    { MODEL_OCR, MODEL_RECOGNITION, false, true, ocr_read },
};
enum { N_KINDS = sizeof kinds / sizeof *kinds };

struct run {
    struct predict *p;
    const struct predict_input *in;
    struct memo_picture *picture; /* NULL where the input is text */
    struct job jobs[PREDICT_ENTRIES_MAX];
    size_t n;
};

/* What a thread of a wave is given. */
struct turn {
    struct predict *p;
    struct job *job;
};

/* What the answer to a text depends on: the model's files, the language and the words. False where
 * the files cannot be looked at; loading will say why. */
static bool text_key(struct predict *p, const struct job *j, char identity[HASH_HEX],
                     uint8_t key[HASH_BYTES])
{
    struct model_folder f;
    uint64_t n_bytes;
    const struct predict_entry *e = j->entry;
    if (model_find(p->models_dir, e->task, e->model, &f, NULL) != ERR_NONE ||
        model_identity(&f, e->type, identity, &n_bytes, NULL) != ERR_NONE)
        return false;
    const char *language = e->language ? e->language : "\xff"; /* no text's: "" is one */
    struct hash h;
    hash_init(&h);
    hash_update(&h, identity, HASH_HEX);
    hash_update(&h, f.dir, strlen(f.dir) + 1);
    hash_update(&h, language, strlen(language) + 1);
    hash_update(&h, j->in->text, j->in->n_text);
    hash_final(&h, key);
    return true;
}

static void *load_ahead(void *arg)
{
    struct job *j = arg;
    const struct predict_entry *e = j->entry;
    struct ahead *a = &j->ahead;
    a->code = predict_acquire(a->p, e->task, e->type, e->model, &a->bundle, &a->err);
    return NULL;
}

/* What is not loaded is loaded while the picture is decoded and, for a recognition, while the
 * detection loads and runs: after an idle time that was a third of the wait. Not for what is no
 * picture by its first bytes: that is answered at once. */
static void start_ahead(struct run *run)
{
    if (image_sniff(run->in->image, run->in->n_image, NULL) == IMAGE_UNKNOWN)
        return;
    for (size_t i = 0; i < run->n; i++) {
        struct job *j = &run->jobs[i];
        j->ahead.p = run->p;
        j->ahead.runs = !predict_is_ready(run->p, j->entry) &&
                        !pthread_create(&j->ahead.thread, NULL, load_ahead, j);
    }
}

static enum err_code take_ahead(struct job *j, struct predict_bundle **b, struct err *err)
{
    struct ahead *a = &j->ahead;
    pthread_join(a->thread, NULL);
    a->runs = false;
    *b = a->bundle;
    return a->code == ERR_NONE ? ERR_NONE : err_set(err, a->code, "%s", a->err.msg);
}

/* Where its turn never came. */
static void drop_ahead(struct job *j)
{
    struct predict_bundle *b = NULL;
    if (j->ahead.runs && take_ahead(j, &b, NULL) == ERR_NONE)
        predict_release(j->ahead.p, b);
}

/* identity: of the files that it was computed with. */
static enum err_code compute(struct predict *p, struct job *j, char identity[HASH_HEX],
                             struct err *err)
{
    const struct predict_entry *e = j->entry;
    struct predict_bundle *b = NULL;
    enum err_code rc = j->ahead.runs ? take_ahead(j, &b, err)
                                     : predict_acquire(p, e->task, e->type, e->model, &b, err);
    if (rc == ERR_NONE)
        rc = task_check_cancel(j->in->cancel, err);
    int64_t start = clock_mono_ns(), infer_start = infer_thread_ns();
    if (rc == ERR_NONE)
        rc = j->kind->run(j, b, err);
    if (rc == ERR_NONE) {
        int64_t infer_ns = infer_thread_ns() - infer_start;
        count_time(&j->stats->infer, infer_ns);
        count_time(&j->stats->prepare, clock_mono_ns() - start - infer_ns);
    }
    if (b)
        memcpy(identity, ((const struct slot *)(const void *)b)->identity, HASH_HEX);
    predict_release(p, b);
    return rc;
}

static void *carry_out(void *arg)
{
    struct turn *t = arg;
    struct job *j = t->job;
    uint8_t key[HASH_BYTES];
    char asked[HASH_HEX], used[HASH_HEX] = "";
    bool has_key = j->kind->of_text && text_key(t->p, j, asked, key);
    bool known = has_key && memo_find_text(&t->p->memo, key, &j->json);
    if (has_key)
        count_add(known ? &t->p->stats.n_text_hits : &t->p->stats.n_text_misses, 1);
    if (known)
        return NULL;
    j->code = task_check_cancel(j->in->cancel, &j->err);
    if (j->code == ERR_NONE)
        j->code = compute(t->p, j, used, &j->err);
    /* A model that is loaded may be older than the files. */
    if (j->code == ERR_NONE && has_key && !strcmp(asked, used))
        memo_keep_text(&t->p->memo, key, j->json.data, j->json.len);
    return NULL;
}

/* Those of one wave side by side: a thread for each but the last, which this one does. One that
 * gets no thread is done here too. */
static enum err_code run_wave(struct run *run, bool second, struct err *err)
{
    struct turn turns[PREDICT_ENTRIES_MAX];
    size_t n = 0;
    for (size_t i = 0; i < run->n; i++)
        if (run->jobs[i].kind->is_second == second)
            turns[n++] = (struct turn){ run->p, &run->jobs[i] };
    for (size_t i = 0; i < n; i++) {
        struct job *j = turns[i].job;
        j->has_thread = i + 1 < n && !pthread_create(&j->thread, NULL, carry_out, &turns[i]);
        if (!j->has_thread)
            carry_out(&turns[i]);
    }
    enum err_code rc = ERR_NONE;
    for (size_t i = 0; i < n; i++) {
        struct job *j = turns[i].job;
        if (j->has_thread)
            pthread_join(j->thread, NULL);
        count_add(j->code == ERR_NONE ? &j->stats->n_answered : &j->stats->n_failed, 1);
        if (rc == ERR_NONE && j->code != ERR_NONE)
            rc = err_set(err, j->code, "%s", j->err.msg);
    }
    return rc;
}

static struct job *find_job(struct run *run, enum model_task task, enum model_type type)
{
    for (size_t i = 0; i < run->n; i++)
        if (run->jobs[i].entry->task == task && run->jobs[i].entry->type == type)
            return &run->jobs[i];
    return NULL;
}

static const struct job_kind *find_kind(const struct predict_entry *e)
{
    for (int i = 0; i < N_KINDS; i++)
        if (kinds[i].task == e->task && kinds[i].type == e->type)
            return &kinds[i];
    return NULL;
}

/* Whether j can be carried out at all, before anything is loaded. */
static enum err_code check(struct run *run, struct job *j, struct err *err)
{
    const char *task = model_task_name(j->entry->task), *type = model_type_name(j->entry->type);
    if (j->kind->of_text == (run->in->image != NULL))
        return err_set(err, ERR_INVALID, "Task %s of type %s needs %s", task, type,
                       j->kind->of_text ? "text, not an image" : "an image, not text");
    if (j->kind->is_second)
        j->first = find_job(run, j->entry->task, MODEL_DETECTION);
    if (j->kind->is_second && !j->first)
        return err_set(err, ERR_INVALID, "Task %s of type %s depends on output of (detection, %s)",
                       task, type, task);
    return ERR_NONE;
}

static enum err_code plan(struct run *run, const struct predict_entries *entries, struct err *err)
{
    run->n = entries->n;
    for (size_t i = 0; i < run->n; i++)
        run->jobs[i] = (struct job){
            .entry = &entries->at[i],
            .kind = find_kind(&entries->at[i]),
            .stats = &run->p->stats.kinds[bundle_kind(entries->at[i].task, entries->at[i].type)],
            .in = run->in
        };
    enum err_code rc = ERR_NONE;
    for (size_t i = 0; i < run->n && rc == ERR_NONE; i++)
        rc = check(run, &run->jobs[i], err);
    return rc;
}

/* {"clip":...,"imageHeight":...,"imageWidth":...}; a recognition's result stands for its task. */
static enum err_code put_answer(struct run *run, struct buf *out, struct err *err)
{
    const char *comma = "";
    enum err_code rc = buf_puts(out, "{", err);
    for (size_t i = 0; i < run->n && rc == ERR_NONE; i++) {
        const struct job *j = &run->jobs[i];
        enum model_task task = j->entry->task;
        if (j->entry->type == MODEL_DETECTION && find_job(run, task, MODEL_RECOGNITION))
            continue;
        rc = buf_printf(out, err, "%s\"%s\":", comma, model_task_name(task));
        if (rc == ERR_NONE)
            rc = buf_append(out, j->json.data, j->json.len, err);
        comma = ",";
    }
    if (rc == ERR_NONE && run->picture)
        rc = buf_printf(out, err, "%s\"imageHeight\":%u,\"imageWidth\":%u", comma,
                        run->picture->image.height_px, run->picture->image.width_px);
    return rc == ERR_NONE ? buf_puts(out, "}", err) : rc;
}

enum err_code predict_run(struct predict *p, const struct predict_entries *entries,
                          const struct predict_input *in, struct buf *json, struct err *err)
{
    struct run run = { .p = p, .in = in };
    enum err_code rc = plan(&run, entries, err);
    if (rc == ERR_NONE)
        rc = task_check_cancel(in->cancel, err);
    if (rc == ERR_NONE && in->image)
        start_ahead(&run);
    if (rc == ERR_NONE && in->image)
        rc = predict_decode(p, in->image, in->n_image, &run.picture, err);
    for (size_t i = 0; i < run.n && run.picture; i++)
        run.jobs[i].image = &run.picture->image;
    if (rc == ERR_NONE)
        rc = run_wave(&run, false, err);
    if (rc == ERR_NONE)
        rc = run_wave(&run, true, err);
    if (rc == ERR_NONE)
        rc = put_answer(&run, json, err);
    for (size_t i = 0; i < run.n; i++) {
        drop_ahead(&run.jobs[i]);
        job_clear(&run.jobs[i]);
    }
    memo_release(&p->memo, run.picture);
    return rc;
}
