#include "app/photos.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/str.h"
#include "image/image.h"

/* Takes path, which is on the heap. */
static enum err_code put(struct photos *p, char *path, struct err *err)
{
    enum err_code rc = path ? ERR_NONE : err_set(err, ERR_NOMEM, "path of a photo");
    if (rc == ERR_NONE && p->n == PHOTOS_MAX)
        rc = err_set(err, ERR_LIMIT, "%.200s: more than %d photos", path, PHOTOS_MAX);
    if (rc == ERR_NONE && p->n == p->cap) {
        size_t cap = p->cap ? p->cap * 2 : 64;
        char **paths = realloc(p->paths, cap * sizeof *paths);
        if (paths) {
            p->paths = paths;
            p->cap = cap;
        } else {
            rc = err_set(err, ERR_NOMEM, "list of %zu photos", cap);
        }
    }
    if (rc == ERR_NONE)
        p->paths[p->n++] = path;
    else
        free(path);
    return rc;
}

static enum err_code add_folder(struct photos *p, const char *folder, int depth, struct err *err)
{
    struct dirent **entries = NULL;
    if (depth > PHOTOS_DEPTH_MAX)
        return err_set(err, ERR_LIMIT, "%s: folders more than %d deep", folder, PHOTOS_DEPTH_MAX);
    int n = scandir(folder, &entries, NULL, alphasort);
    if (n < 0)
        return err_set(err, ERR_IO, "%s: %s", folder, strerror(errno));
    enum err_code rc = ERR_NONE;
    for (int i = 0; i < n; i++) {
        struct stat st, target;
        char *path = entries[i]->d_name[0] == '.' ? NULL : str_path(folder, entries[i]->d_name);
        free(entries[i]);
        bool is = path && rc == ERR_NONE && !lstat(path, &st);
        if (is && S_ISDIR(st.st_mode))
            rc = add_folder(p, path, depth + 1, err);
        else if (is && image_is_photo_name(path) && !stat(path, &target) &&
                 S_ISREG(target.st_mode)) {
            rc = put(p, path, err);
            path = NULL;
        }
        free(path);
    }
    free(entries);
    return rc;
}

enum err_code photos_add(struct photos *p, const char *path, struct err *err)
{
    struct stat st;
    if (stat(path, &st))
        return err_set(err, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "%s: %s", path,
                       strerror(errno));
    return S_ISDIR(st.st_mode) ? add_folder(p, path, 0, err)
                               : put(p, str_ndup(path, strlen(path)), err);
}

void photos_clear(struct photos *p)
{
    for (size_t i = 0; i < p->n; i++)
        free(p->paths[i]);
    free(p->paths);
    *p = (struct photos){ 0 };
}
