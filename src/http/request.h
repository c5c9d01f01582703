/* request.h - one request from its first byte to its answer, and those whose connection waits.
 *
 * A request is held by the loop (as long as the connection has it) and by the pool (from the queue
 * to the end of its handler); whoever lets go last frees it.
 *
 * While the pool has it, its connection is suspended: the loop neither reads, writes nor times it
 * out. It stands in the waiting list then, and its descriptor is watched for a hang-up. It leaves
 * the list, and its connection the suspension, exactly once: when it is answered, when the client
 * is gone, or when the server stops. */
#ifndef FOVEA_HTTP_REQUEST_H
#define FOVEA_HTTP_REQUEST_H

#include <pthread.h>

#include "http/form.h"

struct MHD_Connection;

struct http_request {
    struct http_server *server;
    const struct http_route *route; /* NULL: refused, the body is passed over */
    const char *allow;              /* a method that the path has */
    struct form form;
    uint64_t n_body, deadline_ns;
    struct http_response response;
    atomic_int n_holders;
    atomic_bool gone;
    /* the waiting list's lock is over these */
    struct MHD_Connection *suspended; /* NULL: not, or no longer */
    bool answered;                    /* response is whole */
    int fd;
    uint64_t id;
    struct http_request *next;
};

void request_release(struct http_request *r);
/* It will be answered {"detail": detail}; what came of its body is freed, the rest passed over. */
void request_refuse(struct http_request *r, unsigned status, const char *detail);
void request_refuse_form(struct http_request *r, const struct err *e); /* form.h's errors */

struct waiting {
    pthread_mutex_t lock;
    pthread_t watcher;
    int epoll_fd, stop_fd;
    bool closed; /* nobody is let in any more */
    uint64_t last_id;
    struct http_request *first;
    /* The client of r, which has just left the list, is gone: called without the lock. */
    void (*on_hangup)(struct http_request *r);
};

enum err_code waiting_init(struct waiting *w, void (*on_hangup)(struct http_request *r),
                           struct err *err);
void waiting_clear(struct waiting *w);

/* Suspend r's connection if submit(r) takes it, on the loop's thread; false if it does not, or the
 * list is closed. The lock is held over both, so that an answer cannot come before. */
bool waiting_enter(struct waiting *w, struct http_request *r, struct MHD_Connection *connection,
                   bool (*submit)(struct http_request *r));
/* r's response is whole: resume its connection, unless it has left the list already. */
void waiting_answer(struct waiting *w, struct http_request *r);
/* Let nobody in; resume all as if their clients were gone. */
void waiting_close(struct waiting *w);

#endif
