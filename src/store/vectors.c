#include <stdlib.h>
#include <string.h>

#include "store/db.h"
#include "sys/clock.h"

static void take_space(sqlite3_stmt *st, struct store_space *out)
{
    const void *hash = sqlite3_column_blob(st, 1);
    const char *model = (const char *)sqlite3_column_text(st, 2);
    *out = (struct store_space){ .id = sqlite3_column_int64(st, 0),
                                 .dim = (uint32_t)sqlite3_column_int64(st, 3),
                                 .generation = sqlite3_column_int64(st, 4),
                                 .has_sidecar = sqlite3_column_type(st, 5) != SQLITE_NULL,
                                 .sidecar_generation = sqlite3_column_int64(st, 5),
                                 .sidecar_rows = sqlite3_column_int64(st, 6) };
    if (hash && sqlite3_column_bytes(st, 1) == HASH_BYTES)
        memcpy(out->hash, hash, HASH_BYTES);
    snprintf(out->model, sizeof out->model, "%s", model ? model : "");
}

enum err_code store_space_find(struct store *s, const uint8_t hash[HASH_BYTES],
                               struct store_space *out, struct err *err)
{
    sqlite3_stmt *st = store_stmt(s,
                                  "SELECT id, hash, model, dim, generation, sidecar_generation,"
                                  " sidecar_rows FROM space WHERE hash = ?1",
                                  err);
    if (!st)
        return ERR_INTERNAL;
    sqlite3_bind_blob(st, 1, hash, HASH_BYTES, SQLITE_STATIC);
    bool row;
    enum err_code rc = store_step(s, st, &row, "cannot look up the vector space", err);
    if (rc == ERR_NONE && !row)
        rc = err_set(err, ERR_NOT_FOUND, "%s: no vectors of this model", s->path);
    if (rc == ERR_NONE)
        take_space(st, out);
    sqlite3_reset(st);
    return rc;
}

enum err_code store_space_add(struct store *s, const uint8_t hash[HASH_BYTES], const char *model,
                              uint32_t dim, struct store_space *out, struct err *err)
{
    sqlite3_stmt *st = store_stmt(s,
                                  "INSERT INTO space (hash, model, dim) VALUES (?1, ?2, ?3)"
                                  " ON CONFLICT (hash) DO NOTHING",
                                  err);
    if (!st)
        return ERR_INTERNAL;
    sqlite3_bind_blob(st, 1, hash, HASH_BYTES, SQLITE_STATIC);
    sqlite3_bind_text(st, 2, model, -1, SQLITE_STATIC);
    sqlite3_bind_int64(st, 3, dim);
    enum err_code rc = store_run(s, st, "cannot add a vector space", err);
    if (rc == ERR_NONE)
        rc = store_space_find(s, hash, out, err);
    if (rc == ERR_NONE && out->dim != dim)
        rc = err_set(err, ERR_CORRUPT, "%s: vectors of %s have %u dimensions, the model gives %u",
                     s->path, model, out->dim, dim);
    return rc;
}

/* The time, so that no two libraries, nor a library and what a power cut took from it, have a
 * generation in common; one more where the clock was set back. */
enum err_code store_space_advance(struct store *s, struct store_space *space, struct err *err)
{
    int64_t now = clock_wall_ns(), next = now > space->generation ? now : space->generation + 1;
    sqlite3_stmt *st = store_stmt(s, "UPDATE space SET generation = ?2 WHERE id = ?1", err);
    if (!st)
        return ERR_INTERNAL;
    sqlite3_bind_int64(st, 1, space->id);
    sqlite3_bind_int64(st, 2, next);
    enum err_code rc = store_run(s, st, "cannot write", err);
    if (rc == ERR_NONE)
        space->generation = next;
    return rc;
}

enum err_code store_spaces(struct store *s, store_space_fn fn, void *ctx, struct err *err)
{
    sqlite3_stmt *st =
        store_stmt(s,
                   "SELECT id, hash, model, dim, generation, sidecar_generation,"
                   " sidecar_rows, (SELECT count(*) FROM vector INDEXED BY"
                   " vector_generation WHERE space_id = space.id) FROM space ORDER BY id",
                   err);
    if (!st)
        return ERR_INTERNAL;
    bool row;
    enum err_code rc;
    while ((rc = store_step(s, st, &row, "cannot read the vector spaces", err)) == ERR_NONE &&
           row) {
        struct store_space sp;
        take_space(st, &sp);
        if ((rc = fn(&sp, sqlite3_column_int64(st, 7), ctx, err)) != ERR_NONE)
            break;
    }
    sqlite3_reset(st);
    return rc;
}

enum err_code store_vector_put(struct store *s, const struct store_space *space, int64_t photo_id,
                               const uint16_t *v, struct err *err)
{
    sqlite3_stmt *st = store_stmt(s,
                                  "INSERT INTO vector (space_id, photo_id, generation, v)"
                                  " VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
                                  err);
    if (!st)
        return ERR_INTERNAL;
    sqlite3_bind_int64(st, 1, space->id);
    sqlite3_bind_int64(st, 2, photo_id);
    sqlite3_bind_int64(st, 3, space->generation);
    sqlite3_bind_blob64(st, 4, v, (sqlite3_uint64)space->dim * sizeof *v, SQLITE_STATIC);
    return store_run(s, st, "cannot add a vector", err);
}

enum err_code store_vector_drop(struct store *s, const struct store_space *space, int64_t photo_id,
                                struct err *err)
{
    sqlite3_stmt *st =
        store_stmt(s, "DELETE FROM vector WHERE space_id = ?1 AND photo_id = ?2", err);
    if (!st)
        return ERR_INTERNAL;
    sqlite3_bind_int64(st, 1, space->id);
    sqlite3_bind_int64(st, 2, photo_id);
    return store_run(s, st, "cannot remove a vector", err);
}

static sqlite3_stmt *vector_of(struct store *s, const struct store_space *space, int64_t photo_id,
                               struct err *err)
{
    sqlite3_stmt *st =
        store_stmt(s, "SELECT v FROM vector WHERE space_id = ?1 AND photo_id = ?2", err);
    if (st) {
        sqlite3_bind_int64(st, 1, space->id);
        sqlite3_bind_int64(st, 2, photo_id);
    }
    return st;
}

static enum err_code check_size(struct store *s, const struct store_space *space, int64_t photo_id,
                                sqlite3_stmt *st, struct err *err)
{
    int want = (int)(space->dim * sizeof(uint16_t)), got = sqlite3_column_bytes(st, 0);
    return got == want ? ERR_NONE
                       : err_set(err, ERR_CORRUPT, "%s: vector of photo %lld has %d bytes, not %d",
                                 s->path, (long long)photo_id, got, want);
}

enum err_code store_vector_get(struct store *s, const struct store_space *space, int64_t photo_id,
                               uint16_t *out, bool *found, struct err *err)
{
    sqlite3_stmt *st = vector_of(s, space, photo_id, err);
    if (!st)
        return ERR_INTERNAL;
    enum err_code rc = store_step(s, st, found, "cannot read a vector", err);
    if (rc == ERR_NONE && *found)
        rc = check_size(s, space, photo_id, st, err);
    if (rc == ERR_NONE && *found)
        memcpy(out, sqlite3_column_blob(st, 0), space->dim * sizeof *out);
    sqlite3_reset(st);
    return rc;
}

enum err_code store_vector_has(struct store *s, const struct store_space *space, int64_t photo_id,
                               bool *found, struct err *err)
{
    sqlite3_stmt *st = vector_of(s, space, photo_id, err);
    if (!st)
        return ERR_INTERNAL;
    enum err_code rc = store_step(s, st, found, "cannot look up a vector", err);
    sqlite3_reset(st);
    return rc;
}

/* The order comes from small columns alone, then each vector is fetched by its key: sorting rows
 * that carry their blobs would write gigabytes of temporary files for a large library. */
enum err_code store_vectors(struct store *s, const struct store_space *space,
                            int64_t after_generation, store_vector_fn fn, void *ctx,
                            struct err *err)
{
    sqlite3_stmt *st = store_stmt(s,
                                  "SELECT v.photo_id, p.taken_ns FROM vector v INDEXED BY"
                                  " vector_generation JOIN photo p ON p.id = v.photo_id"
                                  " WHERE v.space_id = ?1 AND v.generation > ?2"
                                  " ORDER BY p.taken_ns, v.photo_id",
                                  err);
    if (!st)
        return ERR_INTERNAL;
    sqlite3_bind_int64(st, 1, space->id);
    sqlite3_bind_int64(st, 2, after_generation);
    bool row;
    enum err_code rc;
    while ((rc = store_step(s, st, &row, "cannot read the vectors", err)) == ERR_NONE && row) {
        struct store_vector v = { .photo_id = sqlite3_column_int64(st, 0),
                                  .taken_ns = sqlite3_column_type(st, 1) == SQLITE_NULL
                                                  ? INT64_MIN
                                                  : sqlite3_column_int64(st, 1) };
        sqlite3_stmt *one = vector_of(s, space, v.photo_id, err);
        bool found = false;
        rc = one ? store_step(s, one, &found, "cannot read a vector", err) : ERR_INTERNAL;
        if (rc == ERR_NONE && found &&
            (rc = check_size(s, space, v.photo_id, one, err)) == ERR_NONE) {
            v.v = sqlite3_column_blob(one, 0);
            rc = fn(&v, ctx, err);
        }
        if (one)
            sqlite3_reset(one);
        if (rc != ERR_NONE)
            break;
    }
    sqlite3_reset(st);
    return rc;
}

enum err_code store_vectors_ids(struct store *s, const struct store_space *space, store_id_fn fn,
                                void *ctx, struct err *err)
{
    sqlite3_stmt *st = store_stmt(
        s, "SELECT photo_id FROM vector INDEXED BY vector_generation WHERE space_id = ?1", err);
    if (!st)
        return ERR_INTERNAL;
    sqlite3_bind_int64(st, 1, space->id);
    bool row;
    enum err_code rc;
    while ((rc = store_step(s, st, &row, "cannot read the vectors", err)) == ERR_NONE && row)
        if ((rc = fn(sqlite3_column_int64(st, 0), ctx, err)) != ERR_NONE)
            break;
    sqlite3_reset(st);
    return rc;
}

enum err_code store_vectors_count(struct store *s, const struct store_space *space, int64_t *n,
                                  struct err *err)
{
    sqlite3_stmt *st = store_stmt(
        s, "SELECT count(*) FROM vector INDEXED BY vector_generation WHERE space_id = ?1", err);
    if (!st)
        return ERR_INTERNAL;
    sqlite3_bind_int64(st, 1, space->id);
    bool row;
    enum err_code rc = store_step(s, st, &row, "cannot count the vectors", err);
    *n = rc == ERR_NONE ? sqlite3_column_int64(st, 0) : 0;
    sqlite3_reset(st);
    return rc;
}

enum err_code store_sidecar_set(struct store *s, struct store_space *space, int64_t generation,
                                int64_t rows, struct err *err)
{
    sqlite3_stmt *st = store_stmt(s,
                                  "UPDATE space SET sidecar_generation = ?2, sidecar_rows = ?3"
                                  " WHERE id = ?1",
                                  err);
    if (!st)
        return ERR_INTERNAL;
    sqlite3_bind_int64(st, 1, space->id);
    sqlite3_bind_int64(st, 2, generation);
    sqlite3_bind_int64(st, 3, rows);
    enum err_code rc = store_run(s, st, "cannot note the sidecar", err);
    if (rc == ERR_NONE) {
        space->has_sidecar = true;
        space->sidecar_generation = generation;
        space->sidecar_rows = rows;
    }
    return rc;
}
