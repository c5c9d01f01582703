/* preload.c - an allocator, a disk and a clock that fail on demand, put before libc's by
 * LD_PRELOAD, so that the binary as it ships is what is tested. The environment says what happens:
 *
 *   FAULT_KIND=alloc|read|write|lock|net   the calls that are counted, from 0
 *   FAULT_AT=N FAULT_FOR=K             the calls that fail: K of them from the N-th on, 0: all
 *   FAULT_HOW=ERRNO|short|kill         the error, half of the bytes, or SIGKILL before the call
 *   FAULT_BELOW=DIR                    read, write and lock: only what is below this folder
 *   FAULT_REPORT=FILE                  how many calls of the kind there were, written at exit
 *   FAULT_DURABLE=DIR                  keeps here what a power cut would leave, see keep_file()
 *   FAULT_CLOCK_SPEED=N                monotonic time runs N times as fast
 *   FAULT_WALL_S=N                     the wall clock is off by N seconds
 *
 * Calls that libc makes within itself do not pass here: what fails is what the program and its
 * libraries ask for. */
/* Each call has two names here, for files of 32 and of 64 bits. */
#undef _FILE_OFFSET_BITS

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <malloc.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#pragma GCC visibility push(default)

enum kind { NOTHING, ALLOC, READ, WRITE, LOCK, NET };

static struct {
    enum kind kind;
    long at, until; /* calls [at, until) fail */
    int error;      /* 0: half of the bytes */
    bool kill;
    const char *below, *durable, *report;
    size_t below_len;
    long speed, wall_s;
} fault;
static atomic_long n_calls;
static _Thread_local bool inside; /* our own calls are not counted */

/* The function that comes after ours. */
#define NEXT(name)                                                                                 \
    static __typeof__(&name) next;                                                                 \
    if (!next)                                                                                     \
    *(void **)&next = dlsym(RTLD_NEXT, #name)

static const char *setting(const char *name)
{
    const char *v = getenv(name);
    return v && *v ? v : NULL;
}

static long number(const char *name, long otherwise)
{
    const char *v = setting(name);
    return v ? strtol(v, NULL, 10) : otherwise;
}

__attribute__((constructor)) static void begin(void)
{
    static const char *const kinds[] = { "", "alloc", "read", "write", "lock", "net" };
    const char *kind = setting("FAULT_KIND"), *how = setting("FAULT_HOW");
    long n = number("FAULT_FOR", 1);
    fault.at = number("FAULT_AT", LONG_MAX);
    fault.until = n && fault.at < LONG_MAX - n ? fault.at + n : LONG_MAX;
    fault.kill = how && !strcmp(how, "kill");
    fault.error = how && strcmp(how, "short") != 0 ? (int)strtol(how, NULL, 10) : 0;
    fault.below = setting("FAULT_BELOW");
    fault.below_len = fault.below ? strlen(fault.below) : 0;
    fault.durable = setting("FAULT_DURABLE");
    fault.report = setting("FAULT_REPORT");
    fault.speed = number("FAULT_CLOCK_SPEED", 1);
    fault.wall_s = number("FAULT_WALL_S", 0);
    for (int i = ALLOC; kind && i <= NET; i++)
        if (!strcmp(kind, kinds[i]))
            fault.kind = (enum kind)i; /* last: counting begins */
}

__attribute__((destructor)) static void end(void)
{
    fault.kind = NOTHING;
    FILE *f = fault.report ? fopen(fault.report, "w") : NULL;
    if (f) {
        fprintf(f, "%ld\n", atomic_load(&n_calls));
        fclose(f);
    }
}

/* Counts a call; true when it is to fail, with errno set. */
static bool fails(void)
{
    long n = atomic_fetch_add(&n_calls, 1);
    if (n < fault.at || n >= fault.until)
        return false;
    if (fault.kill)
        kill(getpid(), SIGKILL);
    errno = fault.error;
    return true;
}

static bool is_below(const char *path)
{
    return !fault.below || (!strncmp(path, fault.below, fault.below_len) &&
                            (path[fault.below_len] == '/' || !path[fault.below_len]));
}

/* Of an open file; "" for what has no path. */
static void path_of(int fd, char out[PATH_MAX])
{
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, out, PATH_MAX - 1);
    out[n > 0 ? n : 0] = '\0';
}

static bool fd_below(int fd)
{
    char path[PATH_MAX];
    int e = errno;
    path_of(fd, path);
    errno = e;
    return is_below(path);
}

static bool fd_fails(enum kind kind, int fd)
{
    return fault.kind == kind && !inside && fd_below(fd) && fails();
}

static bool path_fails(enum kind kind, const char *path)
{
    return fault.kind == kind && !inside && is_below(path) && fails();
}

static bool at_fails(enum kind kind, int dir, const char *name)
{
    char path[PATH_MAX];
    if (fault.kind != kind || inside)
        return false;
    if (*name == '/' || dir == AT_FDCWD)
        return path_fails(kind, name);
    path_of(dir, path);
    return path_fails(kind, path); /* what is in a folder below is below */
}

/* ---- memory ---- */

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);
void *__libc_memalign(size_t align, size_t n);

static bool alloc_fails(void)
{
    return fault.kind == ALLOC && !inside && fails();
}

void *malloc(size_t n)
{
    return alloc_fails() ? NULL : __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
    return alloc_fails() ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
    return alloc_fails() ? NULL : __libc_realloc(p, n);
}

void *aligned_alloc(size_t align, size_t n)
{
    return alloc_fails() ? NULL : __libc_memalign(align, n);
}

int posix_memalign(void **out, size_t align, size_t n)
{
    void *p = alloc_fails() ? NULL : __libc_memalign(align, n);
    if (p)
        *out = p;
    return p ? 0 : ENOMEM;
}

/* ---- what a power cut would leave ----
 *
 * A file's content is safe once it was synced, a name once its folder was. So under FAULT_DURABLE
 * lies, for each file by its inode and birth, the content of its last sync, and in "names" which
 * name led to which file when the folder was last synced. The folder is one, without subfolders. */

static void identity(int dir, const char *name, int flags, char out[64])
{
    struct statx x = { 0 };
    statx(dir, name, flags, STATX_INO | STATX_BTIME, &x);
    snprintf(out, 64, "%llu-%lld-%u", (unsigned long long)x.stx_ino, (long long)x.stx_btime.tv_sec,
             x.stx_btime.tv_nsec);
}

/* Written beside and renamed: we may be killed in the middle. */
static FILE *open_kept(const char *name, char path[PATH_MAX], char tmp[PATH_MAX])
{
    snprintf(path, PATH_MAX, "%s/%s", fault.durable, name);
    snprintf(tmp, PATH_MAX, "%s/tmp", fault.durable);
    return fopen(tmp, "w");
}

static void keep_file(int fd)
{
    char id[64], path[PATH_MAX], tmp[PATH_MAX], link[64];
    static char block[1 << 16];
    identity(fd, "", AT_EMPTY_PATH, id);
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    FILE *to = open_kept(id, path, tmp), *from = fopen(link, "r");
    size_t n;
    while (from && to && (n = fread(block, 1, sizeof block, from)))
        fwrite(block, 1, n, to);
    if (from)
        fclose(from);
    if (to && !fclose(to))
        rename(tmp, path);
}

static void keep_names(const char *folder)
{
    char id[64], path[PATH_MAX], tmp[PATH_MAX];
    DIR *d = opendir(folder);
    FILE *to = open_kept("names", path, tmp);
    for (const struct dirent *e; d && to && (e = readdir(d));)
        if (e->d_name[0] != '.') {
            identity(dirfd(d), e->d_name, AT_SYMLINK_NOFOLLOW, id);
            fprintf(to, "%s %s\n", id, e->d_name);
        }
    if (d)
        closedir(d);
    if (to && !fclose(to))
        rename(tmp, path);
}

/* Instead of a sync, where it is recorded; the calls come from one thread or under a lock. */
static void keep(int fd)
{
    char path[PATH_MAX];
    struct stat st;
    inside = true;
    path_of(fd, path);
    if (fstat(fd, &st) == 0 && is_below(path))
        S_ISDIR(st.st_mode) ? keep_names(path) : keep_file(fd);
    inside = false;
}

/* ---- reading ---- */

/* A call of this shape fails by -1; one that moves bytes may move half of them. */
#define MOVES(kind, type, name, params, args, half)                                                \
    type name params                                                                               \
    {                                                                                              \
        NEXT(name);                                                                                \
        if (!fd_fails(kind, fd))                                                                   \
            return next args;                                                                      \
        return fault.error || n < 2 ? -1 : next half;                                              \
    }

MOVES(READ, ssize_t, read, (int fd, void *p, size_t n), (fd, p, n), (fd, p, n / 2))
MOVES(READ, ssize_t, pread, (int fd, void *p, size_t n, off_t at), (fd, p, n, at),
      (fd, p, n / 2, at))
MOVES(READ, ssize_t, pread64, (int fd, void *p, size_t n, off64_t at), (fd, p, n, at),
      (fd, p, n / 2, at))
MOVES(WRITE, ssize_t, write, (int fd, const void *p, size_t n), (fd, p, n), (fd, p, n / 2))
MOVES(WRITE, ssize_t, pwrite, (int fd, const void *p, size_t n, off_t at), (fd, p, n, at),
      (fd, p, n / 2, at))
MOVES(WRITE, ssize_t, pwrite64, (int fd, const void *p, size_t n, off64_t at), (fd, p, n, at),
      (fd, p, n / 2, at))

#define CALLS(name, params, args, fault_)                                                          \
    int name params                                                                                \
    {                                                                                              \
        NEXT(name);                                                                                \
        return fault_ ? -1 : next args;                                                            \
    }

CALLS(fstat, (int fd, struct stat *st), (fd, st), fd_fails(READ, fd))
CALLS(fstat64, (int fd, struct stat64 *st), (fd, st), fd_fails(READ, fd))
CALLS(stat, (const char *path, struct stat *st), (path, st), path_fails(READ, path))
CALLS(stat64, (const char *path, struct stat64 *st), (path, st), path_fails(READ, path))
CALLS(fstatat, (int dir, const char *name, struct stat *st, int flags), (dir, name, st, flags),
      at_fails(READ, dir, name))

CALLS(fstatat64, (int dir, const char *name, struct stat64 *st, int flags), (dir, name, st, flags),
      at_fails(READ, dir, name))

struct dirent64 *readdir64(DIR *d)
{
    NEXT(readdir64);
    return fd_fails(READ, dirfd(d)) ? NULL : next(d);
}

struct dirent *readdir(DIR *d)
{
    NEXT(readdir);
    return fd_fails(READ, dirfd(d)) ? NULL : next(d);
}

static mode_t mode_of(int flags, va_list ap)
{
    return flags & (O_CREAT | O_TMPFILE) ? va_arg(ap, mode_t) : 0;
}

#define OPENS(name, params, args, fault_)                                                          \
    int name params                                                                                \
    {                                                                                              \
        NEXT(name);                                                                                \
        va_list ap;                                                                                \
        va_start(ap, flags);                                                                       \
        mode_t mode = mode_of(flags, ap);                                                          \
        va_end(ap);                                                                                \
        enum kind kind = flags & O_CREAT ? WRITE : READ;                                           \
        return fault_ ? -1 : next args;                                                            \
    }

OPENS(open, (const char *path, int flags, ...), (path, flags, mode), path_fails(kind, path))
OPENS(open64, (const char *path, int flags, ...), (path, flags, mode), path_fails(kind, path))
OPENS(openat, (int dir, const char *path, int flags, ...), (dir, path, flags, mode),
      at_fails(kind, dir, path))
OPENS(openat64, (int dir, const char *path, int flags, ...), (dir, path, flags, mode),
      at_fails(kind, dir, path))

#define MAPS(name, off_type)                                                                       \
    void *name(void *at, size_t n, int protection, int flags, int fd, off_type offset)             \
    {                                                                                              \
        NEXT(name);                                                                                \
        return fd >= 0 && fd_fails(READ, fd) ? MAP_FAILED                                          \
                                             : next(at, n, protection, flags, fd, offset);         \
    }

MAPS(mmap, off_t)
MAPS(mmap64, off64_t)

/* ---- writing ---- */

CALLS(ftruncate, (int fd, off_t n), (fd, n), fd_fails(WRITE, fd))
CALLS(ftruncate64, (int fd, off64_t n), (fd, n), fd_fails(WRITE, fd))
CALLS(rename, (const char *from, const char *to), (from, to), path_fails(WRITE, to))
CALLS(unlink, (const char *path), (path), path_fails(WRITE, path))
CALLS(mkdir, (const char *path, mode_t mode), (path, mode), path_fails(WRITE, path))
CALLS(mkostemp, (char *template, int flags), (template, flags), path_fails(WRITE, template))
CALLS(mkostemp64, (char *template, int flags), (template, flags), path_fails(WRITE, template))

#define SYNCS(name)                                                                                \
    int name(int fd)                                                                               \
    {                                                                                              \
        NEXT(name);                                                                                \
        if (fd_fails(WRITE, fd))                                                                   \
            return -1;                                                                             \
        if (!fault.durable || !fd_below(fd))                                                       \
            return next(fd);                                                                       \
        keep(fd);                                                                                  \
        return 0;                                                                                  \
    }

SYNCS(fsync)
SYNCS(fdatasync)

/* ---- the network ----
 *
 * A call fails only by the errors it may have in life: libmicrohttpd ends the process where, say, a
 * descriptor cannot be taken out of an epoll set. */

static bool net_fails(int fd, int error, int other)
{
    return (fault.error == error || fault.error == other) && fd_fails(NET, fd);
}

static bool moves_fail(int fd)
{
    return !fault.error ? fd_fails(NET, fd) : net_fails(fd, ECONNRESET, EINTR);
}

/* Bytes of a socket: none, or half of them. */
#define MOVES_BY_NET(name, params, args, half, n)                                                  \
    ssize_t name params                                                                            \
    {                                                                                              \
        NEXT(name);                                                                                \
        if (!moves_fail(fd))                                                                       \
            return next args;                                                                      \
        return fault.error || n < 2 ? -1 : next half;                                              \
    }

MOVES_BY_NET(recv, (int fd, void *p, size_t n, int flags), (fd, p, n, flags), (fd, p, n / 2, flags),
             n)
MOVES_BY_NET(send, (int fd, const void *p, size_t n, int flags), (fd, p, n, flags),
             (fd, p, n / 2, flags), n)

ssize_t sendmsg(int fd, const struct msghdr *m, int flags)
{
    NEXT(sendmsg);
    if (!moves_fail(fd))
        return next(fd, m, flags);
    struct iovec first = { m->msg_iov->iov_base, m->msg_iov->iov_len / 2 };
    struct msghdr half = *m;
    half.msg_iov = &first;
    half.msg_iovlen = 1;
    return fault.error || !first.iov_len ? -1 : next(fd, &half, flags);
}

CALLS(socket, (int family, int type, int protocol), (family, type, protocol),
      net_fails(-1, EMFILE, ENOMEM))
CALLS(bind, (int fd, __CONST_SOCKADDR_ARG a, socklen_t n), (fd, a, n),
      net_fails(fd, EACCES, ENOMEM))
CALLS(accept4, (int fd, __SOCKADDR_ARG a, socklen_t *n, int flags), (fd, a, n, flags),
      net_fails(fd, EMFILE, ENOMEM))
CALLS(eventfd, (unsigned n, int flags), (n, flags), net_fails(-1, EMFILE, ENOMEM))
CALLS(epoll_create1, (int flags), (flags), net_fails(-1, EMFILE, ENOMEM))
CALLS(epoll_ctl, (int fd, int what, int other, struct epoll_event *e), (fd, what, other, e),
      what == EPOLL_CTL_ADD && net_fails(fd, ENOSPC, ENOMEM))
CALLS(epoll_wait, (int fd, struct epoll_event *e, int n, int timeout_ms), (fd, e, n, timeout_ms),
      net_fails(fd, EINTR, EINTR))

/* ---- locks and clocks ---- */

CALLS(flock, (int fd, int how), (fd, how), fd_fails(LOCK, fd))

#define CONTROLS(name)                                                                             \
    int name(int fd, int command, ...)                                                             \
    {                                                                                              \
        NEXT(name);                                                                                \
        va_list ap;                                                                                \
        va_start(ap, command);                                                                     \
        void *arg = va_arg(ap, void *);                                                            \
        va_end(ap);                                                                                \
        return (command == F_SETLK || command == F_OFD_SETLK) && fd_fails(LOCK, fd)                \
                   ? -1                                                                            \
                   : next(fd, command, arg);                                                       \
    }

CONTROLS(fcntl)
CONTROLS(fcntl64)

int clock_gettime(clockid_t clock, struct timespec *t)
{
    static _Atomic int64_t first_ns; /* from where time runs faster, lest it overflows */
    NEXT(clock_gettime);
    int rc = next(clock, t);
    if (rc == 0 && clock == CLOCK_REALTIME)
        t->tv_sec += fault.wall_s;
    if (rc == 0 && clock == CLOCK_MONOTONIC && fault.speed > 1) {
        int64_t ns = (int64_t)t->tv_sec * 1000000000 + t->tv_nsec, none = 0;
        atomic_compare_exchange_strong(&first_ns, &none, ns);
        ns = (ns - first_ns) * fault.speed;
        *t = (struct timespec){ ns / 1000000000, ns % 1000000000 };
    }
    return rc;
}
