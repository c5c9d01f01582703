/* sweep.c - the thread that unloads what nobody has used for long. */
#include <string.h>
#include <time.h>

#include "predict/cache.h"
#include "sys/clock.h"
#include "sys/memory.h"

void sweep_init(struct sweep *s)
{
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&s->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

/* Nearly out of memory, by the kernel's own measure. */
static bool is_short(const struct predict *p)
{
    double percent;
    return p->o.pressure_percent && memory_pressure(&percent) &&
           percent >= (double)p->o.pressure_percent;
}

/* Has no model been used since the last look? With the lock held. */
static bool is_quiet(const struct predict *p, int64_t last_ns)
{
    for (const struct slot *s = p->slots; s; s = s->next)
        if (s->n_users || s->used_ns >= last_ns)
            return false;
    return true;
}

static void *sweep(void *arg)
{
    bool paused = false;
    int64_t last_ns = 0;
    struct predict *p = arg;
    pthread_mutex_lock(&p->lock);
    while (!p->sweep.stop) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += (time_t)p->o.poll_s;
        if (!pthread_cond_timedwait(&p->sweep.wake, &p->lock, &until))
            continue;
        pthread_mutex_unlock(&p->lock);
        bool all = is_short(p);
        pthread_mutex_lock(&p->lock);
        const int64_t now_ns = clock_mono_ns();
        struct slot *taken = cache_take_idle(p, now_ns, all);
        const bool was_paused = paused;
        paused = is_quiet(p, last_ns);
        last_ns = now_ns;
        bool empty = all || !p->slots; /* of models that could look at a picture again */
        bool rests = taken && !p->slots;
        pthread_mutex_unlock(&p->lock);
        cache_close(taken, &p->stats.n_unloads[all ? PREDICT_PRESSURE : PREDICT_IDLE]);
        if (memo_forget_pictures(&p->memo, empty ? INT64_MAX : now_ns - MEMO_NS))
            memory_give_back();
        if (paused && !was_paused)
            infer_pause(p->infer);
        if (rests)
            infer_rest(p->infer);
        pthread_mutex_lock(&p->lock);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

enum err_code sweep_start(struct predict *p, struct err *err)
{
    int e = pthread_create(&p->sweep.thread, NULL, sweep, p);
    p->sweep.runs = !e;
    return e ? err_set(err, ERR_IO, "thread that unloads models: %s", strerror(e)) : ERR_NONE;
}

void sweep_stop(struct predict *p)
{
    if (p->sweep.runs) {
        pthread_mutex_lock(&p->lock);
        p->sweep.stop = true;
        pthread_cond_signal(&p->sweep.wake);
        pthread_mutex_unlock(&p->lock);
        pthread_join(p->sweep.thread, NULL);
    }
    pthread_cond_destroy(&p->sweep.wake);
}
