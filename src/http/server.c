/* server.c - libmicrohttpd's callbacks: what becomes of a request, and when. */
#include <gnutls/abstract.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "http/listen.h"
#include "http/request.h"
#include "http/tls.h"
#include "http/token.h"
#include "sys/clock.h"
#include "sys/pool.h"

enum {
    CONNECTION_BYTES = 64 << 10, /* libmicrohttpd's buffers of one, so the size of our reads */
    CONNECTIONS_MAX = 1000,
    IDLE_TIMEOUTS = 2,  /* of a client's: for the head of a request, after the keep-alive time */
    BODY_SECONDS = 600, /* for a whole body, so that a trickle does not hold a place for ever */
    POLL_MS = 5,
};

struct http_server {
    struct http_options o; /* of its strings none is kept */
    struct MHD_Daemon *daemon;
    struct pool *pool;
    struct peers peers;
    struct form_budget budget;
    unsigned port;
    struct http_stats stats;
    struct token token;
    struct tls *tls;            /* NULL: plain HTTP */
    uint32_t id_start, last_id; /* the loop's; start differs from one server to the next */
    atomic_uint n_requests;     /* of connections */
    atomic_bool stopping;
};

unsigned http_server_port(const struct http_server *s)
{
    return s->port;
}

const struct http_stats *http_stats(const struct http_request *r)
{
    return &r->server->stats;
}

/* The route of that path and method, or the refusal. */
static void find_route(struct http_request *r, const char *method, const char *path)
{
    const struct http_options *o = &r->server->o;
    for (size_t i = 0; i < o->n_routes; i++) {
        if (strcmp(o->routes[i].path, path) != 0)
            continue;
        r->path = &o->routes[i];
        if (!strcmp(o->routes[i].method, method))
            r->route = &o->routes[i];
    }
    if (!r->route)
        request_refuse(r, r->path ? MHD_HTTP_METHOD_NOT_ALLOWED : MHD_HTTP_NOT_FOUND,
                       r->path ? "Method Not Allowed" : "Not Found");
}

static void refuse_too_large(struct http_request *r)
{
    char text[96];
    snprintf(text, sizeof text, "the body is larger than the limit of %llu bytes",
             (unsigned long long)r->server->o.max_body_bytes);
    request_refuse(r, MHD_HTTP_CONTENT_TOO_LARGE, text);
}

static struct peer *peer_of(struct MHD_Connection *c)
{
    return MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
}

static bool is_work(const struct http_request *r)
{
    return r->path && r->path->is_work;
}

/* Of a path that is none no more is told than of one that is. */
static void check_token(struct http_request *r, struct MHD_Connection *c)
{
    const char *v = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Authorization");
    if (!(r->path && r->path->is_open) && !token_fits(&r->server->token, v))
        request_refuse(r, MHD_HTTP_UNAUTHORIZED, "Not authenticated");
}

static void set_id(struct http_request *r, struct MHD_Connection *c)
{
    struct http_server *s = r->server;
    request_take_id(r, MHD_lookup_connection_value(c, MHD_HEADER_KIND, "X-Request-Id"));
    if (!r->id[0] && is_work(r))
        snprintf(r->id, sizeof r->id, "%08x%08x", s->id_start, ++s->last_id);
}

static struct http_request *open_request(struct http_server *s, struct MHD_Connection *c,
                                         const char *method, const char *path)
{
    struct http_request *r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    r->server = s;
    atomic_init(&r->n_holders, 1);
    r->deadline_ns = (uint64_t)clock_mono_ns() + BODY_SECONDS * 1000000000ull;
    atomic_fetch_add(&s->n_requests, 1);
    peers_set_busy(&s->peers, peer_of(c), true);
    MHD_set_connection_option(c, MHD_CONNECTION_OPTION_TIMEOUT, s->o.timeout_s);
    find_route(r, method, path);
    check_token(r, c);
    set_id(r, c);
    const struct form_limits limits = { .max_file_bytes = s->o.max_body_bytes,
                                        .max_text_bytes = s->o.max_text_bytes,
                                        .max_fields = s->o.max_fields };
    struct err why = { 0 };
    if (r->route &&
        form_init(&r->form, MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Content-Type"),
                  &limits, &s->budget, &why) != ERR_NONE)
        request_refuse_form(r, &why);
    return r;
}

static void count_answer(struct http_request *r)
{
    struct http_server *s = r->server;
    size_t row = r->path ? (size_t)(r->path - s->o.routes) : HTTP_ROUTES_MAX;
    r->status = r->response.status;
    if (r->status < HTTP_STATUSES)
        count_add(&s->stats.answers[row][r->status], 1);
    if (r->whole_ns)
        count_time(&s->stats.total, clock_mono_ns() - r->whole_ns);
}

static enum MHD_Result send_response(struct http_request *r, struct MHD_Connection *c)
{
    struct http_server *s = r->server;
    struct http_response *o = &r->response;
    if (!o->status)
        request_refuse(r, MHD_HTTP_INTERNAL_SERVER_ERROR, "Internal Server Error");
    char *body = NULL;
    size_t n = o->body.len;
    if (n && buf_take(&o->body, &body, &n, NULL) != ERR_NONE)
        return MHD_NO;
    struct MHD_Response *m = MHD_create_response_from_buffer(
        n, n ? body : "", n ? MHD_RESPMEM_MUST_FREE : MHD_RESPMEM_PERSISTENT);
    if (!m) {
        free(body);
        return MHD_NO;
    }
    MHD_add_response_header(m, "Content-Type", o->type ? o->type : "application/json");
    if (o->status == MHD_HTTP_UNAUTHORIZED)
        MHD_add_response_header(m, "WWW-Authenticate", "Bearer");
    if (o->status == MHD_HTTP_METHOD_NOT_ALLOWED)
        MHD_add_response_header(m, "Allow", r->path->method);
    if (o->status == MHD_HTTP_SERVICE_UNAVAILABLE)
        MHD_add_response_header(m, "Retry-After", "1");
    if (atomic_load(&s->stopping))
        MHD_add_response_header(m, "Connection", "close");
    if (r->id[0])
        MHD_add_response_header(m, "X-Request-Id", r->id);
    count_answer(r);
    enum MHD_Result ok = MHD_queue_response(c, o->status, m);
    MHD_destroy_response(m);
    return ok;
}

static void work(void *arg, unsigned worker)
{
    (void)worker;
    struct http_request *r = arg;
    struct http_server *s = r->server;
    atomic_fetch_add(&s->stats.n_running, 1);
    r->taken_ns = clock_mono_ns();
    count_time(&s->stats.queue, r->taken_ns - r->whole_ns);
    if (!atomic_load(&r->gone))
        r->route->fn(r, &r->response, s->o.ctx);
    form_clear(&r->form); /* who has read the answer must find its room free */
    peers_answer(&s->peers, r);
    request_release(r);
    atomic_fetch_sub(&s->stats.n_running, 1);
    atomic_fetch_sub(&s->stats.n_working, 1);
}

static bool submit(struct http_request *r)
{
    atomic_fetch_add(&r->n_holders, 1);
    atomic_fetch_add(&r->server->stats.n_working, 1);
    if (pool_try_submit(r->server->pool, work, r))
        return true;
    atomic_fetch_sub(&r->server->stats.n_working, 1);
    atomic_fetch_sub(&r->n_holders, 1);
    return false;
}

static void on_hangup(struct http_request *r)
{
    if (!pool_withdraw(r->server->pool, r))
        return;
    atomic_fetch_sub(&r->server->stats.n_working, 1);
    request_release(r);
}

/* The body is here. */
static enum MHD_Result dispatch(struct http_request *r, struct MHD_Connection *c)
{
    struct http_server *s = r->server;
    struct err why = { 0 };
    if (r->route && form_finish(&r->form, &why) != ERR_NONE)
        request_refuse_form(r, &why);
    if (is_work(r))
        r->whole_ns = clock_mono_ns();
    if (r->route && r->route->is_work) {
        struct peer *p = peer_of(c);
        if (p && peers_wait(&s->peers, p, r, submit))
            return MHD_YES;
        request_refuse(r, MHD_HTTP_SERVICE_UNAVAILABLE,
                       atomic_load(&s->stopping) ? "the server is stopping"
                                                 : "too many requests wait");
    } else if (r->route) {
        r->route->fn(r, &r->response, s->o.ctx);
    }
    return send_response(r, c);
}

static enum MHD_Result take_body(struct http_request *r, const char *p, size_t n)
{
    const struct http_options *o = &r->server->o;
    struct err why = { 0 };
    r->n_body += n;
    /* What is refused is read to its end, within reason, so that the client reads why. */
    if (r->n_body / 2 > o->max_body_bytes || (uint64_t)clock_mono_ns() > r->deadline_ns)
        return MHD_NO;
    if (r->route && r->n_body > o->max_body_bytes)
        refuse_too_large(r);
    if (r->route && form_write(&r->form, p, n, &why) != ERR_NONE)
        request_refuse_form(r, &why);
    return MHD_YES;
}

/* A body that announces its size to be too large need not be sent. */
static bool announces_too_much(const struct http_request *r, struct MHD_Connection *c)
{
    const char *v = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Content-Length");
    return v && strtoull(v, NULL, 10) > r->server->o.max_body_bytes;
}

static enum MHD_Result count_framing(void *ctx, enum MHD_ValueKind kind, const char *name,
                                     const char *value)
{
    unsigned *n = ctx;
    (void)kind;
    if (!strcasecmp(name, "Content-Length"))
        *n += 1;
    else if (!strcasecmp(name, "Transfer-Encoding"))
        *n += value && !strcasecmp(value, "chunked") ? 1 : 2;
    return MHD_YES;
}

/* Where the body ends is said twice, or as nobody here knows: a proxy before us may see another
 * end, and so other requests (RFC 9112, 6.3). libmicrohttpd would take one of them. */
static bool is_framed_oddly(struct MHD_Connection *c)
{
    unsigned n = 0;
    MHD_get_connection_values(c, MHD_HEADER_KIND, count_framing, &n);
    return n > 1;
}

/* What the head alone tells to be refused; the connection is closed after it. */
static bool refuse_head(struct http_request *r, struct MHD_Connection *c)
{
    if (is_framed_oddly(c))
        request_refuse(r, MHD_HTTP_BAD_REQUEST, "the size of the body is not clear");
    else if (announces_too_much(r, c))
        refuse_too_large(r);
    else
        return false;
    return true;
}

/* Called once for the head, once for each piece of the body, once after it, and once more when a
 * suspended connection was resumed. */
static enum MHD_Result on_request(void *ctx, struct MHD_Connection *c, const char *path,
                                  const char *method, const char *version, const char *body,
                                  size_t *n_body, void **state)
{
    (void)version;
    struct http_request *r = *state;
    if (!r) {
        r = open_request(ctx, c, method, path);
        *state = r;
        if (r && refuse_head(r, c))
            return send_response(r, c);
        return r ? MHD_YES : MHD_NO;
    }
    if (*n_body) {
        enum MHD_Result ok = take_body(r, body, *n_body);
        *n_body = 0;
        return ok;
    }
    if (r->answered)
        return send_response(r, c);
    return atomic_load(&r->gone) ? MHD_NO : dispatch(r, c);
}

static void on_completed(void *ctx, struct MHD_Connection *c, void **state,
                         enum MHD_RequestTerminationCode how)
{
    struct http_server *s = ctx;
    struct http_request *r = *state;
    if (!r)
        return;
    *state = NULL;
    peers_set_busy(&s->peers, peer_of(c), false);
    if (!r->status)
        count_add(&s->stats.n_gone, 1);
    if (is_work(r))
        request_log(r, how == MHD_REQUEST_TERMINATED_COMPLETED_OK && r->status);
    if (how == MHD_REQUEST_TERMINATED_COMPLETED_OK)
        MHD_set_connection_option(c, MHD_CONNECTION_OPTION_TIMEOUT, s->o.keepalive_s);
    request_release(r);
    atomic_fetch_sub(&s->n_requests, 1);
}

static void on_connection(void *ctx, struct MHD_Connection *c, void **state,
                          enum MHD_ConnectionNotificationCode what)
{
    struct http_server *s = ctx;
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        struct peer *p = peers_add(&s->peers, c);
        if (p)
            p->tls = s->tls;
        *state = p;
        return;
    }
    peers_remove(&s->peers, *state);
    *state = NULL;
}

static void on_log(void *ctx, const char *fmt, va_list ap)
{
    (void)ctx;
    char line[256];
    vsnprintf(line, sizeof line, fmt, ap);
    log_write(LOG_DEBUG, "http: %.*s", (int)strcspn(line, "\n"), line);
}

/* GnuTLS's callback for a handshake. libmicrohttpd leaves the connection with the session. */
static int on_handshake(gnutls_session_t session, const gnutls_datum_t *issuers, int n_issuers,
                        const gnutls_pk_algorithm_t *algorithms, int n_algorithms,
                        gnutls_pcert_st **certs, unsigned *n_certs, gnutls_privkey_t *key)
{
    (void)issuers, (void)n_issuers, (void)algorithms, (void)n_algorithms;
    const struct peer *p = peer_of(gnutls_session_get_ptr(session));
    if (!p)
        return -1; /* out of memory when it began */
    tls_pick(p->tls, certs, n_certs, key);
    return 0;
}

static enum err_code start_daemon(struct http_server *s, int fd, struct err *err)
{
    static char versions[] = "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2";
    struct MHD_OptionItem tls[] = {
        { MHD_OPTION_HTTPS_CERT_CALLBACK, 0, (void *)(intptr_t)on_handshake },
        { MHD_OPTION_HTTPS_PRIORITIES, 0, versions },
        { MHD_OPTION_END, 0, NULL },
    };
    s->daemon = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME |
                                     MHD_USE_ERROR_LOG | (s->tls ? MHD_USE_TLS : 0),
                                 0, NULL, NULL, on_request, s, MHD_OPTION_EXTERNAL_LOGGER, on_log,
                                 NULL, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_NOTIFY_COMPLETED,
                                 on_completed, s, MHD_OPTION_NOTIFY_CONNECTION, on_connection, s,
                                 MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_BYTES,
                                 MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX,
                                 MHD_OPTION_CONNECTION_TIMEOUT, s->o.timeout_s, MHD_OPTION_ARRAY,
                                 s->tls ? tls : &tls[2], MHD_OPTION_END);
    return s->daemon ? ERR_NONE : err_set(err, ERR_IO, "the HTTP server did not start");
}

enum err_code http_server_open(struct http_server **out, const struct http_options *o,
                               struct err *err)
{
    int fd = -1;
    bool watching = false;
    *out = NULL;
    struct http_server *s = calloc(1, sizeof *s);
    if (!s)
        return err_set(err, ERR_NOMEM, "HTTP server");
    s->o = *o;
    s->o.host = s->o.unix_path = s->o.token = s->o.tls_cert = s->o.tls_key = NULL;
    token_init(&s->token, o->token);
    s->budget.max = o->max_bodies_bytes;
    if (getentropy(&s->id_start, sizeof s->id_start))
        s->id_start = (uint32_t)clock_wall_ns();
    enum err_code rc = o->tls_cert ? tls_create(&s->tls, o->tls_cert, o->tls_key, err) : ERR_NONE;
    if (rc == ERR_NONE)
        rc = o->unix_path ? listen_unix(&fd, o->unix_path, err)
                          : listen_tcp(&fd, o->host, o->port, err);
    if (rc == ERR_NONE) {
        s->port = listen_port(fd);
        rc = pool_create(&s->pool, o->n_threads, o->queue_max, err);
    }
    if (rc == ERR_NONE) {
        rc = peers_init(&s->peers, o->keepalive_s + IDLE_TIMEOUTS * o->timeout_s, on_hangup, err);
        watching = rc == ERR_NONE;
    }
    if (rc == ERR_NONE)
        rc = start_daemon(s, fd, err);
    if (rc == ERR_NONE) {
        *out = s;
        return ERR_NONE;
    }
    if (watching)
        peers_clear(&s->peers);
    pool_destroy(s->pool);
    tls_destroy(s->tls);
    if (fd >= 0)
        close(fd);
    free(s);
    return rc;
}

enum err_code http_server_reload(struct http_server *s, struct err *err)
{
    return s->tls ? tls_reload(s->tls, err) : ERR_NONE;
}

/* Wait until *n is 0, at most until the deadline. */
static bool drain(atomic_uint *n, int64_t deadline_ns)
{
    while (atomic_load(n) && clock_mono_ns() < deadline_ns)
        nanosleep(&(struct timespec){ .tv_nsec = POLL_MS * 1000000L }, NULL);
    return !atomic_load(n);
}

bool http_server_stop(struct http_server *s, unsigned timeout_ms)
{
    int64_t deadline_ns = clock_mono_ns() + timeout_ms * 1000000ll;
    atomic_store(&s->stopping, true);
    int fd = MHD_quiesce_daemon(s->daemon);
    if (fd >= 0)
        shutdown(fd, SHUT_RD); /* refuses from now on; closed when the loop is no more */
    drain(&s->n_requests, deadline_ns);
    peers_close(&s->peers); /* libmicrohttpd must find none suspended */
    MHD_stop_daemon(s->daemon);
    s->daemon = NULL;
    if (fd >= 0)
        close(fd);
    return drain(&s->stats.n_working, deadline_ns);
}

void http_server_close(struct http_server *s)
{
    if (!s)
        return;
    pool_destroy(s->pool);
    peers_clear(&s->peers);
    tls_destroy(s->tls);
    free(s);
}
