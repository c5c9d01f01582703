#include "http/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 1024, HOST_MAX = 256 };

static int bind_to(const struct addrinfo *a)
{
    const int on = 1, off = 0;
    int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (a->ai_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    if (!bind(fd, a->ai_addr, a->ai_addrlen) && !listen(fd, BACKLOG))
        return fd;
    int e = errno;
    close(fd);
    errno = e;
    return -1;
}

static enum err_code listen_on(int *fd, const char *host, unsigned port, struct err *err)
{
    char service[16];
    const struct addrinfo hints = { .ai_flags = AI_PASSIVE | AI_NUMERICSERV,
                                    .ai_socktype = SOCK_STREAM };
    struct addrinfo *found = NULL;
    snprintf(service, sizeof service, "%u", port);
    int e = getaddrinfo(host, service, &hints, &found);
    if (e)
        return err_set(err, ERR_INVALID, "host \"%s\": %s", host, gai_strerror(e));
    errno = 0;
    for (const struct addrinfo *a = found; a && *fd < 0; a = a->ai_next)
        *fd = bind_to(a);
    e = errno;
    freeaddrinfo(found);
    if (*fd < 0)
        return err_set(err, ERR_IO, "cannot listen on %s port %u: %s", host, port, strerror(e));
    return ERR_NONE;
}

enum err_code listen_tcp(int *fd, const char *host, unsigned port, struct err *err)
{
    char name[HOST_MAX];
    size_t n = strlen(host);
    bool in_brackets = n > 2 && host[0] == '[' && host[n - 1] == ']';
    *fd = -1;
    if (n >= sizeof name)
        return err_set(err, ERR_INVALID, "host \"%.60s...\" is %zu bytes long", host, n);
    snprintf(name, sizeof name, "%.*s", (int)(in_brackets ? n - 2 : n), host + in_brackets);
    struct err why = { 0 };
    enum err_code rc = listen_on(fd, name, port, &why);
    if (rc != ERR_NONE && !strcmp(name, "::") && listen_on(fd, "0.0.0.0", port, NULL) == ERR_NONE)
        return ERR_NONE;
    return rc == ERR_NONE ? rc : err_set(err, rc, "%s", why.msg);
}

/* A socket that nobody accepts on; what else may be of that name is somebody's. */
static bool is_left_over(const struct sockaddr_un *a)
{
    struct stat st;
    if (lstat(a->sun_path, &st) || !S_ISSOCK(st.st_mode))
        return false;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool refused =
        fd >= 0 && connect(fd, (const struct sockaddr *)a, sizeof *a) && errno == ECONNREFUSED;
    if (fd >= 0)
        close(fd);
    return refused;
}

enum err_code listen_unix(int *fd, const char *path, struct err *err)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    *fd = -1;
    if (strlen(path) >= sizeof a.sun_path)
        return err_set(err, ERR_LIMIT, "socket %.200s: longer than %zu bytes", path,
                       sizeof a.sun_path - 1);
    memcpy(a.sun_path, path, strlen(path) + 1);
    int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool bound = s >= 0 && !bind(s, (const struct sockaddr *)&a, sizeof a);
    int e = errno;
    if (s >= 0 && !bound && e == EADDRINUSE && is_left_over(&a)) {
        unlink(path);
        bound = !bind(s, (const struct sockaddr *)&a, sizeof a);
        e = errno;
    }
    if (bound && !listen(s, BACKLOG)) {
        *fd = s;
        return ERR_NONE;
    }
    enum err_code rc =
        err_set(err, ERR_IO, "cannot listen on %s: %s", path, strerror(bound ? errno : e));
    if (s >= 0)
        close(s);
    return rc;
}

unsigned listen_port(int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        struct sockaddr_storage room;
    } a;
    socklen_t n = sizeof a;
    if (getsockname(fd, &a.any, &n))
        return 0;
    return a.any.sa_family == AF_INET    ? ntohs(a.v4.sin_port)
           : a.any.sa_family == AF_INET6 ? ntohs(a.v6.sin6_port)
                                         : 0;
}
