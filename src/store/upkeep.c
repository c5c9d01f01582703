/* upkeep.c - is the database whole, and what can be made right or let go. */
#include <string.h>

#include "store/db.h"

/* The first row of a check that should have none but `good`. */
static enum err_code expect(struct store *s, const char *sql, const char *good, const char *what,
                            struct err *err)
{
    sqlite3_stmt *st = store_stmt(s, sql, err);
    if (!st)
        return ERR_INTERNAL;
    bool row;
    enum err_code rc = store_step(s, st, &row, "cannot check", err);
    const char *found = rc == ERR_NONE && row ? (const char *)sqlite3_column_text(st, 0) : NULL;
    if (rc == ERR_NONE && row && (!good || !found || strcmp(found, good) != 0))
        rc = err_set(err, ERR_CORRUPT, "%s: %s%s", s->path, what, found ? found : "?");
    sqlite3_reset(st);
    return rc;
}

enum err_code store_verify(struct store *s, struct err *err)
{
    enum err_code rc = expect(s, "PRAGMA integrity_check(1)", "ok", "", err);
    if (rc == ERR_NONE)
        rc =
            expect(s, "PRAGMA foreign_key_check", NULL, "a reference leads nowhere in table ", err);
    return rc;
}

static enum err_code change(struct store *s, const char *sql, int64_t *n, struct err *err)
{
    sqlite3_stmt *st = store_stmt(s, sql, err);
    if (!st)
        return ERR_INTERNAL;
    enum err_code rc = store_run(s, st, "cannot write", err);
    if (rc == ERR_NONE)
        *n = sqlite3_changes64(s->db);
    return rc;
}

enum err_code store_mend(struct store *s, struct store_mended *out, struct err *err)
{
    *out = (struct store_mended){ 0 };
    enum err_code rc =
        change(s,
               "UPDATE photo SET n_live = n.n FROM (SELECT p.id, count(f.id) AS n FROM"
               " photo p LEFT JOIN file f ON f.photo_id = p.id AND f.gone_ns IS NULL"
               " GROUP BY p.id) AS n WHERE n.id = photo.id AND n.n != n_live",
               &out->n_counts, err);
    if (rc == ERR_NONE)
        rc = change(s,
                    "DELETE FROM vector WHERE length(v) !="
                    " 2 * (SELECT dim FROM space WHERE id = space_id)",
                    &out->n_vectors, err);
    return rc;
}

enum err_code store_purge(struct store *s, struct store_purged *out, struct err *err)
{
    *out = (struct store_purged){ 0 };
    enum err_code rc = change(s, "DELETE FROM file WHERE gone_ns IS NOT NULL", &out->n_files, err);
    if (rc == ERR_NONE)
        rc = change(s,
                    "DELETE FROM photo WHERE NOT EXISTS"
                    " (SELECT 1 FROM file WHERE file.photo_id = photo.id)",
                    &out->n_photos, err);
    return rc;
}

enum err_code store_vacuum(struct store *s, struct err *err)
{
    return store_exec(s, "VACUUM; PRAGMA wal_checkpoint(TRUNCATE)", "cannot compact", err);
}
