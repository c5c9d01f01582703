/* request.h - one request from its first byte to its answer; the connections, and which wait.
 *
 * A request is held by the loop (as long as the connection has it) and by the pool (from the queue
 * to the end of its handler); whoever lets go last frees it.
 *
 * While the pool has it, its connection is suspended: the loop neither reads, writes nor times it
 * out. It leaves the suspension exactly once: when it is answered, when the client is gone, or when
 * the server stops.
 *
 * All connections are watched for a hang-up, by a thread of its own. Of a suspended one the loop
 * would not hear at all; of another not always: libmicrohttpd 0.9.75 takes a short read for the end
 * of what is there, so where a client's last bytes and its hang-up come together it waits for an
 * event that was already given, until the time-out. Closing our reading side makes another, as
 * often as it takes.
 *
 * The same ends a connection on which no request comes to a head: its time-out begins anew with
 * each byte, so that a trickle would hold a place for ever. */
#ifndef FOVEA_HTTP_REQUEST_H
#define FOVEA_HTTP_REQUEST_H

#include <pthread.h>

#include "http/form.h"

struct MHD_Connection;
struct tls;

struct http_request {
    struct http_server *server;
    const struct http_route *route; /* NULL: refused, the body is passed over */
    const struct http_route *path;  /* one of that path, of whatever method; NULL: none */
    char id[HTTP_ID_MAX + 1];       /* "": nobody asked for one yet */
    struct form form;
    uint64_t n_body, deadline_ns;
    int64_t whole_ns, taken_ns; /* when the body was here, when a thread took it; 0: it was not */
    unsigned status;            /* as sent; 0: not yet */
    struct http_response response;
    atomic_int n_holders;
    atomic_bool gone;
    bool answered; /* response is whole; the peers' lock is over it */
};

void request_release(struct http_request *r);
/* It will be answered {"detail": detail}; what came of its body is freed, the rest passed over. */
void request_refuse(struct http_request *r, unsigned status, const char *detail);
void request_refuse_form(struct http_request *r, const struct err *e); /* form.h's errors */

/* given: what the client calls it, NULL where it does not; kept where it is fit to be. */
void request_take_id(struct http_request *r, const char *given);
/* Its line of the log. was_read: the answer went out whole. */
void request_log(const struct http_request *r, bool was_read);

/* A connection. The peers' lock is over all but connection, fd, id and tls. */
struct peer {
    struct MHD_Connection *connection;
    int fd;
    uint64_t id;
    struct tls *tls;              /* what certificate it is shown; NULL: none */
    bool gone;                    /* the client has hung up, or is to be taken for gone */
    int64_t idle_ns;              /* since when there is no request of it; 0: there is one */
    struct http_request *waiting; /* the one for which it is suspended; NULL: it is not */
    struct peer *next, **at;
};

struct peers {
    pthread_mutex_t lock;
    pthread_t watcher;
    int epoll_fd, stop_fd;
    int64_t idle_max_ns;
    bool closed; /* nothing is suspended any more */
    uint64_t last_id;
    struct peer *first;
    /* The client of r, whose connection has just been resumed, is gone: called without the lock. */
    void (*on_hangup)(struct http_request *r);
};

/* idle_max_s: how long a connection may be without a request. Longer than any time-out of the loop:
 * a client that sends nothing is not meant. */
enum err_code peers_init(struct peers *w, unsigned idle_max_s,
                         void (*on_hangup)(struct http_request *r), struct err *err);
void peers_clear(struct peers *w);

/* By the loop's thread, when a connection begins and ends. NULL: out of memory; it works without
 * being watched, but nothing can wait on it. */
struct peer *peers_add(struct peers *w, struct MHD_Connection *connection);
void peers_remove(struct peers *w, struct peer *p); /* NULL is fine */
/* The same, when a request of it begins and ends. */
void peers_set_busy(struct peers *w, struct peer *p, bool busy);

/* Suspend p's connection if submit(r) takes r, on the loop's thread; false if it does not, the
 * client is gone, or all is closed. The lock is held over both, so that an answer cannot come
 * before. */
bool peers_wait(struct peers *w, struct peer *p, struct http_request *r,
                bool (*submit)(struct http_request *r));
/* r's response is whole: resume its connection, unless that has happened. */
void peers_answer(struct peers *w, struct http_request *r);
/* Suspend none any more; resume all as if their clients were gone. */
void peers_close(struct peers *w);

#endif
