/* record.h - private to fetch/: the hashes that the files of a model were fetched with, in its
 * folder as .sha256sums, a line "<64 digits>  <name>" each. */
#ifndef FOVEA_FETCH_RECORD_H
#define FOVEA_FETCH_RECORD_H

#include "base/hash.h"
#include "fetch/fetch.h"

#define RECORD_NAME ".sha256sums"

/* Calls fn for each line; a record that is not there has none. ERR_CORRUPT where a line is no such
 * line, or its name no "<file>" or "<type>/<file>"; what fn returned, which ends it. */
typedef enum err_code (*record_fn)(const char *name, const uint8_t sha256[HASH_BYTES], void *ctx,
                                   struct err *err);
enum err_code record_read(const char *folder, record_fn fn, void *ctx, struct err *err);

struct fetch_file;
enum err_code record_write(const char *folder, const struct fetch_file *files, size_t n,
                           struct err *err);

/* SHA-256 of a file. */
enum err_code record_hash(const char *path, uint8_t out[HASH_BYTES], struct err *err);

#endif
