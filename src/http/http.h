/* http.h - an HTTP/1.1 server: requests with forms in, responses out.
 *
 * One thread of its own (libmicrohttpd, epoll) parses and writes; it never waits for work. A route
 * is answered either by that thread at once, or by a pool of threads, its connection set aside
 * until the answer is there. What waits is bounded: when the queue is full the answer is 503 with
 * Retry-After. A client that hangs up takes its request out of the queue; what already runs sees it
 * by http_gone().
 *
 * Forms are read as they arrive, multipart/form-data and application/x-www-form-urlencoded, as the
 * reference's server does (Starlette 0.50 on python-multipart 0.0.32): of two fields of one name
 * the last counts, text that is not UTF-8 is Latin-1. A body of another type is an empty form.
 *
 * What the server refuses by itself (no such route, a limit, a malformed form) is answered
 * {"detail": "..."}; what is no HTTP by libmicrohttpd's pages, or not at all.
 *
 * Each request for work is one line of the log, at debug when all was well or the client left, with
 * id, status and times and without any of the content. */
#ifndef FOVEA_HTTP_HTTP_H
#define FOVEA_HTTP_HTTP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "sys/count.h"

struct http_server;
struct http_request;

/* One part of a form; data is NUL-terminated, and valid UTF-8 unless it is a file. */
struct http_field {
    char *name;
    struct buf data;
    bool is_file; /* it came with a filename */
};

/* The field of that name, NULL if there is none. */
const struct http_field *http_field(const struct http_request *r, const char *name);
/* Becomes true when the client has hung up: nobody will read the response. */
const atomic_bool *http_gone(const struct http_request *r);

/* What it is called in the log: the client's X-Request-Id where that is 1 to HTTP_ID_MAX letters,
 * digits and "-_.", else a number of the server's own. It is given back with the answer, unless the
 * client sent none and the answer is a page and no work. */
enum { HTTP_ID_MAX = 64 };
const char *http_request_id(const struct http_request *r);

/* status 0 means that the handler gave none, which is answered 500. */
struct http_response {
    unsigned status;
    const char *type; /* Content-Type, static; NULL: application/json */
    struct buf body;
    char why[ERR_MSG_MAX]; /* of a refusal, for the log; "": none */
};

/* Fills out; out->body is the server's afterwards. */
typedef void (*http_handler_fn)(const struct http_request *r, struct http_response *out, void *ctx);

struct http_route {
    const char *method, *path;
    http_handler_fn fn;
    bool is_work; /* run by the pool: for whatever takes longer than writing a page */
    bool is_open; /* answered without the token */
};

/* What there was to do since the start. */
enum { HTTP_ROUTES_MAX = 16, HTTP_STATUSES = 600 };
struct http_stats {
    /* By the route's place among the options' and the status; the last row is of all other paths.
     */
    struct count answers[HTTP_ROUTES_MAX + 1][HTTP_STATUSES];
    struct count n_gone;             /* clients that left before they were answered */
    struct count_times queue, total; /* of work: until a thread takes it, and from the whole body to
                                        the answer */
    atomic_uint n_working;           /* given to the pool and not back */
    atomic_uint n_running;           /* of these, those that a thread has taken */
};
const struct http_stats *http_stats(const struct http_request *r);

struct http_options {
    const struct http_route *routes;           /* must outlive the server */
    size_t n_routes;                           /* at most HTTP_ROUTES_MAX */
    void *ctx;                                 /* given to each handler */
    const char *host;                          /* a name or an address, "[::]" for all */
    unsigned port;                             /* 0: any free one, see http_server_port() */
    const char *unix_path;                     /* listen here instead; NULL: host and port */
    unsigned n_threads;                        /* of the pool */
    size_t queue_max;                          /* requests that wait for one */
    uint64_t max_body_bytes, max_bodies_bytes; /* of one body, of all that are held at once */
    size_t max_fields;
    size_t max_text_bytes; /* of a field that is no file */
    unsigned keepalive_s;  /* how long a connection without a request stays */
    unsigned timeout_s;    /* how long a client may send or read nothing */
    const char *token;     /* what "Authorization: Bearer" must bring, else the answer is 401 on any
                              path but open ones; NULL: nothing */
    const char *tls_cert, *tls_key; /* PEM files, both or neither: HTTPS (TLS 1.2, 1.3) instead */
};

/* Listens and serves until it is stopped; strings are copied. ERR_IO (the address), ERR_INVALID (a
 * host that is no name, files that are no certificate and its key), ERR_LIMIT (a path too long for
 * a socket), ERR_NOMEM. */
enum err_code http_server_open(struct http_server **out, const struct http_options *o,
                               struct err *err);
unsigned http_server_port(const struct http_server *s); /* 0 for a Unix socket */

/* Read the certificate anew, for connections that begin from now on; the old one stays where that
 * fails. Not from two threads at once. */
enum err_code http_server_reload(struct http_server *s, struct err *err);

/* Accepts no more, lets what is under way finish for at most timeout_ms, drops the rest. False
 * where a handler still runs after that: the server cannot be closed then, only the process end. */
bool http_server_stop(struct http_server *s, unsigned timeout_ms);
/* After a stop that was true. NULL is fine. */
void http_server_close(struct http_server *s);

#endif
