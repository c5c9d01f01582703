/* listing.h - private to fetch/: what a repository holds, as the hub says it. */
#ifndef FOVEA_FETCH_LISTING_H
#define FOVEA_FETCH_LISTING_H

#include "base/arena.h"
#include "base/hash.h"
#include "fetch/fetch.h"

struct listing_file {
    const char *name; /* "config.json" or "<type>/<file>": nothing else is taken */
    bool has_size, has_sha256, has_blob;
    uint64_t size;
    uint8_t sha256[HASH_BYTES];
    uint8_t blob[HASH_GIT_BYTES]; /* of a file that is not kept by its SHA-256 */
};

struct listing {
    char revision[64]; /* "main" where the hub does not say which */
    struct listing_file *files;
    size_t n_files;
};

/* Is it a file that a model of that task runs on? name has n bytes. The reference ignores "*.armnn"
 * and "*.rknn", the other engines' forms; pictures and words about the model we leave too. Names
 * that would lead out of the model's folder are not of the form above and so are left as well. */
bool listing_wants(enum model_task task, const char *name, size_t n);

/* json: n bytes of the answer to GET /api/models/<repository>/revision/main?blobs=true. Strings
 * are of the arena.
 * ERR_CORRUPT, ERR_LIMIT (too many, or a file over FETCH_FILE_MAX_BYTES), ERR_NOMEM. */
enum err_code listing_parse(const char *json, size_t n, enum model_task task, struct arena *arena,
                            struct listing *out, struct err *err);

#endif
