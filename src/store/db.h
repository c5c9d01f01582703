/* db.h - what the files of store/ share: the connection, its statements, SQLite's errors as ours.
 */
#ifndef FOVEA_STORE_DB_H
#define FOVEA_STORE_DB_H

#include <sqlite3.h>

#include "store/store.h"

enum { STORE_STMT_MAX = 48 };

struct store {
    sqlite3 *db;
    char *path;  /* of the database, for messages */
    int lock_fd; /* library.lock, -1 for a reader */
    size_t n_stmts;
    struct {
        const char *sql;
        sqlite3_stmt *stmt;
    } stmts[STORE_STMT_MAX]; /* prepared once, found by the literal's address */
};

/* What SQLite says of the last failed call, with the file's name. */
enum err_code store_fail(struct store *s, const char *what, struct err *err);

/* A statement from a string literal, reset and unbound; NULL with err set. */
sqlite3_stmt *store_stmt(struct store *s, const char *sql, struct err *err);
/* Run to the end a statement that gives no rows, then reset it. */
enum err_code store_run(struct store *s, sqlite3_stmt *st, const char *what, struct err *err);
/* One row into *row, or none. The caller resets. */
enum err_code store_step(struct store *s, sqlite3_stmt *st, bool *row, const char *what,
                         struct err *err);
/* A column of the row: text or bytes with a NUL after them, valid until the next step; NULL for
 * NULL. Adding the NUL takes memory, so it can be ERR_NOMEM. */
enum err_code store_text(struct store *s, sqlite3_stmt *st, int column, const char **out,
                         struct err *err);
/* As store_text(), of what cannot be NULL unless somebody else wrote it: ERR_CORRUPT then. */
enum err_code store_text_needed(struct store *s, sqlite3_stmt *st, int column, const char **out,
                                struct err *err);
enum err_code store_exec(struct store *s, const char *sql, const char *what, struct err *err);

/* In SQL, root r's path as it stands before those of its files. Only that of "/" ends in a slash.
 */
#define STORE_ROOT_SLASH "rtrim(r.path, '/') || '/'"

/* schema.c: bring the database up to what this program knows. */
enum err_code store_schema_check(struct store *s, bool may_write, const char *dir, struct err *err);

/* lock.c: the writer's lock; *fd to be closed to give it back. */
enum err_code store_lock_take(const char *dir, int *fd, struct err *err);
/* Fails where the library's disk gives no locks, which SQLite takes for a lock of somebody else's
 * and waits for. */
enum err_code store_lock_probe(const char *dir, struct err *err);

#endif
