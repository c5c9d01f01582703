#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "store/db.h"
#include "sys/file.h"

enum { BUSY_MS = 10000 };

enum err_code store_fail(struct store *s, const char *what, struct err *err)
{
    int rc = s->db ? sqlite3_extended_errcode(s->db) : SQLITE_NOMEM;
    const char *why = s->db ? sqlite3_errmsg(s->db) : "out of memory";
    enum err_code code = ERR_IO;
    switch (rc & 0xff) {
    case SQLITE_NOMEM: code = ERR_NOMEM; break;
    case SQLITE_BUSY:
    case SQLITE_LOCKED: code = ERR_BUSY; break;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: code = ERR_CORRUPT; break;
    case SQLITE_CONSTRAINT:
    case SQLITE_MISUSE:
    case SQLITE_ERROR: code = ERR_INTERNAL; break;
    default: break;
    }
    return err_set(err, code, "%s: %s: %s", s->path, what, why);
}

sqlite3_stmt *store_stmt(struct store *s, const char *sql, struct err *err)
{
    for (size_t i = 0; i < s->n_stmts; i++)
        if (s->stmts[i].sql == sql) {
            sqlite3_reset(s->stmts[i].stmt);
            sqlite3_clear_bindings(s->stmts[i].stmt);
            return s->stmts[i].stmt;
        }
    if (s->n_stmts == STORE_STMT_MAX) {
        err_set(err, ERR_INTERNAL, "more than %d statements", STORE_STMT_MAX);
        return NULL;
    }
    sqlite3_stmt *st = NULL;
    if (sqlite3_prepare_v3(s->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &st, NULL) != SQLITE_OK) {
        store_fail(s, "cannot prepare a statement", err);
        return NULL;
    }
    s->stmts[s->n_stmts].sql = sql;
    s->stmts[s->n_stmts++].stmt = st;
    return st;
}

enum err_code store_step(struct store *s, sqlite3_stmt *st, bool *row, const char *what,
                         struct err *err)
{
    int rc = sqlite3_step(st);
    *row = rc == SQLITE_ROW;
    if (rc == SQLITE_ROW || rc == SQLITE_DONE)
        return ERR_NONE;
    enum err_code code = store_fail(s, what, err);
    sqlite3_reset(st);
    return code;
}

enum err_code store_run(struct store *s, sqlite3_stmt *st, const char *what, struct err *err)
{
    bool row;
    enum err_code rc = store_step(s, st, &row, what, err);
    sqlite3_reset(st);
    return rc;
}

enum err_code store_text(struct store *s, sqlite3_stmt *st, int column, const char **out,
                         struct err *err)
{
    bool none = sqlite3_column_type(st, column) == SQLITE_NULL;
    *out = none ? NULL : (const char *)sqlite3_column_text(st, column);
    return none || *out ? ERR_NONE : err_set(err, ERR_NOMEM, "%s: out of memory", s->path);
}

enum err_code store_text_needed(struct store *s, sqlite3_stmt *st, int column, const char **out,
                                struct err *err)
{
    enum err_code rc = store_text(s, st, column, out, err);
    return rc != ERR_NONE || *out ? rc
                                  : err_set(err, ERR_CORRUPT, "%s: %s is missing in a row", s->path,
                                            sqlite3_column_name(st, column));
}

enum err_code store_exec(struct store *s, const char *sql, const char *what, struct err *err)
{
    return sqlite3_exec(s->db, sql, NULL, NULL, NULL) == SQLITE_OK ? ERR_NONE
                                                                   : store_fail(s, what, err);
}

/* A WAL database cannot be opened where its -shm file cannot be made. A library on read-only media
 * is then opened as immutable, which is right when no -wal holds newer pages. */
static enum err_code open_read(struct store *s, const char *dir, struct err *err)
{
    if (store_lock_probe(dir, err) != ERR_NONE)
        return ERR_IO;
    /* The wait is for a writer that ends, or another reader that recovers what a killed one left.
     */
    if (sqlite3_open_v2(s->path, &s->db, SQLITE_OPEN_READONLY, NULL) == SQLITE_OK &&
        sqlite3_busy_timeout(s->db, BUSY_MS) == SQLITE_OK &&
        sqlite3_exec(s->db, "SELECT 1 FROM sqlite_schema", NULL, NULL, NULL) == SQLITE_OK)
        return ERR_NONE;
    int rc = s->db ? sqlite3_errcode(s->db) : SQLITE_NOMEM;
    /* Before a library is in WAL mode, at its very making, only a writer can roll back. */
    if (s->db && sqlite3_extended_errcode(s->db) == SQLITE_READONLY_ROLLBACK)
        return err_set(err, ERR_NOT_FOUND,
                       "%s: the run that made it was cut short: `fovea index FOLDER` goes on",
                       s->path);
    char *wal = str_format("%s-wal", s->path);
    char *uri = sqlite3_mprintf("file:%w?immutable=1", s->path);
    bool immutable = wal && uri && !strpbrk(s->path, "?#%") &&
                     (rc == SQLITE_CANTOPEN || rc == SQLITE_READONLY) && !file_exists(wal);
    enum err_code code = ERR_NONE;
    if (!immutable) {
        code = store_fail(s, "cannot open the library", err);
    } else {
        sqlite3_close(s->db);
        if (sqlite3_open_v2(uri, &s->db, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, NULL) != SQLITE_OK)
            code = store_fail(s, "cannot open the library", err);
    }
    free(wal);
    sqlite3_free(uri);
    return code;
}

static enum err_code open_write(struct store *s, const char *dir, struct err *err)
{
    enum err_code rc = file_make_dirs(dir, err);
    if (rc == ERR_NONE)
        rc = store_lock_take(dir, &s->lock_fd, err);
    if (rc == ERR_NONE)
        rc = store_lock_probe(dir, err);
    if (rc != ERR_NONE)
        return rc;
    if (sqlite3_open_v2(s->path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL))
        return store_fail(s, "cannot open the library", err);
    sqlite3_busy_timeout(s->db, BUSY_MS);
    /* WAL with NORMAL: a power cut may take back the last commits, never part of one, and what it
     * takes back the next run computes again. WAL needs memory that all processes share, which a
     * network file system has not: there a rollback journal, with every commit synced. */
    return store_exec(s,
                      file_is_remote(dir)
                          ? "PRAGMA journal_mode = DELETE; PRAGMA synchronous = FULL"
                          : "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL",
                      "cannot open the library", err);
}

enum err_code store_open(struct store **out, const char *dir, enum store_mode mode, struct err *err)
{
    *out = NULL;
    struct store *s = calloc(1, sizeof *s);
    char *path = str_format("%s/" STORE_DB_NAME, dir);
    if (!s || !path) {
        free(s);
        free(path);
        return err_set(err, ERR_NOMEM, "library %s", dir);
    }
    s->path = path;
    s->lock_fd = -1;
    enum err_code rc;
    if (mode == STORE_READ && !file_exists(path))
        rc = err_set(err, ERR_NOT_FOUND, "no library in %s: `fovea index FOLDER` makes one", dir);
    else if (mode == STORE_READ)
        rc = open_read(s, dir, err);
    else
        rc = open_write(s, dir, err);
    if (rc == ERR_NONE) {
        sqlite3_busy_timeout(s->db, BUSY_MS);
        rc = store_exec(s, "PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF",
                        "cannot open the library", err);
    }
    if (rc == ERR_NONE)
        rc = store_schema_check(s, mode == STORE_WRITE, dir, err);
    if (rc != ERR_NONE) {
        store_close(s);
        return rc;
    }
    *out = s;
    return ERR_NONE;
}

void store_close(struct store *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->n_stmts; i++)
        sqlite3_finalize(s->stmts[i].stmt);
    sqlite3_close(s->db);
    if (s->lock_fd >= 0)
        close(s->lock_fd);
    free(s->path);
    free(s);
}

enum err_code store_begin(struct store *s, struct err *err)
{
    return store_exec(s, "BEGIN IMMEDIATE", "cannot begin to write", err);
}

enum err_code store_commit(struct store *s, struct err *err)
{
    return store_exec(s, "COMMIT", "cannot write", err);
}

void store_rollback(struct store *s)
{
    if (!sqlite3_get_autocommit(s->db))
        sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
}

enum err_code store_end(struct store *s, enum err_code rc, struct err *err)
{
    if (rc == ERR_NONE)
        rc = store_commit(s, err);
    if (rc != ERR_NONE)
        store_rollback(s);
    return rc;
}

enum err_code store_snapshot_begin(struct store *s, struct err *err)
{
    return store_exec(s, "BEGIN", "cannot begin to read", err);
}

void store_snapshot_end(struct store *s)
{
    store_rollback(s);
}
