/* upkeep.c - what a library lets go of: a folder, tombstones, unused space. */
#include "library/upkeep.h"

#include "library/library.h"
#include "library/roots.h"
#include "library/sidecar.h"

enum err_code upkeep_open(struct store **s, const char *dir, struct err *err)
{
    enum err_code rc = store_open(s, dir, STORE_READ, err);
    store_close(*s);
    *s = NULL;
    return rc == ERR_NONE ? store_open(s, dir, STORE_WRITE, err) : rc;
}

/* Its photos lose their files and keep their vectors: a photo that no file holds is not found, and
 * one that turns up again need not be computed again. */
static enum err_code forget(struct store *s, const char *path, struct library_forgotten *out,
                            struct err *err)
{
    struct arena mem = { .limit = (size_t)64 << 20 };
    struct roots roots;
    struct store_counts before = { 0 }, after = { 0 };
    int64_t id = 0;
    enum err_code rc = roots_init(&roots, &mem, s, err);
    if (rc == ERR_NONE)
        rc = roots_find(&roots, path, &id, err);
    if (rc == ERR_NONE)
        rc = store_count(s, &before, err);
    if (rc == ERR_NONE)
        rc = store_root_remove(s, id, err);
    if (rc == ERR_NONE)
        rc = store_count(s, &after, err);
    out->n_files = (before.n_files - before.n_gone) - (after.n_files - after.n_gone);
    out->n_photos = after.n_photos_dead - before.n_photos_dead;
    arena_clear(&mem);
    return rc;
}

enum err_code library_forget(const char *dir, const char *path, struct library_forgotten *out,
                             struct err *err)
{
    struct store *s = NULL;
    *out = (struct library_forgotten){ 0 };
    enum err_code rc = upkeep_open(&s, dir, err);
    if (rc == ERR_NONE)
        rc = store_begin(s, err);
    if (rc == ERR_NONE)
        rc = store_end(s, forget(s, path, out, err), err);
    store_close(s);
    return rc;
}

enum err_code library_vacuum(const char *dir, bool purge, struct store_purged *purged,
                             struct err *err)
{
    struct store *s = NULL;
    *purged = (struct store_purged){ 0 };
    enum err_code rc = upkeep_open(&s, dir, err);
    if (rc == ERR_NONE && purge) {
        rc = store_begin(s, err);
        if (rc == ERR_NONE)
            rc = store_purge(s, purged, err);
        rc = store_end(s, rc, err);
    }
    if (rc == ERR_NONE)
        rc = store_vacuum(s, err);
    if (rc == ERR_NONE)
        rc = sidecar_refresh_all(s, dir, err);
    store_close(s);
    return rc;
}
