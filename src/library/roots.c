#include "library/roots.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "sys/clock.h"

bool roots_below(const char *path, const char *dir)
{
    const char *d = dir;
    while (*d && *path == *d)
        path++, d++;
    return !*d && (d == dir || *path == '/' || *path == '\0' || d[-1] == '/');
}

static enum err_code add_root(struct roots *r, int64_t id, const char *path, size_t n,
                              struct root **out, struct err *err)
{
    struct root *root = arena_alloc(r->mem, 1, sizeof *root, err);
    const char *copy = root ? arena_strndup(r->mem, path, n, err) : NULL;
    if (!copy)
        return ERR_NOMEM;
    *root = (struct root){ r->known, id, copy };
    r->known = root;
    if (out)
        *out = root;
    return ERR_NONE;
}

static enum err_code note_root(const struct store_root *root, void *ctx, struct err *err)
{
    return add_root(ctx, root->id, root->path, strlen(root->path), NULL, err);
}

enum err_code roots_init(struct roots *r, struct arena *mem, struct store *s, struct err *err)
{
    *r = (struct roots){ .mem = mem };
    r->last = &r->first;
    return store_roots(s, note_root, r, err);
}

static enum err_code add_part(struct roots *r, struct root *root, const char *below,
                              struct err *err)
{
    for (const struct root_part *p = r->first; p; p = p->next)
        if (p->root == root && roots_below(below, p->below))
            return ERR_NONE; /* it is walked already */
    struct root_part *p = arena_alloc(r->mem, 1, sizeof *p, err);
    const char *copy = p ? arena_strndup(r->mem, below, strlen(below), err) : NULL;
    if (!copy)
        return ERR_NOMEM;
    *p = (struct root_part){ NULL, root, copy };
    *r->last = p;
    r->last = &p->next;
    return ERR_NONE;
}

enum err_code roots_add_all(struct roots *r, struct err *err)
{
    enum err_code rc = ERR_NONE;
    for (struct root *root = r->known; root && rc == ERR_NONE; root = root->next)
        rc = add_part(r, root, "", err);
    return rc;
}

enum err_code roots_add_mounted(struct roots *r, const char *path, struct err *err)
{
    struct root *root;
    enum err_code rc = add_root(r, 0, path, strlen(path), &root, err);
    return rc == ERR_NONE ? add_part(r, root, "", err) : rc;
}

bool roots_has(const struct roots *r, const char *path)
{
    for (const struct root *root = r->known; root; root = root->next)
        if (!strcmp(root->path, path))
            return true;
    return false;
}

enum err_code roots_join(struct root *root, struct store *s, struct err *err)
{
    return root->id ? ERR_NONE : store_root_add(s, root->path, clock_wall_ns(), &root->id, err);
}

/* ---- a path as somebody gives it ---- */

/* Made absolute, for a folder that is not there to be resolved. */
static char *absolute(const char *path)
{
    char *cwd = path[0] == '/' ? NULL : getcwd(NULL, 0);
    struct buf b = { 0 };
    bool ok = buf_printf(&b, NULL, "%s%s%s", cwd ? cwd : "", cwd ? "/" : "", path) == ERR_NONE;
    while (ok && b.len > 1 && b.data[b.len - 1] == '/')
        b.data[--b.len] = '\0';
    free(cwd);
    if (!ok)
        buf_clear(&b);
    return b.data;
}

/* The innermost root at or above the path. */
static struct root *innermost(const struct roots *r, const char *path)
{
    struct root *best = NULL;
    for (struct root *root = r->known; root; root = root->next)
        if (roots_below(path, root->path) && (!best || strlen(root->path) > strlen(best->path)))
            best = root;
    return best;
}

/* The root that is this folder by another name: a bind mount, say. */
static struct root *same_folder(const struct roots *r, const struct stat *folder)
{
    struct stat st;
    for (struct root *root = r->known; root; root = root->next)
        if (!stat(root->path, &st) && st.st_dev == folder->st_dev && st.st_ino == folder->st_ino)
            return root;
    return NULL;
}

/* How much of path is the point where a disk is mounted, if that is below the root; else 0. */
static size_t mount_point(char *path, const struct root *root)
{
    struct stat st, up;
    size_t n = strlen(path), at = 0;
    bool ok = !stat(path, &st);
    while (ok && n > strlen(root->path)) {
        char *slash = memrchr(path, '/', n);
        *slash = '\0';
        ok = !stat(slash == path ? "/" : path, &up);
        *slash = '/';
        if (ok && up.st_dev != st.st_dev)
            at = at ? at : n;
        st = up;
        n = (size_t)(slash - path);
    }
    return ok ? at : 0;
}

/* What of path is below the root that is above it. */
static const char *rest(const struct root *root, const char *path)
{
    path += strlen(root->path);
    return *path == '/' ? path + 1 : path;
}

/* real: absolute and without links. */
static enum err_code add_present(struct roots *r, struct store *s, char *real,
                                 const struct stat *st, struct err *err)
{
    struct root *root = innermost(r, real);
    if (!root && (root = same_folder(r, st)))
        return add_part(r, root, "", err);
    size_t at = root ? mount_point(real, root) : strlen(real);
    enum err_code rc = ERR_NONE;
    if (at)
        rc = add_root(r, 0, real, at, &root, err);
    if (rc == ERR_NONE && at)
        rc = roots_join(root, s, err);
    if (rc != ERR_NONE)
        return rc;
    return add_part(r, root, rest(root, real), err);
}

enum err_code roots_find(const struct roots *r, const char *path, int64_t *id, struct err *err)
{
    char *real = realpath(path, NULL);
    if (!real)
        real = absolute(path);
    if (!real)
        return err_set(err, ERR_NOMEM, "%s: no memory for its name", path);
    const struct root *root = innermost(r, real);
    enum err_code rc = ERR_NONE;
    if (!root)
        rc = err_set(err, ERR_NOT_FOUND,
                     "%s: not a folder of the library; `fovea status` lists them", real);
    else if (strcmp(root->path, real) != 0)
        rc = err_set(err, ERR_NOT_FOUND, "%s: a part of %s, which can be forgotten as a whole only",
                     real, root->path);
    else
        *id = root->id;
    free(real);
    return rc;
}

enum err_code roots_add_path(struct roots *r, struct store *s, const char *path, struct err *err)
{
    struct stat st;
    char *real = realpath(path, NULL);
    int why = errno;
    enum err_code rc = ERR_NONE;
    bool there = real && !stat(real, &st);
    if (!real)
        real = absolute(path);
    struct root *root = real ? innermost(r, real) : NULL;
    if (!real)
        rc = err_set(err, ERR_NOMEM, "%s: no memory for its name", path);
    else if (!there && !root)
        rc = err_set(err, why == ENOENT || why == ENOTDIR ? ERR_NOT_FOUND : ERR_IO,
                     "%s: cannot open this folder: %s", path, strerror(why));
    else if (there && !S_ISDIR(st.st_mode))
        rc = err_set(err, ERR_UNSUPPORTED, "%s: not a folder; give the folder that holds it", path);
    else if (there)
        rc = add_present(r, s, real, &st, err);
    else
        rc = add_part(r, root, rest(root, real), err);
    for (root = r->known; root && rc == ERR_NONE; root = root->next)
        if (roots_below(root->path, real))
            rc = add_part(r, root, "", err);
    free(real);
    return rc;
}
