/* The schema brought up from an earlier version. This program has one step more than fovea has: its
 * own table of steps is linked in place of the built one. */
#include "tap.h"

#include <unistd.h>

#include <sqlite3.h>

#include "scratch.h"
#include "store/schema.h"
#include "store/store.h"
#include "sys/file.h"

const char *const store_schema_steps[] = {
    "CREATE TABLE photo (name TEXT NOT NULL) STRICT;",
    "CREATE TABLE later (name TEXT NOT NULL) STRICT; INSERT INTO later SELECT name FROM photo;",
};
const size_t store_n_schema_steps = 2;

/* In file `name` of the library; the first number that it gives, -1 where it fails. */
static int64_t ask(const char *name, const char *sql)
{
    char path[128];
    sqlite3 *db = NULL;
    sqlite3_stmt *st = NULL;
    int64_t n = -1;
    snprintf(path, sizeof path, "%s/%s", scratch, name);
    if (sqlite3_open(path, &db) == SQLITE_OK &&
        sqlite3_prepare_v2(db, sql, -1, &st, NULL) == SQLITE_OK && sqlite3_step(st) == SQLITE_ROW)
        n = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    sqlite3_close(db);
    return n;
}

static void change(const char *sql)
{
    char path[128];
    sqlite3 *db = NULL;
    snprintf(path, sizeof path, "%s/" STORE_DB_NAME, scratch);
    CHECK(sqlite3_open(path, &db) == SQLITE_OK &&
          sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK);
    sqlite3_close(db);
}

static const char backup[] = "library-schema-1.backup.db";

/* A library as the program before this one left it: one step, and a photo. */
static void make_older(void)
{
    struct store *s = NULL;
    scratch_make();
    REQUIRE(store_open(&s, scratch, STORE_WRITE, NULL) == ERR_NONE);
    store_close(s);
    change("DROP TABLE later; INSERT INTO photo VALUES ('cat'); PRAGMA user_version = 1");
}

static void a_reader_leaves_an_older_one_as_it_is(void)
{
    struct store *s = NULL;
    struct err e = { 0 };
    make_older();
    CHECK(store_open(&s, scratch, STORE_READ, &e) == ERR_UNSUPPORTED && !s);
    CHECK(strstr(e.msg, "older fovea") && strstr(e.msg, "fovea index"));
    CHECK(ask(STORE_DB_NAME, "PRAGMA user_version") == 1);
    scratch_remove();
}

static void a_writer_copies_it_and_brings_it_up(void)
{
    struct store *s = NULL;
    make_older();
    CHECK(store_open(&s, scratch, STORE_WRITE, NULL) == ERR_NONE);
    store_close(s);
    CHECK(ask(STORE_DB_NAME, "PRAGMA user_version") == 2);
    CHECK(ask(STORE_DB_NAME, "SELECT count(*) FROM later WHERE name = 'cat'") == 1);
    CHECK(ask(backup, "PRAGMA user_version") == 1);
    CHECK(ask(backup, "SELECT count(*) FROM photo") == 1 &&
          ask(backup, "SELECT count(*) FROM later") == -1);
    CHECK(store_open(&s, scratch, STORE_READ, NULL) == ERR_NONE);
    store_close(s);
    scratch_remove();
}

static void a_step_that_fails_changes_nothing(void)
{
    struct store *s = NULL;
    struct err e = { 0 };
    make_older();
    change("CREATE TABLE later (other TEXT)"); /* in the step's way */
    CHECK(store_open(&s, scratch, STORE_WRITE, &e) != ERR_NONE && !s);
    CHECK(strstr(e.msg, "bring the schema up"));
    CHECK(ask(STORE_DB_NAME, "PRAGMA user_version") == 1 &&
          ask(backup, "PRAGMA user_version") == 1);
    change("DROP TABLE later");
    CHECK(store_open(&s, scratch, STORE_WRITE, NULL) == ERR_NONE);
    store_close(s);
    CHECK(ask(STORE_DB_NAME, "SELECT count(*) FROM later") == 1);
    scratch_remove();
}

static void without_room_for_the_copy_nothing_is_changed(void)
{
    struct store *s = NULL;
    char path[128];
    make_older();
    snprintf(path, sizeof path, "%s/%s", scratch, backup);
    CHECK(symlink("/nonexistent/folder/copy", path) == 0);
    CHECK(store_open(&s, scratch, STORE_WRITE, NULL) != ERR_NONE && !s);
    CHECK(ask(STORE_DB_NAME, "PRAGMA user_version") == 1);
    scratch_remove();
}

static const struct tap_case cases[] = {
    CASE(a_reader_leaves_an_older_one_as_it_is),
    CASE(a_writer_copies_it_and_brings_it_up),
    CASE(a_step_that_fails_changes_nothing),
    CASE(without_room_for_the_copy_nothing_is_changed),
};
TAP_MAIN(cases)
