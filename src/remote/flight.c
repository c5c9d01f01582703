#include "remote/flight.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/str.h"
#include "sys/clock.h"

enum { LOOK_EVERY_MS = 200 }; /* at what tells who waits to go */

struct flight {
    struct flight_plan plan;
    struct ask ask;
    char *request_id;
    pthread_mutex_t lock;
    pthread_cond_t landing;
    bool landed; /* under the lock; what follows is its thread's before, constant after */
    enum err_code code;
    struct err err;
    struct net_response answer;
    atomic_bool has_answer, given_up;
    atomic_int n_holders;
};

static void let_go(struct flight *f)
{
    if (atomic_fetch_sub(&f->n_holders, 1) > 1)
        return;
    ask_clear(&f->ask);
    net_response_clear(&f->answer);
    pthread_cond_destroy(&f->landing);
    pthread_mutex_destroy(&f->lock);
    free(f->request_id);
    free(f);
}

/* All of it is read: where no length was told, what was cut off looks whole to HTTP. Whoever
 * answers 200 without the task has not done it: Immich's server would save nothing as the outcome.
 */
static enum err_code check(const struct buf *body, const char *task, struct err *err)
{
    struct json *v = NULL;
    struct err why = { 0 };
    enum err_code rc = json_parse(body->len ? body->data : "", body->len, &v, &why);
    const struct json *done = json_get(v, task);
    if (!json_is_object(v))
        rc = err_set(err, rc == ERR_NOMEM ? rc : ERR_INVALID, "its answer is no JSON object");
    else if (!done || json_is_null(done))
        rc = err_set(err, ERR_INVALID, "its answer has no \"%s\"", task);
    json_destroy(v);
    return rc;
}

static enum err_code send_it(struct flight *f, struct err *err)
{
    const struct ask_how how = { .token = f->plan.token,
                                 .request_id = f->request_id,
                                 .connect_ms = REMOTE_CONNECT_MS,
                                 .timeout_ms = REMOTE_ANSWER_MS,
                                 .cancel = &f->given_up };
    enum err_code rc = ask_send(&f->ask, f->plan.net, f->plan.url, &how, &f->answer, err);
    if (rc != ERR_NONE)
        return rc;
    /* What it says stays out of the message: it may have the text that was asked about. */
    if (f->answer.status != 200)
        return err_set(err, ERR_INVALID, "status %u", f->answer.status);
    return check(&f->answer.body, f->plan.task, err);
}

static void *fly(void *arg)
{
    struct flight *f = arg;
    struct flight_plan plan = f->plan;
    enum err_code rc = send_it(f, &f->err);
    pthread_mutex_lock(&f->lock);
    f->code = rc;
    f->landed = true;
    atomic_store(&f->has_answer, rc == ERR_NONE);
    pthread_cond_broadcast(&f->landing);
    pthread_mutex_unlock(&f->lock);
    let_go(f);
    plan.on_end(plan.ctx);
    return NULL;
}

static enum err_code start(struct flight *f, struct err *err)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, fly, f))
        return err_set(err, ERR_INTERNAL, "no thread to ask another service with");
    pthread_detach(thread);
    return ERR_NONE;
}

static void init_landing(struct flight *f)
{
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&f->landing, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&f->lock, NULL);
}

enum err_code flight_create(struct flight **out, const struct flight_plan *plan,
                            const char *entries, const struct predict_input *in,
                            const char *request_id, struct err *err)
{
    struct flight *f = calloc(1, sizeof *f);
    if (!f)
        return err_set(err, ERR_NOMEM, "request to another service");
    f->plan = *plan;
    init_landing(f);
    atomic_init(&f->n_holders, 2);
    f->request_id = str_ndup(request_id, strlen(request_id));
    enum err_code rc =
        f->request_id ? ERR_NONE : err_set(err, ERR_NOMEM, "request to another service");
    if (rc == ERR_NONE)
        rc = ask_init(&f->ask, entries, in, true, err);
    if (rc == ERR_NONE)
        rc = start(f, err);
    if (rc != ERR_NONE) {
        atomic_store(&f->n_holders, 1);
        let_go(f);
        return rc;
    }
    *out = f;
    return ERR_NONE;
}

void flight_release(struct flight *f)
{
    atomic_store(&f->given_up, true);
    let_go(f);
}

bool flight_wait(struct flight *f, unsigned ms, const atomic_bool *cancel)
{
    const int64_t end_ns = clock_mono_ns() + (int64_t)ms * 1000000;
    pthread_mutex_lock(&f->lock);
    while (!f->landed && !(cancel && atomic_load(cancel))) {
        int64_t now_ns = clock_mono_ns(), until_ns = now_ns + (int64_t)LOOK_EVERY_MS * 1000000;
        if (ms && now_ns >= end_ns)
            break;
        if (ms && end_ns < until_ns)
            until_ns = end_ns;
        struct timespec until = { until_ns / 1000000000, until_ns % 1000000000 };
        pthread_cond_timedwait(&f->landing, &f->lock, &until);
    }
    bool landed = f->landed;
    pthread_mutex_unlock(&f->lock);
    return landed;
}

const atomic_bool *flight_has_answer(const struct flight *f)
{
    return &f->has_answer;
}

enum err_code flight_result(const struct flight *f, const struct buf **answer, struct err *err)
{
    *answer = &f->answer.body;
    return f->code == ERR_NONE ? ERR_NONE : err_set(err, f->code, "%s", f->err.msg);
}
