/* roots.h - which folders a run walks, each once. Internal to library/.
 *
 * A file belongs to the innermost root above it: the walk of a root passes over a folder that is
 * one of its own, which has a part of its own in the same run. A disk that is mounted below a root
 * is a root by itself once a photo is found on it, so that it counts as offline, and not as
 * deleted, while it is not mounted. */
#ifndef FOVEA_LIBRARY_ROOTS_H
#define FOVEA_LIBRARY_ROOTS_H

#include "base/arena.h"
#include "store/store.h"

struct root {
    struct root *next;
    int64_t id;       /* 0: not in the store yet */
    const char *path; /* absolute */
};

/* A folder to walk: all of a root, or what is below a folder of it. */
struct root_part {
    struct root_part *next;
    struct root *root;
    const char *below; /* "": all */
};

struct roots {
    struct arena *mem; /* the caller's: all here lives as long */
    struct root *known;
    struct root_part *first, **last;
};

/* All roots of the store are known then, and none is to be walked. */
enum err_code roots_init(struct roots *r, struct arena *mem, struct store *s, struct err *err);
/* Walk the folder of this name and the roots below it. A folder that no root is above or the same
 * as, by whatever name, becomes a root. ERR_NOT_FOUND, ERR_IO, ERR_UNSUPPORTED (no folder). */
enum err_code roots_add_path(struct roots *r, struct store *s, const char *path, struct err *err);
enum err_code roots_add_all(struct roots *r, struct err *err);
/* Walk the disk that is mounted at this path. */
enum err_code roots_add_mounted(struct roots *r, const char *path, struct err *err);
/* The root of this name, whether or not there is such a folder now. ERR_NOT_FOUND. */
enum err_code roots_find(const struct roots *r, const char *path, int64_t *id, struct err *err);
bool roots_has(const struct roots *r, const char *path);
/* Put it into the store where it is not there yet. */
enum err_code roots_join(struct root *root, struct store *s, struct err *err);

/* Is path the folder dir, or below it? All is below "". */
bool roots_below(const char *path, const char *dir);

#endif
