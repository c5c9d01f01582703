/* cache.h - what the parts of predict/ see of struct predict. */
#ifndef FOVEA_PREDICT_CACHE_H
#define FOVEA_PREDICT_CACHE_H

#include <pthread.h>

#include "predict/memo.h"
#include "predict/predict.h"

enum slot_state { SLOT_LOADING, SLOT_READY, SLOT_FAILED };

/* One model's place in the cache. Only the thread that set SLOT_LOADING touches bundle, n_bytes
 * and identity until then. */
struct slot {
    struct predict_bundle bundle; /* first: predict_release() gets its address */
    struct slot *next;
    char name[MODEL_NAME_MAX];
    enum slot_state state;
    size_t n_users;          /* borrowers, and those who wait for it to load */
    int64_t used_ns;         /* when the last let go; clock_mono_ns() */
    uint64_t n_bytes;        /* of its files: about what it takes of memory */
    char identity[HASH_HEX]; /* of its files when they were read; "" where that is not known */
    struct err why;          /* SLOT_FAILED */
};

/* The thread that looks for what to unload. */
struct sweep {
    pthread_t thread;
    pthread_cond_t wake;
    bool runs, stop;
};

struct predict {
    struct predict_options o;     /* its strings are not kept */
    char *models_dir, *cache_dir; /* cache_dir: NULL for none */
    struct infer *infer;
    pthread_mutex_t lock; /* over all below and every slot's fields but those named there */
    pthread_cond_t changed;
    struct slot *slots;
    struct sweep sweep;
    struct memo memo;
    struct predict_stats stats; /* no lock */
};

enum err_code bundle_open(struct predict_bundle *b, struct infer *in, const struct model_folder *f,
                          const struct predict_options *o, struct err *err);
void bundle_close(struct predict_bundle *b);
/* Is it loaded? Only until somebody unloads it. */
bool predict_is_ready(struct predict *p, const struct predict_entry *e);
/* The place among predict_kinds. */
unsigned bundle_kind(enum model_task task, enum model_type type);

/* With the lock held: out of the list. */
void cache_unlink(struct predict *p, struct slot *s);
/* With the lock held: idle ones taken out of the list until the rest is within the budget. */
struct slot *cache_take_over_budget(struct predict *p);
/* With the lock held: those taken out that are idle, all or past their time to live. */
struct slot *cache_take_idle(struct predict *p, int64_t now_ns, bool all);
/* Without it: unload what was taken out, and give the memory back to the system. n counts them;
 * NULL is fine. */
void cache_close(struct slot *list, struct count *n);

void sweep_init(struct sweep *s);
enum err_code sweep_start(struct predict *p, struct err *err);
void sweep_stop(struct predict *p);

/* A picture by the reference contract, to be given back by memo_release(); as image_decode(). */
enum err_code predict_decode(struct predict *p, const uint8_t *bytes, size_t n,
                             struct memo_picture **out, struct err *err);

#endif
