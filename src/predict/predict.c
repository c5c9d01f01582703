#include "predict/cache.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "sys/clock.h"
#include "sys/file.h"

static bool copy(const char *s, char **out)
{
    *out = s ? str_ndup(s, strlen(s)) : NULL;
    return *out || !s;
}

/* The folder, made where it was missing; NULL where that cannot be, for all works without. */
static const char *usable_cache(const char *dir)
{
    struct err why = { 0 };
    if (dir && file_make_dirs(dir, &why) != ERR_NONE) {
        log_write(LOG_WARN, "%s: starting will be slower", why.msg);
        return NULL;
    }
    return dir;
}

enum err_code predict_create(struct predict **out, const struct predict_options *o, struct err *err)
{
    *out = NULL;
    struct predict *p = calloc(1, sizeof *p);
    if (!p)
        return err_set(err, ERR_NOMEM, "model cache");
    p->o = *o;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->changed, NULL);
    sweep_init(&p->sweep);
    memo_init(&p->memo);
    struct infer_options io = o->infer;
    io.cache_dir = usable_cache(o->cache_dir);
    enum err_code rc = infer_create(&p->infer, &io, err);
    if (rc == ERR_NONE &&
        (!copy(o->models_dir, &p->models_dir) || !copy(io.cache_dir, &p->cache_dir)))
        rc = err_set(err, ERR_NOMEM, "model cache");
    if (rc == ERR_NONE && o->poll_s)
        rc = sweep_start(p, err);
    if (rc == ERR_NONE)
        *out = p;
    else
        predict_destroy(p);
    return rc;
}

void predict_destroy(struct predict *p)
{
    if (!p)
        return;
    sweep_stop(p);
    cache_close(p->slots, NULL);
    memo_clear(&p->memo);
    infer_destroy(p->infer);
    pthread_cond_destroy(&p->changed);
    pthread_mutex_destroy(&p->lock);
    free(p->models_dir);
    free(p->cache_dir);
    free(p);
}

static struct slot *find(const struct predict *p, enum model_type type,
                         const struct model_folder *f)
{
    for (struct slot *s = p->slots; s; s = s->next)
        if (s->bundle.task == f->task && s->bundle.type == type && !strcmp(s->name, f->name))
            return s;
    return NULL;
}

bool predict_is_ready(struct predict *p, const struct predict_entry *e)
{
    struct model_folder f;
    if (model_place(p->models_dir, e->task, e->model, &f, NULL) != ERR_NONE)
        return false;
    pthread_mutex_lock(&p->lock);
    const struct slot *s = find(p, e->type, &f);
    bool ready = s && s->state == SLOT_READY;
    pthread_mutex_unlock(&p->lock);
    return ready;
}

/* A slot in SLOT_LOADING, which this thread must now load. */
static struct slot *add(struct predict *p, enum model_type type, const struct model_folder *f)
{
    struct slot *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->bundle = (struct predict_bundle){ .task = f->task, .type = type };
    memcpy(s->name, f->name, sizeof s->name);
    s->next = p->slots;
    p->slots = s;
    return s;
}

/* Failures that may pass: what was read while somebody replaced it. */
static bool may_pass(enum err_code rc)
{
    return rc == ERR_CORRUPT || rc == ERR_IO;
}

static enum err_code provide(struct predict *p, const struct slot *s, bool again, struct err *err)
{
    return p->o.provide
               ? p->o.provide(s->bundle.task, s->bundle.type, s->name, again, p->o.provide_ctx, err)
               : ERR_NONE;
}

static enum err_code open_once(struct predict *p, struct slot *s, const struct model_folder *f,
                               struct err *err)
{
    if (model_identity(f, s->bundle.type, s->identity, &s->n_bytes, NULL) != ERR_NONE) {
        s->n_bytes = 0; /* opening says what is wrong */
        s->identity[0] = '\0';
    }
    return bundle_open(&s->bundle, p->infer, f, &p->o, err);
}

static enum err_code load(struct predict *p, struct slot *s)
{
    struct model_folder f;
    struct err first = { 0 };
    enum err_code rc = provide(p, s, false, &s->why);
    if (rc == ERR_NONE)
        rc = model_find(p->models_dir, s->bundle.task, s->name, &f, &s->why);
    if (rc != ERR_NONE)
        return rc;
    rc = open_once(p, s, &f, &first);
    if (may_pass(rc)) {
        log_write(LOG_INFO, "%s; trying once more", first.msg);
        rc = provide(p, s, true, &s->why);
        return rc == ERR_NONE ? open_once(p, s, &f, &s->why) : rc;
    }
    s->why = first;
    return rc;
}

/* Called with the lock held; unlocked while it loads. A failed slot leaves the list at once, so
 * that the next who asks tries again, and is freed by the last who waited for it. */
static void load_slot(struct predict *p, struct slot *s)
{
    struct predict_kind_stats *stats = &p->stats.kinds[bundle_kind(s->bundle.task, s->bundle.type)];
    pthread_mutex_unlock(&p->lock);
    int64_t start = clock_mono_ns();
    enum err_code rc = load(p, s);
    if (rc == ERR_NONE)
        count_time(&stats->load, clock_mono_ns() - start);
    else
        count_add(&stats->n_load_failures, 1);
    pthread_mutex_lock(&p->lock);
    s->state = rc == ERR_NONE ? SLOT_READY : SLOT_FAILED;
    if (s->state == SLOT_FAILED)
        cache_unlink(p, s);
    pthread_cond_broadcast(&p->changed);
    struct slot *too_much = cache_take_over_budget(p);
    pthread_mutex_unlock(&p->lock);
    cache_close(too_much, &p->stats.n_unloads[PREDICT_BUDGET]);
    pthread_mutex_lock(&p->lock);
}

enum err_code predict_acquire(struct predict *p, enum model_task task, enum model_type type,
                              const char *name, struct predict_bundle **out, struct err *err)
{
    struct model_folder f;
    *out = NULL;
    enum err_code rc = model_place(p->models_dir, task, name, &f, err);
    if (rc != ERR_NONE)
        return rc;
    pthread_mutex_lock(&p->lock);
    struct slot *s = find(p, type, &f);
    bool mine = !s;
    if (mine)
        s = add(p, type, &f);
    if (!s) {
        pthread_mutex_unlock(&p->lock);
        return err_set(err, ERR_NOMEM, "model cache");
    }
    s->n_users++;
    if (mine)
        load_slot(p, s);
    while (s->state == SLOT_LOADING)
        pthread_cond_wait(&p->changed, &p->lock);
    if (s->state == SLOT_READY) {
        *out = &s->bundle;
    } else {
        rc = err_set(err, s->why.code, "%s", s->why.msg);
        if (!--s->n_users)
            free(s);
    }
    pthread_mutex_unlock(&p->lock);
    return rc;
}

void predict_release(struct predict *p, struct predict_bundle *b)
{
    if (!b)
        return;
    pthread_mutex_lock(&p->lock);
    struct slot *s = (struct slot *)(void *)b;
    struct slot *too_much = cache_take_over_budget(p); /* this one stays, being the latest */
    s->n_users--;
    s->used_ns = clock_mono_ns();
    pthread_mutex_unlock(&p->lock);
    cache_close(too_much, &p->stats.n_unloads[PREDICT_BUDGET]);
}

const struct predict_stats *predict_stats(const struct predict *p)
{
    return &p->stats;
}

const char *predict_provider(const struct predict *p)
{
    return infer_provider(p->infer);
}

void predict_each_loaded(struct predict *p, void (*fn)(const struct predict_loaded *l, void *ctx),
                         void *ctx)
{
    pthread_mutex_lock(&p->lock);
    for (const struct slot *s = p->slots; s; s = s->next)
        if (s->state == SLOT_READY)
            fn(&(struct predict_loaded){ s->bundle.task, s->bundle.type, s->name, s->n_bytes,
                                         s->n_users },
               ctx);
    pthread_mutex_unlock(&p->lock);
}

enum err_code predict_space(struct predict *p, const char *name, char out[HASH_HEX],
                            struct err *err)
{
    struct model_folder f;
    enum err_code rc = model_find(p->models_dir, MODEL_CLIP, name, &f, err);
    return rc == ERR_NONE ? model_space(&f, infer_wants_half(p->infer), p->cache_dir, out, err)
                          : rc;
}

static void decode(struct predict *p, const uint8_t *bytes, size_t n, struct memo_picture *to)
{
    struct image image;
    struct err why = { 0 };
    int64_t start = clock_mono_ns();
    enum err_code rc = image_decode(p->o.decoder, bytes, n, NULL, NULL, &image, &why);
    if (rc == ERR_NONE)
        count_time(&p->stats.decode, clock_mono_ns() - start);
    else
        count_add(&p->stats.n_decode_errors, 1);
    memo_settle_picture(&p->memo, to, rc, &image, &why);
}

enum err_code predict_decode(struct predict *p, const uint8_t *bytes, size_t n,
                             struct memo_picture **out, struct err *err)
{
    uint8_t key[HASH_BYTES];
    bool mine;
    *out = NULL;
    if (!p->o.decoder)
        return err_set(err, ERR_UNSUPPORTED, "nothing here decodes pictures");
    memo_forget_pictures(&p->memo, clock_mono_ns() - MEMO_NS);
    hash_bytes(bytes, n, key);
    struct memo_picture *found = memo_find_picture(&p->memo, key, &mine);
    if (!found)
        return err_set(err, ERR_NOMEM, "picture");
    count_add(mine ? &p->stats.n_picture_misses : &p->stats.n_picture_hits, 1);
    if (mine)
        decode(p, bytes, n, found);
    enum err_code rc = found->code;
    if (rc == ERR_NONE) {
        *out = found;
    } else {
        err_set(err, rc, "%s", found->err.msg);
        memo_release(&p->memo, found);
    }
    return rc;
}
