/* work.c - the workers of an index run.
 *
 * A worker takes the next job, reads, hashes, decodes and prepares the photo into its own batch,
 * and runs the network when the batch is full; then the store's lock is taken once for the whole
 * batch. No queue and no hand-over: a core that waits for the disk is the only one that idles. */
#include "library/work.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "library/photo.h"
#include "sys/clock.h"
#include "sys/file.h"
#include "sys/pool.h"

enum {
    /* Photos a network run. With one thread a run, eight cost a convolutional network 15 % more a
     * photo than one, and 20 MiB more a worker; two is within the noise of one. */
    BATCH = 2,
    COMMIT_EVERY_MS = 1000,
    PROGRESS_EVERY_MS = 100,
};

/* What all decodes together may take, by each worker: two large photos at once would double the
 * peak for nothing, since a photo of 16 megapixels and more is rare among others. */
#define DECODE_BYTES_A_WORKER ((uint64_t)48 << 20)

struct slot {
    const struct job *job;
    struct photo_facts facts;
    int64_t photo_id; /* 0: new */
};

struct shared {
    const struct library_index_options *o;
    const struct plan *plan;
    struct library_report *report;
    struct store *store;
    struct store_space *space;
    struct predict_bundle *bundle;
    struct photo_limits limits;
    atomic_size_t next;
    atomic_bool stop;
    pthread_mutex_t decode_lock;
    pthread_cond_t decode_ended;
    uint64_t decode_bytes, decode_bytes_max; /* in use, of this budget; under decode_lock */
    pthread_mutex_t lock;                    /* guards all below, the store and the report */
    bool in_transaction, advanced;
    int64_t began_ns, started_ns, reported_ns;
    uint64_t n_done, n_failed;
    enum err_code rc;
    struct err err;
};

struct worker {
    struct shared *sh;
    struct slot slots[BATCH];
    size_t n_slots;
    float *tensors, *vectors; /* [BATCH, tensor_len], [BATCH, dim] */
    size_t tensor_len, dim;
    double read_s, decode_s, prepare_s, embed_s, write_s;
};

/* Time since *since_ns into *sum_s; *since_ns moves on to now. */
static void lap(double *sum_s, int64_t *since_ns)
{
    int64_t now = clock_mono_ns();
    *sum_s += (double)(now - *since_ns) / 1e9;
    *since_ns = now;
}

/* ---- under the lock ---- */

static void fail_run(struct shared *sh, enum err_code rc, const struct err *err)
{
    if (sh->rc == ERR_NONE) {
        sh->rc = rc;
        sh->err = *err;
    }
    atomic_store(&sh->stop, true);
}

static enum err_code begin(struct shared *sh, struct err *err)
{
    if (sh->in_transaction)
        return ERR_NONE;
    enum err_code rc = store_begin(sh->store, err);
    sh->in_transaction = rc == ERR_NONE;
    sh->advanced = false;
    sh->began_ns = clock_mono_ns();
    return rc;
}

static enum err_code commit_if_due(struct shared *sh, bool now, struct err *err)
{
    if (!sh->in_transaction || (!now && clock_ms_since(sh->began_ns) < COMMIT_EVERY_MS))
        return ERR_NONE;
    sh->in_transaction = false;
    return store_end(sh->store, ERR_NONE, err);
}

static void tell_progress(struct shared *sh, bool now)
{
    if (!sh->o->on_progress || (!now && clock_ms_since(sh->reported_ns) < PROGRESS_EVERY_MS))
        return;
    sh->reported_ns = clock_mono_ns();
    struct library_progress p = { .n_total = sh->plan->n_jobs,
                                  .n_done = sh->n_done,
                                  .n_failed = sh->n_failed,
                                  .elapsed_s = clock_ms_since(sh->started_ns) / 1000 };
    sh->o->on_progress(&p, sh->o->ctx);
}

static void count_done(struct shared *sh, const struct job *j, bool new_content)
{
    sh->n_done++;
    if (j->known)
        sh->report->n_changed++;
    else if (new_content)
        sh->report->n_added++;
    else
        sh->report->n_duplicate++;
}

static enum err_code put_file(struct shared *sh, const struct job *j, int64_t photo_id,
                              const char *error, bool retry, struct err *err)
{
    struct store_file f = { .root_id = j->root_id,
                            .size_bytes = j->size_bytes,
                            .mtime_ns = j->mtime_ns,
                            .photo_id = photo_id,
                            .path = j->path,
                            .path_len = j->path_len,
                            .error = error,
                            .retry = retry };
    return store_file_put(sh->store, &f, err);
}

static enum err_code put_photo(struct shared *sh, struct slot *s, const uint16_t *vector,
                               struct err *err)
{
    enum err_code rc = ERR_NONE;
    int64_t id = s->photo_id;
    if (!id) /* another worker may have stored the same content meanwhile */
        rc = store_photo_find(sh->store, s->facts.photo.content, &id, err);
    bool new_content = rc == ERR_NONE && !id;
    if (new_content)
        rc = store_photo_add(sh->store, &s->facts.photo, &id, err);
    if (rc == ERR_NONE && !sh->advanced) {
        rc = store_space_advance(sh->store, sh->space, err);
        sh->advanced = rc == ERR_NONE;
    }
    if (rc == ERR_NONE)
        rc = store_vector_put(sh->store, sh->space, id, vector, err);
    if (rc == ERR_NONE)
        rc = put_file(sh, s->job, id, NULL, false, err);
    if (rc == ERR_NONE)
        count_done(sh, s->job, new_content);
    return rc;
}

/* A fault of the photo is kept until the file changes; one of the moment (permission, disk, memory)
 * is tried again on the next run. */
static enum err_code put_failure(struct shared *sh, const struct job *j, enum err_code why_rc,
                                 const char *why, struct err *err)
{
    bool retry = why_rc == ERR_IO || why_rc == ERR_NOMEM || why_rc == ERR_NOT_FOUND ||
                 why_rc == ERR_INTERNAL;
    enum err_code rc = put_file(sh, j, 0, why, retry, err);
    if (rc != ERR_NONE)
        return rc;
    sh->n_done++;
    sh->n_failed++;
    sh->report->n_failed++;
    if (sh->o->on_failure) {
        char *path = str_path(j->root, j->path);
        sh->o->on_failure(path ? path : j->path, why, sh->o->ctx);
        free(path);
    }
    return ERR_NONE;
}

/* ---- a worker ---- */

/* What ends every use of the store: commit when it is time, stop the run if anything failed,
 * unlock. */
static void finish(struct shared *sh, enum err_code rc, struct err *err)
{
    if (rc == ERR_NONE)
        rc = commit_if_due(sh, false, err);
    if (rc != ERR_NONE)
        fail_run(sh, rc, err);
    tell_progress(sh, false);
    pthread_mutex_unlock(&sh->lock);
}

static void store_failure(struct worker *w, const struct job *j, const struct err *why)
{
    struct shared *sh = w->sh;
    struct err err = { 0 };
    pthread_mutex_lock(&sh->lock);
    enum err_code rc = begin(sh, &err);
    if (rc == ERR_NONE)
        rc = put_failure(sh, j, why->code, why->msg, &err);
    finish(sh, rc, &err);
}

static enum err_code store_slot(struct shared *sh, struct slot *s, float *v, size_t dim,
                                struct err *err)
{
    uint16_t half[INDEX_DIM_MAX];
    struct err bad = { 0 };
    library_normalise(v, dim);
    if (index_to_f16(v, dim, half, &bad) != ERR_NONE)
        return put_failure(sh, s->job, ERR_INVALID, bad.msg, err);
    return put_photo(sh, s, half, err);
}

static void store_batch(struct worker *w)
{
    struct shared *sh = w->sh;
    struct err err = { 0 };
    pthread_mutex_lock(&sh->lock);
    enum err_code rc = begin(sh, &err);
    for (size_t i = 0; i < w->n_slots && rc == ERR_NONE; i++)
        rc = store_slot(sh, &w->slots[i], w->vectors + i * w->dim, w->dim, &err);
    sh->report->n_embedded += rc == ERR_NONE ? w->n_slots : 0;
    finish(sh, rc, &err);
}

static void flush(struct worker *w)
{
    struct err err = { 0 };
    if (!w->n_slots)
        return;
    int64_t t = clock_mono_ns();
    enum err_code rc = task_clip_visual_embed(w->sh->bundle->clip_visual, w->tensors, w->n_slots,
                                              w->vectors, &err);
    lap(&w->embed_s, &t);
    if (rc == ERR_NONE) {
        store_batch(w);
        lap(&w->write_s, &t);
    } else { /* of the model or of memory, never of a photo: it would fail for all that follow */
        pthread_mutex_lock(&w->sh->lock);
        fail_run(w->sh, rc, &err);
        pthread_mutex_unlock(&w->sh->lock);
    }
    w->n_slots = 0;
}

/* Content that the library has needs no decoding: the file is linked to it. False when it is new,
 * or when the run is at its end. */
static bool link_known(struct worker *w, const struct job *j, struct slot *slot)
{
    struct shared *sh = w->sh;
    struct err err = { 0 };
    bool has = false;
    pthread_mutex_lock(&sh->lock);
    enum err_code rc =
        store_photo_find(sh->store, slot->facts.photo.content, &slot->photo_id, &err);
    if (rc == ERR_NONE && slot->photo_id)
        rc = store_vector_has(sh->store, sh->space, slot->photo_id, &has, &err);
    if (rc == ERR_NONE && has)
        rc = begin(sh, &err);
    if (rc == ERR_NONE && has)
        rc = put_file(sh, j, slot->photo_id, NULL, false, &err);
    if (rc == ERR_NONE && has)
        count_done(sh, j, false);
    finish(sh, rc, &err);
    return has;
}

/* Wait for room in the budget; one that is larger than all of it waits to be alone. */
static void decode_begin(struct shared *sh, uint64_t bytes)
{
    pthread_mutex_lock(&sh->decode_lock);
    while (sh->decode_bytes && sh->decode_bytes + bytes > sh->decode_bytes_max)
        pthread_cond_wait(&sh->decode_ended, &sh->decode_lock);
    sh->decode_bytes += bytes;
    pthread_mutex_unlock(&sh->decode_lock);
}

static void decode_end(struct shared *sh, uint64_t bytes)
{
    pthread_mutex_lock(&sh->decode_lock);
    sh->decode_bytes -= bytes;
    pthread_cond_broadcast(&sh->decode_ended);
    pthread_mutex_unlock(&sh->decode_lock);
}

static enum err_code prepare(struct worker *w, const struct job *j, const char *path,
                             const uint8_t *bytes, size_t n, struct slot *slot, struct err *err)
{
    struct shared *sh = w->sh;
    struct meta m;
    struct image img = { 0 };
    meta_read(bytes, n, &m);
    uint64_t cost = photo_decode_bytes(&m, n);
    decode_begin(sh, cost);
    int64_t t = clock_mono_ns();
    enum err_code rc =
        photo_decode(sh->o->decoder, bytes, n, &m, path, &sh->limits, &slot->facts, &img, err);
    lap(&w->decode_s, &t);
    if (rc == ERR_NONE)
        rc = task_clip_visual_prepare(sh->bundle->clip_visual, &img, IMAGE_VIEW,
                                      w->tensors + w->n_slots * w->tensor_len, err);
    lap(&w->prepare_s, &t);
    image_clear(&img);
    decode_end(sh, cost);
    slot->job = j;
    return rc;
}

static void do_job(struct worker *w, const struct job *j)
{
    struct slot *slot = &w->slots[w->n_slots];
    struct err err = { 0 };
    uint8_t *bytes = NULL;
    size_t n = 0;
    int64_t t = clock_mono_ns();
    *slot = (struct slot){ 0 };
    char *path = str_path(j->root, j->path);
    enum err_code rc =
        path ? file_read(path, (size_t)w->sh->limits.max_bytes, &bytes, &n, NULL, &err)
             : err_set(&err, ERR_NOMEM, "path of a photo");
    bool known = false;
    if (rc == ERR_NONE) {
        hash_bytes(bytes, n, slot->facts.photo.content);
        lap(&w->read_s, &t);
        known = link_known(w, j, slot);
        if (!known)
            rc = prepare(w, j, path, bytes, n, slot, &err);
    }
    free(bytes);
    free(path);
    if (rc != ERR_NONE)
        store_failure(w, j, &err);
    else if (!known && ++w->n_slots == BATCH)
        flush(w);
}

static bool stopped(const struct shared *sh)
{
    return atomic_load(&sh->stop) || (sh->o->cancel && atomic_load(sh->o->cancel));
}

static void work(void *arg, unsigned number)
{
    (void)number;
    struct worker *w = arg;
    struct shared *sh = w->sh;
    size_t i;
    while (!stopped(sh) && (i = atomic_fetch_add(&sh->next, 1)) < sh->plan->n_jobs)
        do_job(w, &sh->plan->jobs[i]);
    flush(w);
    pthread_mutex_lock(&sh->lock);
    sh->report->read_s += w->read_s;
    sh->report->decode_s += w->decode_s;
    sh->report->prepare_s += w->prepare_s;
    sh->report->embed_s += w->embed_s;
    sh->report->write_s += w->write_s;
    pthread_mutex_unlock(&sh->lock);
}

static enum err_code run_workers(struct shared *sh, struct worker *workers, unsigned n,
                                 struct err *err)
{
    struct pool *pool = NULL;
    enum err_code rc = pool_create(&pool, n, n, err);
    for (unsigned i = 0; i < n && rc == ERR_NONE; i++)
        pool_submit(pool, work, &workers[i]);
    pool_destroy(pool);
    if (rc != ERR_NONE)
        return rc;
    rc = sh->rc;
    if (rc != ERR_NONE)
        return err_set(err, rc, "%s", sh->err.msg);
    rc = commit_if_due(sh, true, err);
    tell_progress(sh, true);
    return rc;
}

static enum err_code add_space(struct shared *sh, uint32_t dim, struct err *err)
{
    uint8_t hash[HASH_BYTES];
    memcpy(hash, sh->space->hash, sizeof hash);
    enum err_code rc = begin(sh, err);
    return rc == ERR_NONE ? store_space_add(sh->store, hash, sh->o->model, dim, sh->space, err)
                          : rc;
}

enum err_code work_run(const struct library_index_options *o, struct store *s,
                       struct store_space *space, const struct plan *plan, unsigned n_threads,
                       struct library_report *report, struct err *err)
{
    struct shared sh = { .o = o,
                         .plan = plan,
                         .report = report,
                         .store = s,
                         .space = space,
                         .started_ns = clock_mono_ns(),
                         .decode_bytes_max = n_threads * DECODE_BYTES_A_WORKER,
                         .decode_lock = PTHREAD_MUTEX_INITIALIZER,
                         .decode_ended = PTHREAD_COND_INITIALIZER,
                         .lock = PTHREAD_MUTEX_INITIALIZER };
    struct worker *workers = NULL;
    enum err_code rc =
        predict_acquire(o->predict, MODEL_CLIP, MODEL_VISUAL, o->model, &sh.bundle, err);
    if (rc != ERR_NONE)
        return rc;
    const struct task_clip_visual *v = sh.bundle->clip_visual;
    rc = add_space(&sh, (uint32_t)task_clip_visual_dim(v), err);
    sh.limits = photo_limits(o->max_bytes, o->max_pixels, task_clip_visual_side_px(v));
    workers = calloc(n_threads, sizeof *workers);
    if (!workers && rc == ERR_NONE)
        rc = err_set(err, ERR_NOMEM, "%u workers", n_threads);
    for (unsigned i = 0; i < n_threads && rc == ERR_NONE; i++) {
        struct worker *w = &workers[i];
        *w = (struct worker){ .sh = &sh,
                              .tensor_len = task_clip_visual_tensor_len(v),
                              .dim = task_clip_visual_dim(v) };
        w->tensors = calloc(BATCH * w->tensor_len, sizeof *w->tensors);
        w->vectors = calloc(BATCH * w->dim, sizeof *w->vectors);
        if (!w->tensors || !w->vectors)
            rc = err_set(err, ERR_NOMEM, "a batch of %d pictures", BATCH);
    }
    if (rc == ERR_NONE)
        rc = run_workers(&sh, workers, n_threads, err);
    if (sh.in_transaction) /* what was done before the failure stays done, if the disk lets it */
        (void)commit_if_due(&sh, true, NULL);
    for (unsigned i = 0; workers && i < n_threads; i++) {
        free(workers[i].tensors);
        free(workers[i].vectors);
    }
    free(workers);
    predict_release(o->predict, sh.bundle);
    return rc;
}
