#include <errno.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http/request.h"
#include "sys/clock.h"

enum { EVENTS_MAX = 64, NUDGE_MS = 50, SWEEP_MS = 1000 };

/* Called with the lock held. */
static void resume(struct peer *p)
{
    p->waiting = NULL;
    MHD_resume_connection(p->connection);
}

/* By number and not by address: an event may come when the connection is no more. Returns the
 * request that waited, held. */
static struct http_request *note_hangup(struct peers *w, uint64_t id)
{
    struct http_request *r = NULL;
    pthread_mutex_lock(&w->lock);
    struct peer *p = w->first;
    while (p && p->id != id)
        p = p->next;
    if (p) {
        p->gone = true;
        r = p->waiting;
    }
    if (r) {
        atomic_store(&r->gone, true);
        atomic_fetch_add(&r->n_holders, 1);
        resume(p);
    }
    pthread_mutex_unlock(&w->lock);
    return r;
}

/* Give the loop another event of each connection that is gone and not closed yet; whether there are
 * any. */
static bool nudge(struct peers *w)
{
    bool any = false;
    int64_t now_ns = clock_mono_ns();
    pthread_mutex_lock(&w->lock);
    for (struct peer *p = w->first; p; p = p->next) {
        if (p->idle_ns && now_ns - p->idle_ns > w->idle_max_ns)
            p->gone = true;
        if (p->gone) {
            any = true;
            shutdown(p->fd, SHUT_RD);
        }
    }
    pthread_mutex_unlock(&w->lock);
    return any;
}

static void *watch(void *arg)
{
    struct peers *w = arg;
    struct epoll_event events[EVENTS_MAX];
    for (bool any = false;; any = nudge(w)) {
        int n = epoll_wait(w->epoll_fd, events, EVENTS_MAX, any ? NUDGE_MS : SWEEP_MS);
        for (int i = 0; i < n; i++) {
            if (!events[i].data.u64)
                return NULL;
            struct http_request *r = note_hangup(w, events[i].data.u64);
            if (r) {
                w->on_hangup(r);
                request_release(r);
            }
        }
    }
}

enum err_code peers_init(struct peers *w, unsigned idle_max_s,
                         void (*on_hangup)(struct http_request *r), struct err *err)
{
    *w = (struct peers){ .on_hangup = on_hangup, .idle_max_ns = idle_max_s * 1000000000ll };
    pthread_mutex_init(&w->lock, NULL);
    w->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    w->stop_fd = eventfd(0, EFD_CLOEXEC);
    struct epoll_event stop = { .events = EPOLLIN, .data.u64 = 0 };
    int e = w->epoll_fd < 0 || w->stop_fd < 0 ||
                    epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, w->stop_fd, &stop)
                ? errno
                : pthread_create(&w->watcher, NULL, watch, w);
    if (!e)
        return ERR_NONE;
    if (w->epoll_fd >= 0)
        close(w->epoll_fd);
    if (w->stop_fd >= 0)
        close(w->stop_fd);
    pthread_mutex_destroy(&w->lock);
    return err_set(err, ERR_IO, "watching connections: %s", strerror(e));
}

void peers_clear(struct peers *w)
{
    eventfd_write(w->stop_fd, 1);
    pthread_join(w->watcher, NULL);
    close(w->epoll_fd);
    close(w->stop_fd);
    pthread_mutex_destroy(&w->lock);
}

struct peer *peers_add(struct peers *w, struct MHD_Connection *connection)
{
    struct peer *p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    p->connection = connection;
    p->idle_ns = clock_mono_ns();
    p->fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    pthread_mutex_lock(&w->lock);
    p->id = ++w->last_id;
    p->next = w->first;
    p->at = &w->first;
    if (p->next)
        p->next->at = &p->next;
    w->first = p;
    /* RDHUP: who closes the sending side is taken for gone, as by the reference's server. */
    struct epoll_event e = { .events = EPOLLRDHUP | EPOLLONESHOT, .data.u64 = p->id };
    epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, p->fd, &e);
    pthread_mutex_unlock(&w->lock);
    return p;
}

void peers_remove(struct peers *w, struct peer *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&w->lock);
    epoll_ctl(w->epoll_fd, EPOLL_CTL_DEL, p->fd, NULL);
    *p->at = p->next;
    if (p->next)
        p->next->at = p->at;
    pthread_mutex_unlock(&w->lock);
    free(p);
}

void peers_set_busy(struct peers *w, struct peer *p, bool busy)
{
    if (!p)
        return;
    pthread_mutex_lock(&w->lock);
    p->idle_ns = busy ? 0 : clock_mono_ns();
    pthread_mutex_unlock(&w->lock);
}

bool peers_wait(struct peers *w, struct peer *p, struct http_request *r,
                bool (*submit)(struct http_request *r))
{
    pthread_mutex_lock(&w->lock);
    bool in = !w->closed && !p->gone && submit(r);
    if (in) {
        p->waiting = r;
        MHD_suspend_connection(p->connection);
    }
    pthread_mutex_unlock(&w->lock);
    return in;
}

void peers_answer(struct peers *w, struct http_request *r)
{
    pthread_mutex_lock(&w->lock);
    r->answered = true;
    struct peer *p = w->first;
    while (p && p->waiting != r)
        p = p->next;
    if (p)
        resume(p);
    pthread_mutex_unlock(&w->lock);
}

void peers_close(struct peers *w)
{
    pthread_mutex_lock(&w->lock);
    w->closed = true;
    for (struct peer *p = w->first; p; p = p->next) {
        if (!p->waiting)
            continue;
        atomic_store(&p->waiting->gone, true);
        resume(p);
    }
    pthread_mutex_unlock(&w->lock);
}
