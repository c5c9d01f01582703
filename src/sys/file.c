#include "sys/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "sys/clock.h"

static enum err_code sys_error(struct err *err, const char *path, const char *what)
{
    int e = errno;
    bool absent = e == ENOENT || e == ENOTDIR;
    return err_set(err,
                   absent        ? ERR_NOT_FOUND
                   : e == ENOMEM ? ERR_NOMEM
                                 : ERR_IO,
                   "%s: %s: %s", path, what, strerror(e));
}

static enum err_code take_info(const struct stat *st, const char *path, struct file_info *out,
                               struct err *err)
{
    if (S_ISDIR(st->st_mode))
        return err_set(err, ERR_UNSUPPORTED, "%s: is a folder", path);
    if (!S_ISREG(st->st_mode))
        return err_set(err, ERR_UNSUPPORTED, "%s: not a regular file", path);
    *out = (struct file_info){ .size_bytes = (uint64_t)st->st_size,
                               .dev = st->st_dev,
                               .inode = st->st_ino,
                               .mtime_ns = clock_ns(&st->st_mtim) };
    return ERR_NONE;
}

enum err_code file_stat(const char *path, struct file_info *out, struct err *err)
{
    struct stat st;
    if (stat(path, &st))
        return sys_error(err, path, "cannot look at it");
    return take_info(&st, path, out, err);
}

bool file_exists(const char *path)
{
    return access(path, F_OK) == 0;
}

bool file_is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* The folder to look from, to be closed unless it is AT_FDCWD, and what is left of the path: all of
 * it but where it is longer than the system takes at once. That is gone along piece by piece. -1
 * with errno set. */
static int open_towards(const char **path)
{
    int dir = AT_FDCWD;
    while (strlen(*path) >= PATH_MAX) {
        char piece[PATH_MAX];
        const char *slash = memrchr(*path, '/', PATH_MAX - 1);
        snprintf(piece, sizeof piece, "%.*s", slash ? (int)(slash - *path) : 0, *path);
        int next = *piece ? openat(dir, piece, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
        int e = *piece ? errno : ENAMETOOLONG;
        if (dir >= 0)
            close(dir);
        errno = e;
        if (next < 0)
            return -1;
        dir = next;
        *path = slash + 1;
    }
    return dir;
}

/* O_NONBLOCK so that a FIFO swapped in after the caller's look does not hang us; the check is made
 * on the descriptor, so what is checked is what is read. */
static enum err_code open_at(int dir, const char *name, const char *path, int *fd,
                             struct file_info *info, struct err *err)
{
    struct stat st;
    if (dir == -1 || fstatat(dir, name, &st, 0))
        return sys_error(err, path, "cannot open");
    enum err_code rc = take_info(&st, path, info, err); /* opening a device can have effects */
    if (rc != ERR_NONE)
        return rc;
    *fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (*fd < 0)
        return sys_error(err, path, "cannot open");
    rc = fstat(*fd, &st) ? sys_error(err, path, "cannot look at it")
                         : take_info(&st, path, info, err);
    if (rc != ERR_NONE)
        close(*fd);
    return rc;
}

static enum err_code open_regular(const char *path, int *fd, struct file_info *info,
                                  struct err *err)
{
    const char *rest = path;
    int dir = open_towards(&rest);
    enum err_code rc = open_at(dir, rest, path, fd, info, err);
    if (dir >= 0)
        close(dir);
    return rc;
}

enum err_code file_map_open(struct file_map *m, const char *path, struct err *err)
{
    int fd = -1; /* set, for a compiler that cannot see that a failure is never ERR_NONE */
    struct file_info info = { 0 };
    *m = (struct file_map){ 0 };
    enum err_code rc = open_regular(path, &fd, &info, err);
    if (rc != ERR_NONE)
        return rc;
    if (info.size_bytes > SIZE_MAX / 2)
        rc = err_set(err, ERR_LIMIT, "%s: too large to map", path);
    else if (info.size_bytes) {
        void *p = mmap(NULL, (size_t)info.size_bytes, PROT_READ, MAP_SHARED, fd, 0);
        if (p == MAP_FAILED)
            rc = sys_error(err, path, "cannot map");
        else
            *m = (struct file_map){ .data = p, .size = (size_t)info.size_bytes };
    }
    close(fd);
    return rc;
}

void file_map_close(struct file_map *m)
{
    if (m->data)
        munmap((void *)(uintptr_t)m->data, m->size);
    *m = (struct file_map){ 0 };
}

static enum err_code read_all(int fd, const char *path, uint8_t *p, size_t n, struct err *err)
{
    for (size_t got = 0; got < n;) {
        ssize_t k = read(fd, p + got, n - got);
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            return sys_error(err, path, "cannot read");
        if (k == 0)
            return err_set(err, ERR_IO, "%s: became shorter while it was read", path);
        got += (size_t)k;
    }
    return ERR_NONE;
}

bool file_write_all(int fd, const void *data, size_t n)
{
    for (const char *p = data; n;) {
        ssize_t k = write(fd, p, n);
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            return false;
        p += k;
        n -= (size_t)k;
    }
    return true;
}

enum err_code file_read(const char *path, size_t max_bytes, uint8_t **data, size_t *n,
                        struct file_info *info, struct err *err)
{
    int fd = -1;
    struct file_info fi = { 0 };
    struct stat st;
    *data = NULL;
    enum err_code rc = open_regular(path, &fd, &fi, err);
    if (rc != ERR_NONE)
        return rc;
    uint8_t *p = NULL;
    if (fi.size_bytes > max_bytes) {
        rc = err_set(err, ERR_LIMIT, "%s: %llu bytes, the limit is %zu", path,
                     (unsigned long long)fi.size_bytes, max_bytes);
        goto out;
    }
    p = malloc((size_t)fi.size_bytes + 1);
    if (!p) {
        rc = err_set(err, ERR_NOMEM, "%s: %llu bytes", path, (unsigned long long)fi.size_bytes);
        goto out;
    }
    rc = read_all(fd, path, p, (size_t)fi.size_bytes, err);
    if (rc != ERR_NONE)
        goto out;
    p[fi.size_bytes] = 0;
    if (fstat(fd, &st) || (uint64_t)st.st_size != fi.size_bytes) {
        rc = err_set(err, ERR_IO, "%s: changed while it was read", path);
        goto out;
    }
    *data = p;
    *n = (size_t)fi.size_bytes;
    if (info)
        *info = fi;
    p = NULL;
out:
    free(p);
    close(fd);
    return rc;
}

/* The rename itself must be on disk, else a power cut can bring the old name back. Some network
 * file systems refuse to sync a folder; the rename has happened all the same. */
static void sync_parent(const char *path)
{
    const char *slash = strrchr(path, '/');
    char dir[4096];
    if (slash && (size_t)(slash - path) >= sizeof dir)
        return;
    snprintf(dir, sizeof dir, "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
    int fd = open(*dir ? dir : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        (void)fsync(fd);
        close(fd);
    }
}

enum err_code file_draft_open(struct file_draft *d, const char *path, struct err *err)
{
    *d = (struct file_draft){ .fd = -1 };
    if (snprintf(d->tmp, sizeof d->tmp, "%s.tmp-XXXXXX", path) >= (int)sizeof d->tmp)
        return err_set(err, ERR_LIMIT, "%s: path too long", path);
    d->fd = mkostemp(d->tmp, O_CLOEXEC);
    if (d->fd < 0)
        return sys_error(err, d->tmp, "cannot create");
    memcpy(d->path, path, strlen(path) + 1); /* shorter than tmp */
    return ERR_NONE;
}

enum err_code file_draft_resume(struct file_draft *d, const char *path, const char *tmp,
                                uint64_t *n_there, struct err *err)
{
    struct stat st;
    *d = (struct file_draft){ .fd = -1, .stays = true };
    if (snprintf(d->path, sizeof d->path, "%s", path) >= (int)sizeof d->path ||
        snprintf(d->tmp, sizeof d->tmp, "%s", tmp) >= (int)sizeof d->tmp)
        return err_set(err, ERR_LIMIT, "%s: path too long", path);
    d->fd = open(tmp, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    if (d->fd < 0)
        return sys_error(err, tmp, "cannot create");
    struct file_info info = { 0 };
    enum err_code rc = fstat(d->fd, &st) ? sys_error(err, tmp, "cannot look at it")
                                         : take_info(&st, tmp, &info, err);
    if (rc != ERR_NONE)
        file_draft_close(d);
    *n_there = info.size_bytes;
    return rc;
}

enum err_code file_draft_truncate(struct file_draft *d, struct err *err)
{
    return ftruncate(d->fd, 0) ? sys_error(err, d->tmp, "cannot empty it") : ERR_NONE;
}

enum err_code file_draft_write(struct file_draft *d, uint64_t at, const void *data, size_t n,
                               struct err *err)
{
    for (const char *p = data; n;) {
        ssize_t k = pwrite(d->fd, p, n, (off_t)at);
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            return sys_error(err, d->path, "cannot write");
        p += k;
        at += (size_t)k;
        n -= (size_t)k;
    }
    return ERR_NONE;
}

enum err_code file_draft_commit(struct file_draft *d, struct err *err)
{
    if (fsync(d->fd))
        return sys_error(err, d->path, "cannot sync");
    if (rename(d->tmp, d->path))
        return sys_error(err, d->path, "cannot replace");
    sync_parent(d->path);
    close(d->fd); /* nothing to lose: it is synced */
    d->fd = -1;
    return ERR_NONE;
}

void file_draft_close(struct file_draft *d)
{
    if (d->fd < 0)
        return;
    close(d->fd);
    if (!d->stays)
        unlink(d->tmp);
    d->fd = -1;
}

enum err_code file_replace(const char *path, const void *data, size_t n, struct err *err)
{
    struct file_draft d;
    enum err_code rc = file_draft_open(&d, path, err);
    if (rc == ERR_NONE)
        rc = file_draft_write(&d, 0, data, n, err);
    if (rc == ERR_NONE)
        rc = file_draft_commit(&d, err);
    file_draft_close(&d);
    return rc;
}

bool file_is_remote(const char *path)
{
    /* NFS, SMB, CIFS, SMB2, 9P, AFS, Ceph, Coda (include/uapi/linux/magic.h); FUSE may be either,
     * and what people mount by it (sshfs, rclone) is remote. */
    static const unsigned long kinds[] = { 0x6969,     0x517b,     0xff534d42,
                                           0xfe534d42, 0x01021997, 0x5346414f,
                                           0x00c36400, 0x73757245, 0x65735546 };
    struct statfs fs;
    if (statfs(path, &fs))
        return false;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if ((unsigned long)fs.f_type == kinds[i])
            return true;
    return false;
}

enum err_code file_make_dirs(const char *dir, struct err *err)
{
    char p[4096];
    size_t n = strlen(dir);
    if (!n || n >= sizeof p)
        return err_set(err, ERR_LIMIT, "%.60s...: path of %zu bytes", dir, n);
    memcpy(p, dir, n + 1);
    for (char *c = p + 1;; c++) {
        char was = *c;
        if (was && was != '/')
            continue;
        *c = '\0';
        struct stat st;
        if (mkdir(p, 0700) && (errno != EEXIST || stat(p, &st) || !S_ISDIR(st.st_mode)))
            return sys_error(err, p, "cannot make this folder");
        if (!was)
            return ERR_NONE;
        *c = was;
    }
}

bool file_self_dir(char *out, size_t n)
{
    ssize_t k = readlink("/proc/self/exe", out, n - 1);
    if (k <= 0 || (size_t)k >= n - 1)
        return false;
    out[k] = '\0';
    char *slash = strrchr(out, '/');
    if (!slash)
        return false;
    *slash = '\0';
    return true;
}
