/* sidecar.h - the int8 copy of a space's vectors beside the database. Internal to library/. */
#ifndef FOVEA_LIBRARY_SIDECAR_H
#define FOVEA_LIBRARY_SIDECAR_H

#include "library/library.h"

/* ERR_NOT_FOUND, ERR_CORRUPT (not what the database says). *out is {0} then. */
enum err_code sidecar_open(struct index_sidecar *out, const char *dir, const struct store_space *sp,
                           struct err *err);

/* Write it anew when there is none that the database believes, or when enough vectors came since.
 * The writer of the store calls this, outside a transaction. */
enum err_code sidecar_refresh(struct store *s, const char *dir, struct store_space *sp,
                              struct err *err);

#endif
