#include <string.h>

#include "store/db.h"

enum err_code store_root_add(struct store *s, const char *path, int64_t now_ns, int64_t *id,
                             struct err *err)
{
    sqlite3_stmt *st = store_stmt(s,
                                  "INSERT INTO root (path, added_ns, seen_ns) VALUES (?1, ?2, ?2)"
                                  " ON CONFLICT (path) DO UPDATE SET path = path RETURNING id",
                                  err);
    if (!st)
        return ERR_INTERNAL;
    sqlite3_bind_blob64(st, 1, path, strlen(path), SQLITE_STATIC);
    sqlite3_bind_int64(st, 2, now_ns);
    bool row;
    enum err_code rc = store_step(s, st, &row, "cannot add a folder", err);
    if (rc == ERR_NONE)
        *id = sqlite3_column_int64(st, 0);
    sqlite3_reset(st);
    return rc;
}

enum err_code store_root_mark(struct store *s, int64_t id, const char *offline, int64_t now_ns,
                              struct err *err)
{
    sqlite3_stmt *st = store_stmt(s,
                                  "UPDATE root SET offline = ?2,"
                                  " seen_ns = CASE WHEN ?2 IS NULL THEN ?3 ELSE seen_ns END"
                                  " WHERE id = ?1",
                                  err);
    if (!st)
        return ERR_INTERNAL;
    sqlite3_bind_int64(st, 1, id);
    sqlite3_bind_text(st, 2, offline, -1, SQLITE_STATIC);
    sqlite3_bind_int64(st, 3, now_ns);
    return store_run(s, st, "cannot note a folder", err);
}

enum err_code store_root_remove(struct store *s, int64_t id, struct err *err)
{
    sqlite3_stmt *st = store_stmt(s, "DELETE FROM root WHERE id = ?1", err);
    if (!st)
        return ERR_INTERNAL;
    sqlite3_bind_int64(st, 1, id);
    return store_run(s, st, "cannot remove a folder", err);
}

enum err_code store_roots(struct store *s, store_root_fn fn, void *ctx, struct err *err)
{
    sqlite3_stmt *st =
        store_stmt(s, "SELECT id, seen_ns, path, offline FROM root ORDER BY id", err);
    if (!st)
        return ERR_INTERNAL;
    bool row;
    enum err_code rc;
    while ((rc = store_step(s, st, &row, "cannot read the folders", err)) == ERR_NONE && row) {
        struct store_root r = { .id = sqlite3_column_int64(st, 0),
                                .seen_ns = sqlite3_column_int64(st, 1) };
        rc = store_text_needed(s, st, 2, &r.path, err);
        if (rc == ERR_NONE)
            rc = store_text(s, st, 3, &r.offline, err);
        if (rc == ERR_NONE)
            rc = fn(&r, ctx, err);
        if (rc != ERR_NONE)
            break;
    }
    sqlite3_reset(st);
    return rc;
}

static enum err_code each_file(struct store *s, sqlite3_stmt *st, store_file_fn fn, void *ctx,
                               struct err *err)
{
    bool row;
    enum err_code rc;
    while ((rc = store_step(s, st, &row, "cannot read the files", err)) == ERR_NONE && row) {
        struct store_file f = { .id = sqlite3_column_int64(st, 0),
                                .root_id = sqlite3_column_int64(st, 1),
                                .size_bytes = sqlite3_column_int64(st, 2),
                                .mtime_ns = sqlite3_column_int64(st, 3),
                                .photo_id = sqlite3_column_int64(st, 4),
                                .retry = sqlite3_column_int(st, 5),
                                .gone_ns = sqlite3_column_int64(st, 6) };
        rc = store_text_needed(s, st, 7, &f.path, err);
        f.path_len = (size_t)sqlite3_column_bytes(st, 7);
        if (rc == ERR_NONE)
            rc = f.photo_id ? store_text(s, st, 8, &f.error, err)
                            : store_text_needed(s, st, 8, &f.error, err);
        if (rc == ERR_NONE)
            rc = fn(&f, ctx, err);
        if (rc != ERR_NONE)
            break;
    }
    sqlite3_reset(st);
    return rc;
}

enum err_code store_files(struct store *s, int64_t root_id, store_file_fn fn, void *ctx,
                          struct err *err)
{
    sqlite3_stmt *st = store_stmt(s,
                                  "SELECT id, root_id, size_bytes, mtime_ns, photo_id, retry,"
                                  " coalesce(gone_ns, 0), path, error"
                                  " FROM file WHERE root_id = ?1 ORDER BY path",
                                  err);
    if (!st)
        return ERR_INTERNAL;
    sqlite3_bind_int64(st, 1, root_id);
    return each_file(s, st, fn, ctx, err);
}

enum err_code store_failures(struct store *s, store_file_fn fn, void *ctx, struct err *err)
{
    sqlite3_stmt *st = store_stmt(
        s,
        "SELECT f.id, f.root_id, f.size_bytes, f.mtime_ns, f.photo_id, f.retry, 0,"
        " " STORE_ROOT_SLASH " || f.path, f.error FROM file f"
        " JOIN root r ON r.id = f.root_id WHERE f.error IS NOT NULL AND f.gone_ns IS NULL"
        " ORDER BY f.root_id, f.path",
        err);
    return st ? each_file(s, st, fn, ctx, err) : ERR_INTERNAL;
}

enum err_code store_file_put(struct store *s, const struct store_file *f, struct err *err)
{
    sqlite3_stmt *st = store_stmt(
        s,
        "INSERT INTO file (root_id, path, size_bytes, mtime_ns, photo_id, error, retry, gone_ns)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, nullif(?8, 0)) ON CONFLICT (root_id, path) DO UPDATE "
        "SET"
        " size_bytes = ?3, mtime_ns = ?4, photo_id = ?5, error = ?6, retry = ?7, gone_ns = "
        "nullif(?8, 0)",
        err);
    if (!st)
        return ERR_INTERNAL;
    sqlite3_bind_int64(st, 1, f->root_id);
    sqlite3_bind_blob64(st, 2, f->path, f->path_len, SQLITE_STATIC);
    sqlite3_bind_int64(st, 3, f->size_bytes);
    sqlite3_bind_int64(st, 4, f->mtime_ns);
    if (f->photo_id)
        sqlite3_bind_int64(st, 5, f->photo_id);
    sqlite3_bind_text(st, 6, f->error, -1, SQLITE_STATIC);
    sqlite3_bind_int(st, 7, f->retry);
    sqlite3_bind_int64(st, 8, f->gone_ns);
    return store_run(s, st, "cannot note a file", err);
}

enum err_code store_file_known(struct store *s, int64_t root_id, const char *path, size_t path_len,
                               bool *known, struct err *err)
{
    sqlite3_stmt *st = store_stmt(s, "SELECT 1 FROM file WHERE root_id = ?1 AND path = ?2", err);
    if (!st)
        return ERR_INTERNAL;
    sqlite3_bind_int64(st, 1, root_id);
    sqlite3_bind_blob64(st, 2, path, path_len, SQLITE_STATIC);
    enum err_code rc = store_step(s, st, known, "cannot look up a file", err);
    sqlite3_reset(st);
    return rc;
}

enum err_code store_file_gone(struct store *s, int64_t file_id, int64_t now_ns, struct err *err)
{
    sqlite3_stmt *st = store_stmt(s, "UPDATE file SET gone_ns = ?2 WHERE id = ?1", err);
    if (!st)
        return ERR_INTERNAL;
    sqlite3_bind_int64(st, 1, file_id);
    sqlite3_bind_int64(st, 2, now_ns);
    return store_run(s, st, "cannot note a file that has gone", err);
}

/* Every root that is a folder above the path is tried: one may lie inside another. */
enum err_code store_file_photo(struct store *s, const char *path, int64_t *photo_id,
                               struct err *err)
{
    *photo_id = 0;
    sqlite3_stmt *st =
        store_stmt(s,
                   "SELECT f.photo_id FROM (SELECT r.id, CAST(" STORE_ROOT_SLASH " AS BLOB) AS dir"
                   " FROM root r) AS r JOIN file f ON f.root_id = r.id"
                   " AND f.path = substr(?1, length(r.dir) + 1) WHERE f.photo_id IS NOT NULL"
                   " AND f.gone_ns IS NULL AND substr(?1, 1, length(r.dir)) = r.dir",
                   err);
    if (!st)
        return ERR_INTERNAL;
    sqlite3_bind_blob64(st, 1, path, strlen(path), SQLITE_STATIC);
    bool row;
    enum err_code rc = store_step(s, st, &row, "cannot look up a file", err);
    if (rc == ERR_NONE && row)
        *photo_id = sqlite3_column_int64(st, 0);
    sqlite3_reset(st);
    return rc;
}

enum err_code store_count(struct store *s, struct store_counts *out, struct err *err)
{
    sqlite3_stmt *st = store_stmt(s,
                                  "SELECT (SELECT count(*) FROM root), count(*),"
                                  " count(gone_ns), count(error) FILTER (WHERE gone_ns IS NULL),"
                                  " (SELECT count(*) FROM photo),"
                                  " (SELECT count(*) FROM photo WHERE n_live = 0) FROM file",
                                  err);
    if (!st)
        return ERR_INTERNAL;
    bool row;
    enum err_code rc = store_step(s, st, &row, "cannot count", err);
    if (rc == ERR_NONE)
        *out = (struct store_counts){ .n_roots = sqlite3_column_int64(st, 0),
                                      .n_files = sqlite3_column_int64(st, 1),
                                      .n_gone = sqlite3_column_int64(st, 2),
                                      .n_failed = sqlite3_column_int64(st, 3),
                                      .n_photos = sqlite3_column_int64(st, 4),
                                      .n_photos_dead = sqlite3_column_int64(st, 5) };
    sqlite3_reset(st);
    return rc;
}
