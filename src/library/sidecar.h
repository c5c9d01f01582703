/* sidecar.h - the int8 copy of a space's vectors beside the database. Internal to library/.
 *
 * What writes needs a store open for writing, outside a transaction. */
#ifndef FOVEA_LIBRARY_SIDECAR_H
#define FOVEA_LIBRARY_SIDECAR_H

#include "library/library.h"

enum { SIDECAR_NAME_MAX = 32 };

/* "vectors-<first 16 digits of the space's hash>.i8" */
void sidecar_name(const struct store_space *sp, char out[SIDECAR_NAME_MAX]);

/* ERR_NOT_FOUND, ERR_CORRUPT (not what the database says). *out is {0} then. */
enum err_code sidecar_open(struct index_sidecar *out, const char *dir, const struct store_space *sp,
                           struct err *err);
/* Of all vectors, in order of date; the database then believes it. */
enum err_code sidecar_write(struct store *s, const char *dir, struct store_space *sp,
                            struct err *err);
/* Write it when there is none that the database believes, or when enough vectors came since. */
enum err_code sidecar_refresh(struct store *s, const char *dir, struct store_space *sp,
                              struct err *err);
enum err_code sidecar_refresh_all(struct store *s, const char *dir, struct err *err);
/* Does every row say what the database says, and is none missing? Reads all vectors. */
enum err_code sidecar_verify(struct store *s, const char *dir, const struct store_space *sp,
                             bool *same, struct err *err);

/* The spaces of a library, for going over them while the store is used. */
struct sidecar_spaces {
    struct store_space *items;
    size_t n;
};
enum err_code sidecar_spaces(struct store *s, struct sidecar_spaces *out, struct err *err);
void sidecar_spaces_clear(struct sidecar_spaces *all);

#endif
