#include "sys/pool.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct work {
    pool_work_fn fn;
    void *arg;
};

struct worker {
    struct pool *pool;
    pthread_t thread;
    unsigned number;
};

struct pool {
    pthread_mutex_t lock;
    pthread_cond_t has_work, has_room, idle;
    struct work *ring; /* [cap] */
    size_t cap, head, len;
    unsigned n_threads, n_running;
    bool stop;
    struct worker *workers; /* [n_threads] */
};

static void *run(void *arg)
{
    struct worker *w = arg;
    struct pool *p = w->pool;
    pthread_mutex_lock(&p->lock);
    for (;;) {
        while (!p->len && !p->stop)
            pthread_cond_wait(&p->has_work, &p->lock);
        if (!p->len)
            break;
        struct work job = p->ring[p->head];
        p->head = (p->head + 1) % p->cap;
        p->len--;
        p->n_running++;
        pthread_cond_signal(&p->has_room);
        pthread_mutex_unlock(&p->lock);
        job.fn(job.arg, w->number);
        pthread_mutex_lock(&p->lock);
        if (!--p->n_running && !p->len)
            pthread_cond_broadcast(&p->idle);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

enum err_code pool_create(struct pool **out, unsigned n_threads, size_t queue_max, struct err *err)
{
    *out = NULL;
    struct pool *p = calloc(1, sizeof *p);
    if (!p)
        return err_set(err, ERR_NOMEM, "thread pool");
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->has_work, NULL);
    pthread_cond_init(&p->has_room, NULL);
    pthread_cond_init(&p->idle, NULL);
    p->cap = queue_max;
    p->ring = calloc(queue_max, sizeof *p->ring);
    p->workers = calloc(n_threads, sizeof *p->workers);
    enum err_code rc = ERR_NONE;
    if (!p->ring || !p->workers)
        rc = err_set(err, ERR_NOMEM, "thread pool of %u threads and %zu places", n_threads,
                     queue_max);
    for (unsigned i = 0; rc == ERR_NONE && i < n_threads; i++) {
        p->workers[i] = (struct worker){ .pool = p, .number = i };
        int e = pthread_create(&p->workers[i].thread, NULL, run, &p->workers[i]);
        if (e)
            rc = err_set(err, ERR_IO, "thread %u of %u: %s", i + 1, n_threads, strerror(e));
        else
            p->n_threads++;
    }
    if (rc != ERR_NONE) {
        pool_destroy(p);
        return rc;
    }
    *out = p;
    return ERR_NONE;
}

void pool_destroy(struct pool *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->stop = true;
    pthread_cond_broadcast(&p->has_work);
    pthread_mutex_unlock(&p->lock);
    for (unsigned i = 0; i < p->n_threads; i++)
        pthread_join(p->workers[i].thread, NULL);
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->has_work);
    pthread_cond_destroy(&p->has_room);
    pthread_cond_destroy(&p->idle);
    free(p->ring);
    free(p->workers);
    free(p);
}

static void put(struct pool *p, pool_work_fn fn, void *arg)
{
    p->ring[(p->head + p->len) % p->cap] = (struct work){ .fn = fn, .arg = arg };
    p->len++;
    pthread_cond_signal(&p->has_work);
}

void pool_submit(struct pool *p, pool_work_fn fn, void *arg)
{
    pthread_mutex_lock(&p->lock);
    while (p->len == p->cap)
        pthread_cond_wait(&p->has_room, &p->lock);
    put(p, fn, arg);
    pthread_mutex_unlock(&p->lock);
}

bool pool_try_submit(struct pool *p, pool_work_fn fn, void *arg)
{
    pthread_mutex_lock(&p->lock);
    bool room = p->len < p->cap;
    if (room)
        put(p, fn, arg);
    pthread_mutex_unlock(&p->lock);
    return room;
}

bool pool_withdraw(struct pool *p, const void *arg)
{
    pthread_mutex_lock(&p->lock);
    size_t at = 0;
    while (at < p->len && p->ring[(p->head + at) % p->cap].arg != arg)
        at++;
    bool found = at < p->len;
    if (found) {
        p->len--;
        for (; at < p->len; at++)
            p->ring[(p->head + at) % p->cap] = p->ring[(p->head + at + 1) % p->cap];
        pthread_cond_signal(&p->has_room);
        if (!p->len && !p->n_running)
            pthread_cond_broadcast(&p->idle);
    }
    pthread_mutex_unlock(&p->lock);
    return found;
}

void pool_wait_idle(struct pool *p)
{
    pthread_mutex_lock(&p->lock);
    while (p->len || p->n_running)
        pthread_cond_wait(&p->idle, &p->lock);
    pthread_mutex_unlock(&p->lock);
}

unsigned pool_n_threads(const struct pool *p)
{
    return p->n_threads;
}
