/* tree.c - all that is in a model's folder: how much it is, and its end. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fetch/job.h"

enum { DEPTH_MAX = 8 };

struct tree {
    bool remove;
    struct fetch_size size;
    char at[256]; /* where it failed, below the folder */
};

static bool walk(struct tree *t, int parent, const char *name, int depth);

static bool walk_entry(struct tree *t, int dir, const char *name, int depth)
{
    struct stat st;
    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW))
        return errno == ENOENT; /* a part that is a whole by now */
    if (S_ISDIR(st.st_mode))
        return walk(t, dir, name, depth + 1);
    if (t->remove && unlinkat(dir, name, 0))
        return false;
    t->size.n_files++;
    t->size.n_bytes += (uint64_t)st.st_size;
    return true;
}

/* A folder, by descriptors: what is swapped for a link meanwhile is not followed. */
static bool walk(struct tree *t, int parent, const char *name, int depth)
{
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *d = fd >= 0 && depth < DEPTH_MAX ? fdopendir(fd) : NULL;
    if (!d) {
        errno = depth < DEPTH_MAX ? errno : ELOOP;
        if (fd >= 0)
            close(fd);
        return false;
    }
    bool ok = true;
    for (const struct dirent *e; ok && (e = readdir(d));)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0) {
            ok = walk_entry(t, fd, e->d_name, depth);
            if (!ok && !*t->at)
                snprintf(t->at, sizeof t->at, "%s", e->d_name);
        }
    int e = errno;
    closedir(d);
    errno = e;
    return ok && (!t->remove || !unlinkat(parent, name, AT_REMOVEDIR));
}

static enum err_code failed(const struct tree *t, const struct model_folder *m, struct err *err)
{
    return err_set(err, ERR_IO, "%s: cannot %s %s: %s", m->dir, t->remove ? "remove" : "look at",
                   *t->at ? t->at : "it", strerror(errno));
}

enum err_code fetch_measure(const struct model_folder *m, struct fetch_size *out, struct err *err)
{
    struct tree t = { .remove = false };
    struct stat st;
    char inside[MODEL_PATH_MAX + 2];
    *out = (struct fetch_size){ 0 };
    if (stat(m->dir, &st) || !S_ISDIR(st.st_mode))
        return ERR_NONE;
    snprintf(inside, sizeof inside, "%s/.", m->dir); /* of a link, where it leads */
    bool ok = walk(&t, AT_FDCWD, inside, 0);
    *out = t.size;
    return ok ? ERR_NONE : failed(&t, m, err);
}

enum err_code fetch_remove(struct fetch *f, const struct model_folder *m, struct fetch_size *out,
                           struct err *err)
{
    struct tree t = { .remove = true };
    struct stat st;
    int lock;
    *out = (struct fetch_size){ 0 };
    enum err_code rc = lock_take(f, &lock, err);
    if (rc != ERR_NONE)
        return rc;
    if (lstat(m->dir, &st))
        rc = err_set(err, ERR_NOT_FOUND, "model \"%s\": no folder %s", m->name, m->dir);
    else if (S_ISLNK(st.st_mode) ? unlink(m->dir) : !walk(&t, AT_FDCWD, m->dir, 0))
        rc = failed(&t, m, err);
    *out = t.size;
    lock_release(lock);
    return rc;
}
