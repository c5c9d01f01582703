#include "app/serve.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "api/api.h"
#include "app/engine.h"
#include "app/logging.h"
#include "base/log.h"
#include "base/str.h"
#include "http/http.h"
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

static enum err_code listen_and_serve(const struct config *c, struct engine *e, const char *host,
                                      unsigned port, const char *socket, const sigset_t *signals,
                                      struct err *err)
{
    struct api api = { .predict = e->predict,
                       .max_entries_bytes = (size_t)c->max_entries_kib << 10,
                       .start_wall_ns = clock_wall_ns() };
    const struct http_options o = {
        .routes = api_routes,
        .n_routes = api_n_routes,
        .ctx = &api,
        .host = host,
        .port = port,
        .unix_path = socket,
        .n_threads = c->request_threads ? (unsigned)c->request_threads : cpu_count(),
        .queue_max = (size_t)c->queue_max,
        .max_body_bytes = (uint64_t)c->max_body_mib << 20,
        .max_bodies_bytes = (uint64_t)c->max_bodies_mib << 20,
        .max_fields = (size_t)c->max_fields,
        .max_text_bytes = (size_t)1 << 20, /* as the reference */
        .keepalive_s = (unsigned)c->keepalive_s,
        .timeout_s = (unsigned)c->timeout_s,
    };
    struct http_server *s;
    enum err_code rc = http_server_open(&s, &o, err);
    if (rc != ERR_NONE)
        return rc;
    if (socket)
        log_write(LOG_INFO, "listening on %s", socket);
    else
        log_write(LOG_INFO, "listening on %s port %u", host, http_server_port(s));
    struct preloading l = { e, c, &api, 0 };
    bool aside = !pthread_create(&l.thread, NULL, run_preload, &l);
    if (!aside)
        run_preload(&l);
    int signal;
    sigwait(signals, &signal);
    atomic_store(&api.phase, API_STOPPING);
    atomic_store(&e->stop, true);
    log_write(LOG_INFO, "stopping");
    bool idle = http_server_stop(s, STOP_MS);
    if (socket)
        unlink(socket);
    if (!idle) {
        log_write(LOG_WARN, "a request did not end within %d s", STOP_MS / 1000);
        _exit(0); /* its thread cannot be stopped, and holds what would be freed */
    }
    if (aside)
        pthread_join(l.thread, NULL);
    http_server_close(s);
    return ERR_NONE;
}

enum err_code serve_run(const struct config *c, const char *host, unsigned port, const char *socket,
                        struct err *err)
{
    struct engine e;
    sigset_t signals;
    memory_one_heap();
    signal(SIGPIPE, SIG_IGN); /* nobody reads the log any more: no reason to end */
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, NULL); /* before there are threads: they inherit it */
    logging_for_service((enum log_level)config_log_level(c), c->log_format);
    config_log_unused();
    enum err_code rc = engine_init(&e, c, (unsigned)c->intra_op_threads, ENGINE_SERVICE, err);
    if (rc != ERR_NONE)
        return rc;
    rc = listen_and_serve(c, &e, host, port, socket, &signals, err);
    engine_clear(&e);
    return rc;
}
