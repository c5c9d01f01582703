/* schema.c - numbered steps from schema/NNNN_*.sql, built in as store_schema_steps[]. The database
 * says in PRAGMA user_version how many it has had. An older one is copied aside before it is
 * changed; a newer one is refused, since its meaning is not known here. */
#include "store/schema.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "store/db.h"
#include "sys/file.h"

enum { APPLICATION_ID = 0x666f7665 }; /* "fove": so that file(1) and we know our own */

static enum err_code pragma(struct store *s, const char *sql, int64_t *out, struct err *err)
{
    sqlite3_stmt *st = NULL;
    if (sqlite3_prepare_v2(s->db, sql, -1, &st, NULL) != SQLITE_OK)
        return store_fail(s, "cannot read the library", err);
    bool row;
    enum err_code rc = store_step(s, st, &row, "cannot read the library", err);
    *out = row ? sqlite3_column_int64(st, 0) : 0;
    sqlite3_finalize(st);
    return rc;
}

/* VACUUM INTO gives a whole, checked copy even while readers are at work. */
static enum err_code back_up(struct store *s, const char *dir, int64_t version, struct err *err)
{
    char *to = str_format("%s/library-schema-%lld.backup.db", dir, (long long)version);
    char *sql = to ? sqlite3_mprintf("VACUUM INTO %Q", to) : NULL;
    enum err_code rc = ERR_NONE;
    if (!sql)
        rc = err_set(err, ERR_NOMEM, "backup of %s", s->path);
    else if (!file_exists(to)) /* from a step that failed: that copy is the one to keep */
        rc = store_exec(s, sql, "cannot make a backup before the schema is brought up", err);
    sqlite3_free(sql);
    free(to);
    return rc;
}

static enum err_code apply(struct store *s, int64_t from, struct err *err)
{
    enum err_code rc = store_begin(s, err);
    for (size_t i = (size_t)from; i < store_n_schema_steps && rc == ERR_NONE; i++)
        rc = store_exec(s, store_schema_steps[i], "cannot bring the schema up", err);
    char sql[128];
    snprintf(sql, sizeof sql, "PRAGMA user_version = %zu; PRAGMA application_id = %d",
             store_n_schema_steps, APPLICATION_ID);
    if (rc == ERR_NONE)
        rc = store_exec(s, sql, "cannot bring the schema up", err);
    return store_end(s, rc, err);
}

enum err_code store_schema_check(struct store *s, bool may_write, const char *dir, struct err *err)
{
    int64_t version = 0, id = 0, n_objects = 0;
    enum err_code rc = pragma(s, "PRAGMA user_version", &version, err);
    if (rc == ERR_NONE)
        rc = pragma(s, "PRAGMA application_id", &id, err);
    if (rc == ERR_NONE)
        rc = pragma(s, "SELECT count(*) FROM sqlite_schema", &n_objects, err);
    if (rc != ERR_NONE)
        return rc;
    bool fresh = version == 0 && n_objects == 0;
    if (!fresh && id != APPLICATION_ID)
        return err_set(err, ERR_CORRUPT, "%s: a database, but not of fovea", s->path);
    if (version > (int64_t)store_n_schema_steps)
        return err_set(err, ERR_UNSUPPORTED,
                       "%s: made by a newer fovea (schema %lld, this program knows %zu); "
                       "use that one or another --library",
                       s->path, (long long)version, store_n_schema_steps);
    if (version == (int64_t)store_n_schema_steps)
        return ERR_NONE;
    if (!may_write && fresh) /* a run that was cut short before it made anything */
        return err_set(err, ERR_NOT_FOUND,
                       "library %s has no photos yet: `fovea index FOLDER` adds some", dir);
    if (!may_write)
        return err_set(
            err, ERR_UNSUPPORTED,
            "%s: made by an older fovea (schema %lld of %zu); `fovea index` brings it up", s->path,
            (long long)version, store_n_schema_steps);
    if (!fresh && (rc = back_up(s, dir, version, err)) != ERR_NONE)
        return rc;
    return apply(s, version, err);
}
