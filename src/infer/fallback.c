/* fallback.c - a network that a provider runs, as long as it does.
 *
 * Where opening or a run fails on the provider, the CPU gets the same to do. If it succeeds, the
 * provider was to blame, and the network stays with the CPU until it is loaded again; if it fails
 * too, the network or the input was, and the CPU's word on it is the answer. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "infer/provider.h"

struct pair {
    pthread_rwlock_t giving_up;   /* held for reading while the provider runs */
    struct infer_session *fast;   /* NULL: given up */
    pthread_mutex_t one;          /* for opening, and for runs that must not overlap */
    struct infer_session *slow;   /* on the CPU; NULL until it is needed */
    struct infer_network network; /* its strings on the heap */
};

static enum err_code open_slow(struct infer_session *s, struct err *err)
{
    struct pair *w = s->state;
    enum err_code rc = ERR_NONE;
    pthread_mutex_lock(&w->one);
    if (!w->slow)
        rc = infer_session_open_on(&w->slow, s->engine, &infer_ort_backend, NULL, false,
                                   &w->network, err);
    pthread_mutex_unlock(&w->one);
    return rc;
}

static void copy_ports(struct infer_session *s, const struct infer_session *from)
{
    s->n_inputs = from->n_inputs;
    s->n_outputs = from->n_outputs;
    memcpy(s->inputs, from->inputs, sizeof s->inputs);
    memcpy(s->outputs, from->outputs, sizeof s->outputs);
}

static void warn(const struct infer_session *s, const char *why)
{
    const struct pair *w = s->state;
    log_write(LOG_WARN, "%s runs on the CPU from now on; %s failed: %s", w->network.path,
              s->provider->name, why);
}

static enum err_code pair_open(struct infer_session *s, const struct infer_network *network,
                               struct err *err)
{
    const char *path = network->path, *identity = network->identity;
    struct err why = { 0 };
    struct pair *w = calloc(1, sizeof *w);
    if (!w)
        return err_set(err, ERR_NOMEM, "%s: session", path);
    pthread_rwlock_init(&w->giving_up, NULL);
    pthread_mutex_init(&w->one, NULL);
    s->state = w;
    w->network.path = str_ndup(path, strlen(path));
    w->network.identity = identity ? str_ndup(identity, strlen(identity)) : NULL;
    if (!w->network.path || (identity && !w->network.identity))
        return err_set(err, ERR_NOMEM, "%s: session", path);
    enum err_code rc = infer_session_open_on(&w->fast, s->engine, &infer_ort_backend, s->provider,
                                             false, &(struct infer_network){ .path = path }, &why);
    if (rc != ERR_NONE) {
        rc = open_slow(s, err);
        if (rc == ERR_NONE)
            warn(s, why.msg);
    }
    if (rc == ERR_NONE)
        copy_ports(s, w->fast ? w->fast : w->slow);
    return rc;
}

static void pair_close(struct infer_session *s)
{
    struct pair *w = s->state;
    infer_session_close(w->fast);
    infer_session_close(w->slow);
    pthread_rwlock_destroy(&w->giving_up);
    pthread_mutex_destroy(&w->one);
    free((char *)(uintptr_t)w->network.path);
    free((char *)(uintptr_t)w->network.identity);
    free(w);
}

/* False where the provider was given up. */
static bool run_fast(struct infer_session *s, const struct infer_tensor *in,
                     struct infer_tensor *out, size_t n_out, enum err_code *rc, struct err *err)
{
    struct pair *w = s->state;
    pthread_rwlock_rdlock(&w->giving_up);
    const bool there = w->fast;
    if (there && s->provider->one_at_a_time)
        pthread_mutex_lock(&w->one);
    if (there)
        *rc = w->fast->backend->run(w->fast, in, out, n_out, err);
    if (there && s->provider->one_at_a_time)
        pthread_mutex_unlock(&w->one);
    pthread_rwlock_unlock(&w->giving_up);
    return there;
}

static void give_up(struct infer_session *s, const char *why)
{
    struct pair *w = s->state;
    pthread_rwlock_wrlock(&w->giving_up);
    struct infer_session *fast = w->fast;
    w->fast = NULL;
    pthread_rwlock_unlock(&w->giving_up);
    if (fast) {
        infer_free_rows(s);
        warn(s, why);
    }
    infer_session_close(fast);
}

static enum err_code pair_run(struct infer_session *s, const struct infer_tensor *in,
                              struct infer_tensor *out, size_t n_out, struct err *err)
{
    struct pair *w = s->state;
    struct err why = { 0 };
    enum err_code rc = ERR_NONE;
    const bool tried = run_fast(s, in, out, n_out, &rc, &why);
    if (tried && rc == ERR_NONE)
        return rc;
    if (rc == ERR_NOMEM && infer_n_rows(s, in, n_out) > 1)
        return err_set(err, rc, "%s", why.msg); /* fewer rows may fit: rows.c tries */
    for (size_t i = 0; i < n_out; i++)
        infer_tensor_clear(&out[i]);
    rc = open_slow(s, err);
    if (rc == ERR_NONE)
        rc = w->slow->backend->run(w->slow, in, out, n_out, err);
    if (rc == ERR_NONE && tried)
        give_up(s, why.msg);
    return rc;
}

static enum err_code pair_metadata(const struct infer_session *s, const char *key, char **value,
                                   struct err *err)
{
    struct pair *w = s->state;
    pthread_rwlock_rdlock(&w->giving_up);
    const struct infer_session *one = w->fast ? w->fast : w->slow;
    enum err_code rc = one->backend->metadata(one, key, value, err);
    pthread_rwlock_unlock(&w->giving_up);
    return rc;
}

const struct infer_backend infer_fallback_backend = { pair_open, pair_run, pair_metadata,
                                                      pair_close };
