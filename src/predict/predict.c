#include "predict/cache.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "sys/file.h"

enum state { LOADING, READY, FAILED };

/* One model's place in the cache. Only the thread that set LOADING touches bundle until then. */
struct slot {
    struct predict_bundle bundle; /* first: predict_release() gets its address */
    struct slot *next;
    char name[MODEL_NAME_MAX];
    enum state state;
    size_t n_users; /* borrowers, and those who wait for it to load */
    struct err why; /* FAILED */
};

struct predict {
    char *models_dir, *cache_dir; /* cache_dir: NULL for none */
    struct infer *infer;
    struct image_decoder *decoder; /* borrowed; may be NULL */
    pthread_mutex_t lock;          /* over all below and every slot's fields but bundle */
    pthread_cond_t changed;
    struct slot *slots;
};

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
    p->decoder = o->decoder;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->changed, NULL);
    struct infer_options io = o->infer;
    io.cache_dir = usable_cache(o->cache_dir);
    enum err_code rc = infer_create(&p->infer, &io, err);
    if (rc == ERR_NONE &&
        (!copy(o->models_dir, &p->models_dir) || !copy(io.cache_dir, &p->cache_dir)))
        rc = err_set(err, ERR_NOMEM, "model cache");
    if (rc == ERR_NONE)
        *out = p;
    else
        predict_destroy(p);
    return rc;
}

static void close_bundle(struct predict_bundle *b)
{
    task_clip_visual_close(b->clip_visual);
    task_clip_textual_close(b->clip_textual);
}

void predict_destroy(struct predict *p)
{
    if (!p)
        return;
    for (struct slot *s = p->slots, *next; s; s = next) {
        next = s->next;
        close_bundle(&s->bundle);
        free(s);
    }
    infer_destroy(p->infer);
    pthread_cond_destroy(&p->changed);
    pthread_mutex_destroy(&p->lock);
    free(p->models_dir);
    free(p->cache_dir);
    free(p);
}

static enum err_code load(struct predict *p, const struct model_folder *f, struct predict_bundle *b,
                          struct err *err)
{
    if (b->task == MODEL_CLIP && b->type == MODEL_VISUAL)
        return task_clip_visual_open(&b->clip_visual, p->infer, f, err);
    if (b->task == MODEL_CLIP && b->type == MODEL_TEXTUAL)
        return task_clip_textual_open(&b->clip_textual, p->infer, f, err);
    return err_set(err, ERR_INVALID, "task \"%s\" has no \"%s\"", model_task_name(b->task),
                   model_type_name(b->type));
}

static struct slot *find(const struct predict *p, enum model_type type,
                         const struct model_folder *f)
{
    for (struct slot *s = p->slots; s; s = s->next)
        if (s->bundle.task == f->task && s->bundle.type == type && !strcmp(s->name, f->name))
            return s;
    return NULL;
}

/* A slot in LOADING, which this thread must now load. */
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

static void forget(struct predict *p, struct slot *s)
{
    struct slot **at = &p->slots;
    while (*at && *at != s)
        at = &(*at)->next;
    if (*at)
        *at = s->next;
}

/* Called with the lock held; unlocked while it loads. A failed slot leaves the list at once, so
 * that the next who asks tries again, and is freed by the last who waited for it. */
static void load_slot(struct predict *p, struct slot *s, const struct model_folder *f)
{
    pthread_mutex_unlock(&p->lock);
    enum err_code rc = load(p, f, &s->bundle, &s->why);
    pthread_mutex_lock(&p->lock);
    s->state = rc == ERR_NONE ? READY : FAILED;
    if (s->state == FAILED)
        forget(p, s);
    pthread_cond_broadcast(&p->changed);
}

enum err_code predict_acquire(struct predict *p, enum model_task task, enum model_type type,
                              const char *name, struct predict_bundle **out, struct err *err)
{
    struct model_folder f;
    *out = NULL;
    enum err_code rc = model_find(p->models_dir, task, name, &f, err);
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
        load_slot(p, s, &f);
    while (s->state == LOADING)
        pthread_cond_wait(&p->changed, &p->lock);
    if (s->state == READY) {
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
    ((struct slot *)(void *)b)->n_users--;
    pthread_mutex_unlock(&p->lock);
}

enum err_code predict_space(struct predict *p, const char *name, char out[HASH_HEX],
                            struct err *err)
{
    struct model_folder f;
    enum err_code rc = model_find(p->models_dir, MODEL_CLIP, name, &f, err);
    return rc == ERR_NONE ? model_space(&f, p->cache_dir, out, err) : rc;
}

enum err_code predict_decode(struct predict *p, const uint8_t *bytes, size_t n, struct image *out,
                             struct err *err)
{
    if (!p->decoder)
        return err_set(err, ERR_UNSUPPORTED, "nothing here decodes pictures");
    return image_decode(p->decoder, bytes, n, NULL, NULL, out, err);
}
