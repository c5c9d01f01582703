#include <errno.h>
#include <microhttpd.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "http/request.h"

enum { EVENTS_MAX = 64 };

/* Called with the lock held. */
static void leave(struct waiting *w, struct http_request *r)
{
    struct http_request **at = &w->first;
    while (*at != r)
        at = &(*at)->next;
    *at = r->next;
    epoll_ctl(w->epoll_fd, EPOLL_CTL_DEL, r->fd, NULL);
    struct MHD_Connection *c = r->suspended;
    r->suspended = NULL;
    MHD_resume_connection(c);
}

/* By number and not by address: an event may come when the request is no more. */
static struct http_request *take_gone(struct waiting *w, uint64_t id)
{
    pthread_mutex_lock(&w->lock);
    struct http_request *r = w->first;
    while (r && r->id != id)
        r = r->next;
    if (r) {
        atomic_store(&r->gone, true);
        atomic_fetch_add(&r->n_holders, 1);
        leave(w, r);
    }
    pthread_mutex_unlock(&w->lock);
    return r;
}

static void *watch(void *arg)
{
    struct waiting *w = arg;
    struct epoll_event events[EVENTS_MAX];
    for (;;) {
        int n = epoll_wait(w->epoll_fd, events, EVENTS_MAX, -1);
        for (int i = 0; i < n; i++) {
            if (!events[i].data.u64)
                return NULL;
            struct http_request *r = take_gone(w, events[i].data.u64);
            if (r) {
                w->on_hangup(r);
                request_release(r);
            }
        }
    }
}

enum err_code waiting_init(struct waiting *w, void (*on_hangup)(struct http_request *r),
                           struct err *err)
{
    *w = (struct waiting){ .on_hangup = on_hangup };
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

void waiting_clear(struct waiting *w)
{
    eventfd_write(w->stop_fd, 1);
    pthread_join(w->watcher, NULL);
    close(w->epoll_fd);
    close(w->stop_fd);
    pthread_mutex_destroy(&w->lock);
}

bool waiting_enter(struct waiting *w, struct http_request *r, struct MHD_Connection *connection,
                   bool (*submit)(struct http_request *r))
{
    pthread_mutex_lock(&w->lock);
    bool in = !w->closed && submit(r);
    if (in) {
        r->fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
        r->id = ++w->last_id;
        r->suspended = connection;
        r->next = w->first;
        w->first = r;
        MHD_suspend_connection(connection);
        /* RDHUP: who closes the sending side is taken for gone, as by the reference's server. */
        struct epoll_event e = { .events = EPOLLRDHUP, .data.u64 = r->id };
        epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, r->fd, &e);
    }
    pthread_mutex_unlock(&w->lock);
    return in;
}

void waiting_answer(struct waiting *w, struct http_request *r)
{
    pthread_mutex_lock(&w->lock);
    r->answered = true;
    if (r->suspended)
        leave(w, r);
    pthread_mutex_unlock(&w->lock);
}

void waiting_close(struct waiting *w)
{
    pthread_mutex_lock(&w->lock);
    w->closed = true;
    while (w->first) {
        atomic_store(&w->first->gone, true);
        leave(w, w->first);
    }
    pthread_mutex_unlock(&w->lock);
}
