/* check.c - is the library whole? The database is verified and never changed where it is damaged;
 * what is derived from it is compared with what it says and made again where they differ. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "library/library.h"
#include "library/sidecar.h"
#include "library/upkeep.h"

/* ---- vectors ---- */

struct bad_vectors {
    int64_t *ids;
    size_t n, cap;
    const struct store_space *space;
};

static enum err_code look_at_vector(const struct store_vector *v, void *ctx, struct err *err)
{
    struct bad_vectors *b = ctx;
    float f[INDEX_DIM_MAX];
    index_from_f16(v->v, b->space->dim, f);
    if (library_is_unit(f, b->space->dim))
        return ERR_NONE;
    if (b->n == b->cap) {
        size_t cap = b->cap ? 2 * b->cap : 64;
        int64_t *ids = reallocarray(b->ids, cap, sizeof *ids);
        if (!ids)
            return err_set(err, ERR_NOMEM, "list of %zu vectors", cap);
        b->ids = ids;
        b->cap = cap;
    }
    b->ids[b->n++] = v->photo_id;
    return ERR_NONE;
}

static enum err_code drop_bad_vectors(struct store *s, const struct store_space *sp,
                                      struct library_checked *found, struct err *err)
{
    struct bad_vectors bad = { .space = sp };
    int64_t n = 0;
    if (sp->dim > INDEX_DIM_MAX)
        return err_set(err, ERR_CORRUPT, "vectors of %s have %u dimensions, the limit is %d",
                       sp->model, sp->dim, INDEX_DIM_MAX);
    enum err_code rc = store_vectors(s, sp, -1, look_at_vector, &bad, err);
    for (size_t i = 0; i < bad.n && rc == ERR_NONE; i++)
        rc = store_vector_drop(s, sp, bad.ids[i], err);
    found->n_vectors_dropped += (int64_t)bad.n;
    if (rc == ERR_NONE)
        rc = store_vectors_count(s, sp, &n, err);
    found->n_vectors += n;
    free(bad.ids);
    return rc;
}

static enum err_code mend_database(struct store *s, struct sidecar_spaces *spaces,
                                   struct library_checked *found, struct err *err)
{
    struct store_mended m = { 0 };
    enum err_code rc = store_begin(s, err);
    if (rc == ERR_NONE)
        rc = store_mend(s, &m, err);
    found->n_counts_mended = m.n_counts;
    found->n_vectors_dropped = m.n_vectors;
    for (size_t i = 0; i < spaces->n && rc == ERR_NONE; i++)
        rc = drop_bad_vectors(s, &spaces->items[i], found, err);
    return store_end(s, rc, err);
}

/* ---- files beside the database ---- */

static bool is_leftover(const char *name, const struct sidecar_spaces *spaces)
{
    if (strstr(name,
               ".tmp-")) /* a draft whose writer was killed; the lock says that none is at work */
        return str_starts(name, "vectors-");
    if (!str_starts(name, "vectors-") || !str_ends(name, ".i8"))
        return false;
    for (size_t i = 0; i < spaces->n; i++) {
        char ours[SIDECAR_NAME_MAX];
        sidecar_name(&spaces->items[i], ours);
        if (!strcmp(ours, name))
            return false;
    }
    return true;
}

static enum err_code remove_leftovers(const char *dir, const struct sidecar_spaces *spaces,
                                      struct library_checked *found, struct err *err)
{
    DIR *d = opendir(dir);
    if (!d)
        return err_set(err, ERR_IO, "%s: cannot look into it: %s", dir, strerror(errno));
    for (struct dirent *e; (e = readdir(d));)
        if (is_leftover(e->d_name, spaces) && !unlinkat(dirfd(d), e->d_name, 0))
            found->n_leftovers++;
    closedir(d);
    return ERR_NONE;
}

static enum err_code check(struct store *s, const char *dir, struct library_checked *found,
                           struct err *err)
{
    struct sidecar_spaces spaces = { 0 };
    struct store_counts c = { 0 };
    enum err_code rc = store_verify(s, err);
    if (rc == ERR_NONE)
        rc = sidecar_spaces(s, &spaces, err);
    if (rc == ERR_NONE)
        rc = mend_database(s, &spaces, found, err);
    sidecar_spaces_clear(&spaces); /* their sidecars may have lost their credit by that */
    if (rc == ERR_NONE)
        rc = sidecar_spaces(s, &spaces, err);
    for (size_t i = 0; i < spaces.n && rc == ERR_NONE; i++) {
        bool same = false;
        rc = sidecar_verify(s, dir, &spaces.items[i], &same, err);
        if (rc == ERR_NONE && !same) {
            rc = sidecar_write(s, dir, &spaces.items[i], err);
            found->n_sidecars_written += rc == ERR_NONE;
        }
    }
    if (rc == ERR_NONE)
        rc = remove_leftovers(dir, &spaces, found, err);
    if (rc == ERR_NONE)
        rc = store_count(s, &c, err);
    sidecar_spaces_clear(&spaces);
    found->n_photos = c.n_photos;
    found->whole = !found->n_counts_mended && !found->n_vectors_dropped &&
                   !found->n_sidecars_written && !found->n_leftovers;
    return rc;
}

enum err_code library_check(const char *dir, struct library_checked *found, struct err *err)
{
    struct store *s = NULL;
    *found = (struct library_checked){ 0 };
    enum err_code rc = upkeep_open(&s, dir, err);
    if (rc == ERR_NONE)
        rc = check(s, dir, found, err);
    store_close(s);
    return rc;
}
