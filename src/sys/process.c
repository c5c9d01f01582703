#include "sys/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sys/clock.h"

/* Ignored signals and the mask survive exec: a server that ignores SIGPIPE must not pass that on. A
 * group of its own, since Ctrl-C at a terminal goes to the whole group: when it ends is for us to
 * say. */
static int spawn(pid_t *pid, const char *path, const char *arg, char *const env[], int child_end)
{
    char *argv[] = { (char *)(uintptr_t)path, (char *)(uintptr_t)arg, NULL };
    sigset_t all, none;
    posix_spawnattr_t attr;
    posix_spawn_file_actions_t actions;
    sigfillset(&all);
    sigemptyset(&none);
    posix_spawnattr_init(&attr); /* neither init can fail in glibc */
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_setsigdefault(&attr, &all);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK |
                                        POSIX_SPAWN_SETPGROUP);
    int e = posix_spawn_file_actions_adddup2(&actions, child_end, STDIN_FILENO);
    if (!e)
        e = posix_spawn(pid, path, &actions, &attr, argv, env ? env : environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attr);
    return e;
}

enum err_code process_spawn(struct process *p, const char *path, const char *arg, char *const env[],
                            struct err *err)
{
    int pair[2];
    pid_t pid;
    *p = (struct process){ .fd = -1 };
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
        return err_set(err, ERR_IO, "%s: no socket pair: %s", path, strerror(errno));
    int e = spawn(&pid, path, arg, env, pair[1]);
    close(pair[1]);
    if (e) {
        close(pair[0]);
        return err_set(err, e == ENOENT ? ERR_NOT_FOUND : ERR_IO, "%s: cannot start it: %s", path,
                       strerror(e));
    }
    *p = (struct process){ .pid = pid, .fd = pair[0] };
    return ERR_NONE;
}

/* SIGKILL to a child that has ended changes nothing: until it is reaped its pid is nobody else's,
 * and its status says how it really ended. */
void process_kill(struct process *p, int *status)
{
    int how = 0;
    if (p->fd >= 0)
        close(p->fd);
    if (p->pid > 0) {
        kill(p->pid, SIGKILL);
        while (waitpid(p->pid, &how, 0) < 0 && errno == EINTR)
            ;
    }
    if (status)
        *status = how;
    *p = (struct process){ .fd = -1 };
}

char *process_describe(int status, char out[80])
{
    if (WIFSIGNALED(status)) {
        const char *name = sigdescr_np(WTERMSIG(status));
        snprintf(out, 80, "killed by signal %d (%s)", WTERMSIG(status), name ? name : "unknown");
    } else {
        snprintf(out, 80, "ended with status %d", WEXITSTATUS(status));
    }
    return out;
}

union control { /* aligned as the kernel wants it */
    struct cmsghdr header;
    char bytes[CMSG_SPACE(PROCESS_FDS_MAX * sizeof(int))];
};

enum err_code process_send(int fd, const void *msg, size_t n, const int *fds, size_t n_fds,
                           struct err *err)
{
    union control control = { 0 };
    struct iovec part = { .iov_base = (void *)(uintptr_t)msg, .iov_len = n };
    struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1 };
    if (n_fds) {
        m.msg_control = control.bytes;
        m.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
        control.header = (struct cmsghdr){ .cmsg_len = CMSG_LEN(n_fds * sizeof(int)),
                                           .cmsg_level = SOL_SOCKET,
                                           .cmsg_type = SCM_RIGHTS };
        memcpy(CMSG_DATA(&control.header), fds, n_fds * sizeof(int));
    }
    ssize_t k;
    do
        k = sendmsg(fd, &m, MSG_NOSIGNAL);
    while (k < 0 && errno == EINTR);
    if (k != (ssize_t)n)
        return err_set(err, ERR_IO, "cannot send to the other process: %s",
                       k < 0 ? strerror(errno) : "cut short");
    return ERR_NONE;
}

static enum err_code wait_readable(int fd, int timeout_ms, struct err *err)
{
    int64_t start = clock_mono_ns();
    for (int left = timeout_ms;;) {
        struct pollfd p = { .fd = fd, .events = POLLIN };
        int k = poll(&p, 1, left);
        if (k > 0)
            return ERR_NONE;
        if (k < 0 && errno != EINTR)
            return err_set(err, ERR_IO, "cannot wait for the other process: %s", strerror(errno));
        if (timeout_ms < 0)
            continue;
        left = timeout_ms - (int)clock_ms_since(start);
        if (left <= 0)
            return err_set(err, ERR_LIMIT, "no answer within %d ms", timeout_ms);
    }
}

/* However wrong a message is, the descriptors that came with it are ours now: collect all of them,
 * so that the caller keeps the expected ones and the rest is closed. */
static size_t collect_fds(struct msghdr *m, int fds[PROCESS_FDS_MAX])
{
    size_t n = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t n_here = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n_here && n < PROCESS_FDS_MAX; i++)
            memcpy(&fds[n++], CMSG_DATA(c) + i * sizeof(int), sizeof(int));
    }
    return n;
}

enum err_code process_recv(int fd, void *msg, size_t n, int *fds, size_t n_fds, int timeout_ms,
                           struct err *err)
{
    union control control = { 0 };
    struct iovec part = { .iov_base = msg, .iov_len = n };
    struct msghdr m = { .msg_iov = &part,
                        .msg_iovlen = 1,
                        .msg_control = control.bytes,
                        .msg_controllen = sizeof control.bytes };
    enum err_code rc = wait_readable(fd, timeout_ms, err);
    if (rc != ERR_NONE)
        return rc;
    ssize_t k;
    do
        k = recvmsg(fd, &m, MSG_CMSG_CLOEXEC);
    while (k < 0 && errno == EINTR);
    if (k <= 0)
        return err_set(err, ERR_IO, "the other process is gone");
    int got[PROCESS_FDS_MAX];
    size_t n_got = collect_fds(&m, got);
    if (k != (ssize_t)n || n_got != n_fds || m.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
        for (size_t i = 0; i < n_got; i++)
            close(got[i]);
        return err_set(err, ERR_INVALID,
                       "a message of %zd bytes and %zu descriptors, not %zu and %zu", k, n_got, n,
                       n_fds);
    }
    for (size_t i = 0; i < n_fds; i++)
        fds[i] = got[i];
    return ERR_NONE;
}
