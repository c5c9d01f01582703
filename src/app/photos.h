/* photos.h - the photos that a command line names: files as they are, folders for what is in them.
 */
#ifndef FOVEA_APP_PHOTOS_H
#define FOVEA_APP_PHOTOS_H

#include <stddef.h>

#include "base/err.h"

enum { PHOTOS_MAX = 1000000, PHOTOS_DEPTH_MAX = 200 };

/* {0} is an empty one. Paths are on the heap. */
struct photos {
    char **paths;
    size_t n, cap;
};

/* Adds a file, or what has a photo's name in a folder and below, by name. Of a folder, hidden names
 * and symbolic links to folders are passed over. ERR_NOT_FOUND, ERR_IO, ERR_LIMIT (PHOTOS_MAX,
 * PHOTOS_DEPTH_MAX), ERR_NOMEM. */
enum err_code photos_add(struct photos *p, const char *path, struct err *err);
void photos_clear(struct photos *p);

#endif
