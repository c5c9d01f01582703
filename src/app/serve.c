#include "app/serve.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/api.h"
#include "app/engine.h"
#include "app/logging.h"
#include "app/token.h"
#include "base/log.h"
#include "base/str.h"
#include "http/http.h"
#include "remote/remote.h"
#include "sys/clock.h"
#include "sys/cpu.h"
#include "sys/memory.h"

enum { STOP_MS = 10000 };

static enum err_code load_one(struct predict *p, enum model_task task, enum model_type type,
                              const char *name, struct err *err)
{
    struct predict_bundle *b;
    enum err_code rc = predict_acquire(p, task, type, name, &b, err);
    if (rc == ERR_NONE)
        log_write(LOG_INFO, "loaded %s %s %s", model_task_name(task), model_type_name(type), name);
    predict_release(p, b);
    return rc;
}

/* The comma lists of MACHINE_LEARNING_PRELOAD__*. A model that cannot be loaded now is tried again
 * when it is asked for, so it does not keep the others from being served. */
static void preload(struct engine *e, const struct config *c)
{
    for (int k = 0; k < CONFIG_N_KINDS; k++) {
        for (const char *at = c->preload[k]; at && *at && !atomic_load(&e->stop);) {
            char name[MODEL_PATH_MAX];
            struct err why = { 0 };
            at += strspn(at, ", ");
            size_t n = strcspn(at, ", ");
            snprintf(name, sizeof name, "%.*s", (int)n, at);
            if (n && load_one(e->predict, predict_kinds[k].task, predict_kinds[k].type, name,
                              &why) != ERR_NONE)
                log_write(LOG_ERROR, "preload: %s", why.msg);
            at += n;
        }
    }
}

/* A thread of its own, as a download may take long and a signal must end it. */
struct preloading {
    struct engine *engine;
    const struct config *config;
    struct api *api;
    pthread_t thread;
};

static void *run_preload(void *arg)
{
    const struct preloading *l = arg;
    int starting = API_STARTING;
    preload(l->engine, l->config);
    atomic_compare_exchange_strong(&l->api->phase, &starting, API_READY);
    return NULL;
}

static struct http_options options_of(const struct config *c)
{
    return (struct http_options){
        .routes = api_routes,
        .n_routes = api_n_routes,
        .n_threads = c->request_threads ? (unsigned)c->request_threads : cpu_count(),
        .queue_max = (size_t)c->queue_max,
        .max_body_bytes = (uint64_t)c->max_body_mib << 20,
        .max_bodies_bytes = (uint64_t)c->max_bodies_mib << 20,
        .max_fields = (size_t)c->max_fields,
        .max_text_bytes = (size_t)1 << 20, /* as the reference */
        .keepalive_s = (unsigned)c->keepalive_s,
        .timeout_s = (unsigned)c->timeout_s,
        .tls_cert = c->tls_cert,
        .tls_key = c->tls_key,
    };
}

/* Until a signal to end. */
static void wait_for_signal(struct http_server *s, const struct config *c, const sigset_t *signals)
{
    int signal;
    while (!sigwait(signals, &signal) && signal == SIGHUP) {
        struct err why = { 0 };
        if (http_server_reload(s, &why) == ERR_NONE)
            log_write(LOG_INFO, "SIGHUP: %s",
                      c->tls_cert ? "the certificate was read again" : "nothing to read again");
        else
            log_write(LOG_ERROR, "SIGHUP: %s; the old one stays", why.msg);
    }
}

/* False where a request did not end in time: its thread cannot be stopped, and holds what would be
 * freed. */
static bool serve_until_told(struct http_server *s, const struct config *c, struct engine *e,
                             struct api *api, const sigset_t *signals)
{
    struct preloading l = { e, c, api, 0 };
    bool aside = !pthread_create(&l.thread, NULL, run_preload, &l);
    if (!aside)
        run_preload(&l);
    wait_for_signal(s, c, signals);
    atomic_store(&api->phase, API_STOPPING);
    atomic_store(&e->stop, true);
    log_write(LOG_INFO, "stopping");
    if (!http_server_stop(s, STOP_MS)) {
        log_write(LOG_WARN, "a request did not end within %d s", STOP_MS / 1000);
        return false;
    }
    if (aside)
        pthread_join(l.thread, NULL);
    return true;
}

/* *out is NULL where all is done here. */
static enum err_code make_router(struct remote_router **out, const struct config *c,
                                 const char *const *upstreams, const char *token, struct err *err)
{
    bool any = false;
    struct remote_options o = { .hedge_ms = (unsigned)c->hedge_ms,
                                .token = token,
                                .ca_file = c->ca_file };
    for (int k = 0; k < REMOTE_N_KINDS; k++) {
        o.urls[k] = upstreams[k];
        any |= o.urls[k] != NULL;
    }
    *out = NULL;
    return any ? remote_router_create(out, &o, err) : ERR_NONE;
}

static enum err_code listen_and_serve(const struct config *c, const char *const *upstreams,
                                      struct engine *e, struct http_options *o,
                                      const sigset_t *signals, struct err *err)
{
    struct api api = { .predict = e->predict,
                       .max_entries_bytes = (size_t)c->max_entries_kib << 10,
                       .start_wall_ns = clock_wall_ns() };
    struct http_server *s;
    char *token;
    enum err_code rc = token_load(c->token, c->token_file, &token, err);
    o->ctx = &api;
    o->token = token;
    if (rc == ERR_NONE)
        rc = make_router(&api.router, c, upstreams, token, err);
    if (rc == ERR_NONE)
        rc = http_server_open(&s, o, err);
    free(token);
    if (rc != ERR_NONE) {
        remote_router_destroy(api.router);
        return rc;
    }
    if (o->unix_path)
        log_write(LOG_INFO, "listening on %s", o->unix_path);
    else
        log_write(LOG_INFO, "listening on %s port %u", o->host, http_server_port(s));
    bool ended = serve_until_told(s, c, e, &api, signals);
    if (o->unix_path)
        unlink(o->unix_path);
    if (!ended)
        _exit(0);
    http_server_close(s);
    remote_router_destroy(api.router);
    return ERR_NONE;
}

enum err_code serve_run(const struct config *c, const struct serve_options *given, struct err *err)
{
    struct engine e;
    sigset_t signals;
    struct http_options o = options_of(c);
    o.host = given->host;
    o.port = given->port;
    o.unix_path = given->socket;
    if (!c->tls_cert != !c->tls_key)
        return err_set(err, ERR_INVALID, "FOVEA_TLS_CERT and FOVEA_TLS_KEY need each other");
    memory_one_heap();
    signal(SIGPIPE, SIG_IGN); /* nobody reads the log any more: no reason to end */
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &signals, NULL); /* before there are threads: they inherit it */
    logging_for_service((enum log_level)config_log_level(c), c->log_format);
    config_log_unused();
    enum err_code rc = engine_init(&e, c, (unsigned)c->intra_op_threads, ENGINE_SERVICE, err);
    if (rc != ERR_NONE)
        return rc;
    rc = listen_and_serve(c, given->upstreams, &e, &o, &signals, err);
    engine_clear(&e);
    return rc;
}
