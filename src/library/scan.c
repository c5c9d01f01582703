/* scan.c - folders are opened relative to their parent's descriptor, so a path longer than PATH_MAX
 * and a folder renamed under our feet are both harmless. */
#include "library/scan.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/str.h"
#include "image/image.h"
#include "sys/clock.h"

struct visited {
    dev_t dev;
    ino_t ino;
};

struct walk {
    const struct scan *s;
    struct buf path;      /* below the root, of what is being looked at */
    struct visited *seen; /* open addressing; ino 0 marks a free place */
    size_t n_seen, cap;   /* cap: a power of two */
    uint64_t n_entries;
    dev_t dev; /* of the folder that is being read */
};

static size_t place(const struct walk *w, struct visited v)
{
    uint64_t h = ((uint64_t)v.ino ^ (uint64_t)v.dev << 40) * 0x9e3779b97f4a7c15u;
    size_t i = (size_t)(h >> 20) & (w->cap - 1);
    while (w->seen[i].ino && (w->seen[i].ino != v.ino || w->seen[i].dev != v.dev))
        i = (i + 1) & (w->cap - 1);
    return i;
}

static enum err_code grow(struct walk *w, struct err *err)
{
    struct walk bigger = { .cap = w->cap ? w->cap * 2 : 256 };
    bigger.seen = calloc(bigger.cap, sizeof *bigger.seen);
    if (!bigger.seen)
        return err_set(err, ERR_NOMEM, "list of %zu folders", bigger.cap);
    for (size_t i = 0; i < w->cap; i++)
        if (w->seen[i].ino)
            bigger.seen[place(&bigger, w->seen[i])] = w->seen[i];
    free(w->seen);
    w->seen = bigger.seen;
    w->cap = bigger.cap;
    return ERR_NONE;
}

static enum err_code enter(struct walk *w, const struct stat *st, bool *first, struct err *err)
{
    enum err_code rc = w->n_seen * 2 >= w->cap ? grow(w, err) : ERR_NONE;
    if (rc != ERR_NONE)
        return rc;
    struct visited v = { st->st_dev, st->st_ino ? st->st_ino : 1 };
    size_t i = place(w, v);
    *first = !w->seen[i].ino;
    if (*first) {
        w->seen[i] = v;
        w->n_seen++;
    }
    return ERR_NONE;
}

static bool passed_over(const char *name)
{
    static const char *const nas[] = { "@eaDir",    "@Recycle",     "#recycle",
                                       "#snapshot", "$RECYCLE.BIN", "System Volume Information",
                                       "lost+found" };
    if (name[0] == '.')
        return true;
    for (size_t i = 0; i < sizeof nas / sizeof *nas; i++)
        if (!strcmp(name, nas[i]))
            return true;
    return false;
}

static enum err_code walk_dir(struct walk *w, int fd, unsigned depth, struct err *err);

static enum err_code blind(struct walk *w, const char *why, struct err *err)
{
    return w->s->on_blind(w->path.data ? w->path.data : "", why, w->s->ctx, err);
}

static enum err_code may_enter(struct walk *w, const struct stat *st, bool mounted, bool *enter,
                               struct err *err)
{
    return w->s->on_folder(w->path.data, st, mounted, enter, w->s->ctx, err);
}

static enum err_code sub_dir(struct walk *w, int parent, const char *name, bool link,
                             unsigned depth, struct err *err)
{
    if (depth >= SCAN_DEPTH_MAX)
        return blind(w, "folders nested too deep", err);
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return blind(w, strerror(errno), err);
    struct stat st;
    bool go = depth == 0, known = fstat(fd, &st) == 0;
    enum err_code rc = known ? ERR_NONE : blind(w, strerror(errno), err);
    if (rc == ERR_NONE && known && depth)
        rc = may_enter(w, &st, !link && st.st_dev != w->dev, &go, err);
    if (rc == ERR_NONE && known && go)
        rc = enter(w, &st, &go, err);
    if (rc != ERR_NONE || !known || !go) {
        close(fd);
        return rc;
    }
    dev_t parent_dev = w->dev;
    w->dev = st.st_dev;
    rc = walk_dir(w, fd, depth + 1, err); /* takes fd */
    w->dev = parent_dev;
    return rc;
}

static enum err_code entry(struct walk *w, int dir, const struct dirent *d, unsigned depth,
                           struct err *err)
{
    struct stat st;
    bool maybe_dir = d->d_type == DT_DIR || d->d_type == DT_LNK || d->d_type == DT_UNKNOWN;
    if (!maybe_dir && (d->d_type != DT_REG || !image_is_photo_name(d->d_name)))
        return ERR_NONE;
    if (d->d_type == DT_DIR)
        return sub_dir(w, dir, d->d_name, false, depth, err);
    if (fstatat(dir, d->d_name, &st, 0)) /* gone meanwhile, a link to nothing, or no permission */
        return errno == ENOENT || errno == ELOOP ? ERR_NONE : blind(w, strerror(errno), err);
    if (S_ISDIR(st.st_mode))
        return sub_dir(w, dir, d->d_name, d->d_type == DT_LNK, depth, err);
    if (!S_ISREG(st.st_mode) || !image_is_photo_name(d->d_name))
        return ERR_NONE;
    struct scan_file f = { .path = w->path.data,
                           .path_len = w->path.len,
                           .size_bytes = st.st_size,
                           .mtime_ns = clock_ns(&st.st_mtim) };
    return w->s->on_file(&f, w->s->ctx, err);
}

static enum err_code push_name(struct walk *w, const char *name, struct err *err)
{
    enum err_code rc = w->path.len ? buf_append(&w->path, "/", 1, err) : ERR_NONE;
    return rc == ERR_NONE ? buf_puts(&w->path, name, err) : rc;
}

static enum err_code walk_dir(struct walk *w, int fd, unsigned depth, struct err *err)
{
    DIR *dir = fdopendir(fd);
    if (!dir) {
        close(fd);
        return blind(w, strerror(errno), err);
    }
    size_t len = w->path.len;
    enum err_code rc = ERR_NONE;
    while (rc == ERR_NONE && !(w->s->cancel && atomic_load(w->s->cancel))) {
        errno = 0;
        struct dirent *d = readdir(dir);
        if (!d) {
            if (errno)
                rc = blind(w, strerror(errno), err);
            break;
        }
        if (!strcmp(d->d_name, ".") || !strcmp(d->d_name, ".."))
            continue;
        w->n_entries++;
        if (passed_over(d->d_name))
            continue;
        rc = push_name(w, d->d_name, err);
        if (rc == ERR_NONE)
            rc = entry(w, dirfd(dir), d, depth, err);
        w->path.len = len;
        w->path.data[len] = '\0';
    }
    closedir(dir);
    return rc;
}

enum err_code scan_run(const struct scan *s, uint64_t *n_entries, struct err *err)
{
    struct walk w = { .s = s };
    char *abs = str_path(s->root, s->part);
    *n_entries = 0;
    enum err_code rc =
        abs ? buf_puts(&w.path, s->part, err) : err_set(err, ERR_NOMEM, "path of %s", s->root);
    if (rc == ERR_NONE)
        rc = sub_dir(&w, AT_FDCWD, abs, false, 0, err);
    *n_entries = w.n_entries;
    free(abs);
    buf_clear(&w.path);
    free(w.seen);
    return rc;
}
