/* router.c - which request goes where, and who of the others is up. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/str.h"
#include "remote/flight.h"
#include "sys/clock.h"

struct upstream {
    const char *name;
    char *url; /* NULL: there is none */
    atomic_bool is_up;
    struct remote_stats stats;
};

struct remote_router {
    struct net *net;
    char *token;
    unsigned hedge_ms;
    struct upstream upstreams[REMOTE_N_KINDS];
    atomic_bool is_closing; /* set under the lock; breaks a ping off */
    pthread_mutex_t lock;   /* over what follows */
    pthread_cond_t changed;
    size_t n_flights;
    pthread_t watcher;
    bool is_watched;
};

const char *remote_kind_name(enum remote_kind kind)
{
    static const char *const names[REMOTE_N_KINDS] = {
        [REMOTE_VISUAL] = "clip.visual",
        [REMOTE_TEXTUAL] = "clip.textual",
        [REMOTE_FACES] = "facial-recognition",
        [REMOTE_OCR] = "ocr",
    };
    return names[kind];
}

const struct remote_stats *remote_router_stats(const struct remote_router *r, enum remote_kind kind,
                                               bool *is_up)
{
    const struct upstream *u = &r->upstreams[kind];
    *is_up = u->url && atomic_load(&u->is_up);
    return u->url ? &u->stats : NULL;
}

/* ---- who is up ---- */

/* why: unless it is; it names the URL. A line of the log for each change. */
static void set_up(struct upstream *u, bool is, const char *why)
{
    if (atomic_exchange(&u->is_up, is) == is)
        return;
    if (is)
        log_write(LOG_INFO, "upstream of %s is up again", u->name);
    else
        log_write(LOG_WARN, "upstream of %s is down, its work is done here: %s", u->name, why);
}

/* False: the router closes. */
static bool wait_for_next(struct remote_router *r)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += REMOTE_PING_EVERY_MS / 1000;
    pthread_mutex_lock(&r->lock);
    int timed_out = 0;
    while (!r->is_closing && !timed_out)
        timed_out = pthread_cond_timedwait(&r->changed, &r->lock, &until);
    bool goes_on = !r->is_closing;
    pthread_mutex_unlock(&r->lock);
    return goes_on;
}

static void *watch(void *arg)
{
    struct remote_router *r = arg;
    do {
        for (int k = 0; k < REMOTE_N_KINDS; k++) {
            struct upstream *u = &r->upstreams[k];
            struct err why = { 0 };
            enum err_code rc =
                u->url ? remote_ping(r->net, u->url, false, REMOTE_PING_MS, &r->is_closing, &why)
                       : ERR_CANCELLED;
            if (rc != ERR_CANCELLED)
                set_up(u, rc == ERR_NONE, why.msg);
        }
    } while (wait_for_next(r));
    return NULL;
}

/* ---- a router's life ---- */

static enum err_code take_url(struct upstream *u, enum remote_kind kind, const char *url,
                              struct err *err)
{
    u->name = remote_kind_name(kind);
    atomic_init(&u->is_up, true);
    if (!url)
        return ERR_NONE;
    struct err why = { 0 };
    enum err_code rc = net_url_check(url, &why);
    if (rc != ERR_NONE)
        return err_set(err, rc, "upstream of %s: %s", u->name, why.msg);
    u->url = str_ndup(url, strlen(url));
    return u->url ? ERR_NONE : err_set(err, ERR_NOMEM, "upstreams");
}

/* Once, at the start, and not refused: a network of one's own may be trusted. */
static void warn_of_open_token(const struct remote_router *r)
{
    char names[80] = "";
    for (int k = 0; k < REMOTE_N_KINDS && r->token; k++) {
        const struct upstream *u = &r->upstreams[k];
        size_t n = strlen(names);
        if (u->url && net_url_is_open(u->url))
            snprintf(names + n, sizeof names - n, "%s%s", n ? ", " : "", u->name);
    }
    if (*names)
        log_write(LOG_WARN, "the token goes unencrypted to the upstream of %s; use https:// there",
                  names);
}

static void init_lock(struct remote_router *r)
{
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&r->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&r->lock, NULL);
}

enum err_code remote_router_create(struct remote_router **out, const struct remote_options *o,
                                   struct err *err)
{
    struct remote_router *r = calloc(1, sizeof *r);
    if (!r)
        return err_set(err, ERR_NOMEM, "upstreams");
    init_lock(r);
    r->hedge_ms = o->hedge_ms;
    enum err_code rc = net_create(&r->net, o->ca_file, err);
    if (rc == ERR_NONE && o->token && !(r->token = str_ndup(o->token, strlen(o->token))))
        rc = err_set(err, ERR_NOMEM, "token");
    for (int k = 0; k < REMOTE_N_KINDS && rc == ERR_NONE; k++)
        rc = take_url(&r->upstreams[k], (enum remote_kind)k, o->urls[k], err);
    if (rc == ERR_NONE) {
        warn_of_open_token(r);
        r->is_watched = !pthread_create(&r->watcher, NULL, watch, r);
        if (!r->is_watched)
            rc = err_set(err, ERR_INTERNAL, "no thread to watch the upstreams with");
    }
    if (rc != ERR_NONE) {
        remote_router_destroy(r);
        r = NULL;
    }
    *out = r;
    return rc;
}

void remote_router_destroy(struct remote_router *r)
{
    if (!r)
        return;
    pthread_mutex_lock(&r->lock);
    atomic_store(&r->is_closing, true);
    pthread_cond_broadcast(&r->changed);
    while (r->n_flights) /* nobody waits for them: they give up */
        pthread_cond_wait(&r->changed, &r->lock);
    pthread_mutex_unlock(&r->lock);
    if (r->is_watched)
        pthread_join(r->watcher, NULL);
    for (int k = 0; k < REMOTE_N_KINDS; k++)
        free(r->upstreams[k].url);
    net_destroy(r->net);
    pthread_cond_destroy(&r->changed);
    pthread_mutex_destroy(&r->lock);
    free(r->token);
    free(r);
}

/* ---- a request ---- */

static enum remote_kind kind_of(const struct predict_entry *e)
{
    return e->task == MODEL_FACES     ? REMOTE_FACES
           : e->task == MODEL_OCR     ? REMOTE_OCR
           : e->type == MODEL_TEXTUAL ? REMOTE_TEXTUAL
                                      : REMOTE_VISUAL;
}

/* NULL: it is done here. */
static struct upstream *choose(struct remote_router *r, const struct predict_entries *entries)
{
    if (!entries->n)
        return NULL;
    enum remote_kind kind = kind_of(&entries->at[0]);
    for (size_t i = 1; i < entries->n; i++)
        if (kind_of(&entries->at[i]) != kind)
            return NULL;
    struct upstream *u = &r->upstreams[kind];
    return u->url && atomic_load(&u->is_up) ? u : NULL;
}

static void count_flights(struct remote_router *r, bool one_more)
{
    pthread_mutex_lock(&r->lock);
    r->n_flights = one_more ? r->n_flights + 1 : r->n_flights - 1;
    pthread_cond_broadcast(&r->changed);
    pthread_mutex_unlock(&r->lock);
}

static void on_end(void *ctx)
{
    count_flights(ctx, false);
}

/* Does a landed flight have an answer? Where it does not, it is told why: a service that cannot be
 * reached is down, one that refuses a request may be right. */
static bool take_answer(struct upstream *u, const struct flight *f, struct buf *json)
{
    const struct buf *answer;
    struct err why = { 0 };
    enum err_code rc = flight_result(f, &answer, &why);
    if (rc == ERR_NONE) {
        buf_reset(json);
        rc = buf_append(json, answer->data, answer->len, &why);
    }
    count_add(rc == ERR_NONE ? &u->stats.n_answered : &u->stats.n_failed, 1);
    if (rc == ERR_IO)
        set_up(u, false, why.msg);
    else if (rc != ERR_NONE)
        log_write(LOG_WARN, "upstream of %s failed, it is done here: %s", u->name, why.msg);
    return rc == ERR_NONE;
}

/* The other is slow: who answers first has answered. Where it cannot be done here, the other's time
 * is what it takes. */
static enum err_code race(struct upstream *u, struct flight *f, struct predict *p,
                          const struct predict_entries *entries, const struct predict_input *in,
                          struct buf *json, struct err *err)
{
    struct predict_input here = *in;
    here.cancel = flight_has_answer(f);
    struct err why = { 0 };
    enum err_code rc = predict_run(p, entries, &here, json, &why);
    if (rc == ERR_NONE) {
        count_add(&u->stats.n_overtaken, 1);
        return rc;
    }
    if (flight_wait(f, 0, in->cancel) && take_answer(u, f, json))
        return ERR_NONE;
    return err_set(err, rc, "%s", why.msg);
}

enum err_code remote_router_run(struct remote_router *r, struct predict *p,
                                const struct predict_entries *entries, const char *entries_json,
                                const struct predict_input *in, const char *request_id,
                                struct buf *json, struct err *err)
{
    struct upstream *u = choose(r, entries);
    if (!u)
        return predict_run(p, entries, in, json, err);
    const struct flight_plan plan = { .net = r->net,
                                      .url = u->url,
                                      .token = r->token,
                                      .task = model_task_name(entries->at[0].task),
                                      .on_end = on_end,
                                      .ctx = r };
    struct flight *f;
    count_flights(r, true);
    if (flight_create(&f, &plan, entries_json, in, request_id, NULL) != ERR_NONE) {
        count_flights(r, false);
        return predict_run(p, entries, in, json, err);
    }
    enum err_code rc = ERR_NONE;
    if (!flight_wait(f, r->hedge_ms, in->cancel))
        rc = in->cancel && atomic_load(in->cancel)
                 ? err_set(err, ERR_CANCELLED, "the client has hung up")
                 : race(u, f, p, entries, in, json, err);
    else if (!take_answer(u, f, json))
        rc = predict_run(p, entries, in, json, err);
    flight_release(f);
    return rc;
}
