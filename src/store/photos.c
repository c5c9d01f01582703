#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "store/db.h"

enum err_code store_photo_find(struct store *s, const uint8_t content[HASH_BYTES], int64_t *id,
                               struct err *err)
{
    *id = 0;
    sqlite3_stmt *st = store_stmt(s, "SELECT id FROM photo WHERE content = ?1", err);
    if (!st)
        return ERR_INTERNAL;
    sqlite3_bind_blob(st, 1, content, HASH_BYTES, SQLITE_STATIC);
    bool row;
    enum err_code rc = store_step(s, st, &row, "cannot look up a photo", err);
    if (rc == ERR_NONE && row)
        *id = sqlite3_column_int64(st, 0);
    sqlite3_reset(st);
    return rc;
}

/* Columns: id, content, size_bytes, format, width_px, height_px, taken_ns, latitude, longitude,
 * camera. */
static enum err_code take_photo(struct store *s, sqlite3_stmt *st, struct store_photo *p,
                                struct err *err)
{
    const void *content = sqlite3_column_blob(st, 1);
    *p = (struct store_photo){ .size_bytes = sqlite3_column_int64(st, 2),
                               .width_px = (uint32_t)sqlite3_column_int64(st, 4),
                               .height_px = (uint32_t)sqlite3_column_int64(st, 5),
                               .has_taken = sqlite3_column_type(st, 6) != SQLITE_NULL,
                               .has_place = sqlite3_column_type(st, 7) != SQLITE_NULL,
                               .taken_ns = sqlite3_column_int64(st, 6),
                               .latitude = sqlite3_column_double(st, 7),
                               .longitude = sqlite3_column_double(st, 8) };
    if (content && sqlite3_column_bytes(st, 1) == HASH_BYTES)
        memcpy(p->content, content, HASH_BYTES);
    enum err_code rc = store_text_needed(s, st, 3, &p->format, err);
    return rc == ERR_NONE ? store_text(s, st, 9, &p->camera, err) : rc;
}

enum err_code store_photos(struct store *s, store_photo_fn fn, void *ctx, struct err *err)
{
    sqlite3_stmt *st = store_stmt(s,
                                  "SELECT id, content, size_bytes, format, width_px, height_px,"
                                  " taken_ns, latitude, longitude, camera FROM photo ORDER BY id",
                                  err);
    if (!st)
        return ERR_INTERNAL;
    bool row;
    enum err_code rc;
    while ((rc = store_step(s, st, &row, "cannot read the photos", err)) == ERR_NONE && row) {
        struct store_photo p;
        rc = take_photo(s, st, &p, err);
        if (rc == ERR_NONE)
            rc = fn(sqlite3_column_int64(st, 0), &p, ctx, err);
        if (rc != ERR_NONE)
            break;
    }
    sqlite3_reset(st);
    return rc;
}

enum err_code store_photo_content(struct store *s, int64_t id, uint8_t out[HASH_BYTES],
                                  struct err *err)
{
    sqlite3_stmt *st = store_stmt(s, "SELECT content FROM photo WHERE id = ?1", err);
    if (!st)
        return ERR_INTERNAL;
    sqlite3_bind_int64(st, 1, id);
    bool row;
    enum err_code rc = store_step(s, st, &row, "cannot look up a photo", err);
    const void *content = rc == ERR_NONE && row ? sqlite3_column_blob(st, 0) : NULL;
    if (rc == ERR_NONE && (!content || sqlite3_column_bytes(st, 0) != HASH_BYTES))
        rc = err_set(err, ERR_NOT_FOUND, "%s: no photo %lld", s->path, (long long)id);
    if (rc == ERR_NONE)
        memcpy(out, content, HASH_BYTES);
    sqlite3_reset(st);
    return rc;
}

enum err_code store_photo_add(struct store *s, const struct store_photo *p, int64_t *id,
                              struct err *err)
{
    sqlite3_stmt *st =
        store_stmt(s,
                   "INSERT INTO photo (content, size_bytes, format, width_px, height_px,"
                   " taken_ns, latitude, longitude, camera)"
                   " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
                   err);
    if (!st)
        return ERR_INTERNAL;
    sqlite3_bind_blob(st, 1, p->content, HASH_BYTES, SQLITE_STATIC);
    sqlite3_bind_int64(st, 2, p->size_bytes);
    sqlite3_bind_text(st, 3, p->format, -1, SQLITE_STATIC);
    sqlite3_bind_int64(st, 4, p->width_px);
    sqlite3_bind_int64(st, 5, p->height_px);
    if (p->has_taken)
        sqlite3_bind_int64(st, 6, p->taken_ns);
    if (p->has_place) {
        sqlite3_bind_double(st, 7, p->latitude);
        sqlite3_bind_double(st, 8, p->longitude);
    }
    sqlite3_bind_text(st, 9, p->camera, -1, SQLITE_STATIC);
    enum err_code rc = store_run(s, st, "cannot add a photo", err);
    if (rc == ERR_NONE)
        *id = sqlite3_last_insert_rowid(s->db);
    return rc;
}

enum err_code store_photo_path(struct store *s, int64_t id, char **path, struct err *err)
{
    *path = NULL;
    sqlite3_stmt *st =
        store_stmt(s,
                   "SELECT " STORE_ROOT_SLASH " || f.path FROM file f"
                   " JOIN root r ON r.id = f.root_id WHERE f.photo_id = ?1"
                   " ORDER BY f.gone_ns IS NOT NULL, r.offline IS NOT NULL, f.id LIMIT 1",
                   err);
    if (!st)
        return ERR_INTERNAL;
    sqlite3_bind_int64(st, 1, id);
    bool row;
    enum err_code rc = store_step(s, st, &row, "cannot look up a photo", err);
    if (rc == ERR_NONE && !row)
        rc = err_set(err, ERR_NOT_FOUND, "%s: no photo %lld", s->path, (long long)id);
    const char *text = "";
    if (rc == ERR_NONE)
        rc = store_text(s, st, 0, &text, err);
    if (rc == ERR_NONE && !(*path = str_ndup(text, (size_t)sqlite3_column_bytes(st, 0))))
        rc = err_set(err, ERR_NOMEM, "path of photo %lld", (long long)id);
    sqlite3_reset(st);
    return rc;
}

enum err_code store_photos_dead(struct store *s, store_id_fn fn, void *ctx, struct err *err)
{
    sqlite3_stmt *st = store_stmt(s, "SELECT id FROM photo WHERE n_live = 0 ORDER BY id", err);
    if (!st)
        return ERR_INTERNAL;
    bool row;
    enum err_code rc;
    while ((rc = store_step(s, st, &row, "cannot read the photos", err)) == ERR_NONE && row)
        if ((rc = fn(sqlite3_column_int64(st, 0), ctx, err)) != ERR_NONE)
            break;
    sqlite3_reset(st);
    return rc;
}
