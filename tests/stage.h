/* stage.h - a server of raw sockets on loopback, which says just what a case wants it to.
 *
 * One connection for each reply: the request is read up to its blank line and what its length says,
 * then the reply is written, `pause_ms` after each byte where that is set, and it is closed. */
#ifndef TESTS_STAGE_H
#define TESTS_STAGE_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { STAGE_REPLIES_MAX = 4, STAGE_ASKED_BYTES = 4096 };

struct stage {
    const char *replies[STAGE_REPLIES_MAX]; /* in order; NULL: no more, then it serves no more */
    const char *ping; /* to GET /ping at any time, not counted; then what has no reply is hung up on
                         and it serves on */
    long pause_ms, delay_ms; /* delay_ms: before a counted reply */
    int fd;
    unsigned port;
    char url[32]; /* without a path */
    atomic_size_t n_served, n_pings;
    char asked[STAGE_REPLIES_MAX][STAGE_ASKED_BYTES]; /* [n_served] */
    pthread_t thread;
};

static inline void stage_nap_ms(long ms)
{
    nanosleep(&(struct timespec){ ms / 1000, ms % 1000 * 1000000 }, NULL);
}

static inline void stage_read(int fd, char *out, size_t n)
{
    size_t got = 0;
    for (;;) {
        ssize_t k = read(fd, out + got, n - 1 - got);
        if (k <= 0)
            return;
        out[got += (size_t)k] = '\0';
        const char *end = strstr(out, "\r\n\r\n"), *len = strstr(out, "Content-Length: ");
        size_t body = len ? strtoul(len + 16, NULL, 10) : 0;
        if (end && got >= (size_t)(end + 4 - out) + body)
            return;
    }
}

static inline void stage_reply(const struct stage *s, int fd, const char *reply)
{
    size_t n = reply ? strlen(reply) : 0, step = s->pause_ms ? 1 : n;
    for (; n && send(fd, reply, step, MSG_NOSIGNAL) == (ssize_t)step; reply += step, n -= step)
        stage_nap_ms(s->pause_ms);
    close(fd);
}

static inline void *stage_serve(void *arg)
{
    struct stage *s = arg;
    char asked[STAGE_ASKED_BYTES];
    for (;;) {
        size_t n = s->n_served;
        const char *reply = n < STAGE_REPLIES_MAX ? s->replies[n] : NULL;
        int fd = reply || s->ping ? accept(s->fd, NULL, NULL) : -1;
        if (fd < 0)
            return NULL;
        *asked = '\0';
        stage_read(fd, asked, sizeof asked);
        if (s->ping && !strncmp(asked, "GET /ping ", 10)) {
            stage_reply(s, fd, s->ping);
            s->n_pings++;
            continue;
        }
        if (n < STAGE_REPLIES_MAX)
            memcpy(s->asked[n], asked, sizeof asked);
        stage_nap_ms(s->delay_ms);
        s->n_served++;
        stage_reply(s, fd, reply);
    }
}

static inline void stage_open(struct stage *s)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof a;
    s->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(s->fd, (struct sockaddr *)&a, len) || listen(s->fd, 8) ||
        getsockname(s->fd, (struct sockaddr *)&a, &len))
        abort();
    s->port = ntohs(a.sin_port);
    snprintf(s->url, sizeof s->url, "http://127.0.0.1:%u", s->port);
    pthread_create(&s->thread, NULL, stage_serve, s);
}

static inline void stage_close(struct stage *s)
{
    shutdown(s->fd, SHUT_RDWR);
    pthread_join(s->thread, NULL);
    close(s->fd);
}

#endif
