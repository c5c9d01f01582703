/* The store: what goes in comes out, one writer, schemas old and new, files that are no library. */
#include "tap.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sqlite3.h>

#include "scratch.h"
#include "store/store.h"
#include "sys/file.h"

static void db_exec(const char *sql)
{
    char path[96];
    sqlite3 *db = NULL;
    snprintf(path, sizeof path, "%s/" STORE_DB_NAME, scratch);
    CHECK(sqlite3_open(path, &db) == SQLITE_OK &&
          sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK);
    sqlite3_close(db);
}

static int64_t add_photo(struct store *s, uint8_t first, int64_t taken_ns)
{
    struct store_photo p = { .content = { first },
                             .size_bytes = 10,
                             .format = "jpeg",
                             .width_px = 4,
                             .height_px = 3,
                             .has_taken = taken_ns != 0,
                             .taken_ns = taken_ns };
    int64_t id = 0;
    CHECK(store_photo_add(s, &p, &id, NULL) == ERR_NONE && id > 0);
    return id;
}

static enum err_code count_file(const struct store_file *f, void *ctx, struct err *err)
{
    (void)err;
    int *n = ctx;
    ++*n;
    CHECK(f->path_len == strlen(f->path));
    return ERR_NONE;
}

static enum err_code count_id(int64_t id, void *ctx, struct err *err)
{
    (void)err;
    *(int64_t *)ctx += id;
    return ERR_NONE;
}

static void files_photos_and_tombstones(void)
{
    struct store *s = NULL;
    struct err e = { 0 };
    scratch_make();
    REQUIRE(store_open(&s, scratch, STORE_WRITE, &e) == ERR_NONE);
    CHECK(store_begin(s, &e) == ERR_NONE);
    int64_t root = 0, again = 0, photo = add_photo(s, 1, 5), found = -1;
    CHECK(store_root_add(s, "/photos", 7, &root, &e) == ERR_NONE);
    CHECK(store_root_add(s, "/photos", 8, &again, &e) == ERR_NONE && again == root);
    static const char odd[] = "a\n\xff.jpg"; /* any bytes but NUL and '/' */
    struct store_file f = { .root_id = root,
                            .size_bytes = 10,
                            .mtime_ns = 3,
                            .photo_id = photo,
                            .path = odd,
                            .path_len = sizeof odd - 1 };
    CHECK(store_file_put(s, &f, &e) == ERR_NONE);
    f.path = "copy.jpg", f.path_len = 8;
    CHECK(store_file_put(s, &f, &e) == ERR_NONE);
    f.path = "bad.jpg", f.path_len = 7, f.photo_id = 0, f.error = "it is broken";
    CHECK(store_file_put(s, &f, &e) == ERR_NONE);
    CHECK(store_commit(s, &e) == ERR_NONE);

    int n = 0;
    CHECK(store_files(s, root, count_file, &n, &e) == ERR_NONE && n == 3);
    n = 0;
    CHECK(store_failures(s, count_file, &n, &e) == ERR_NONE && n == 1);
    CHECK(store_file_photo(s, "/photos/a\n\xff.jpg", &found, &e) == ERR_NONE && found == photo);
    CHECK(store_file_photo(s, "/photos/none.jpg", &found, &e) == ERR_NONE && found == 0);
    CHECK(store_file_photo(s, "/photo", &found, &e) == ERR_NONE && found == 0);
    CHECK(store_photo_find(s, (uint8_t[HASH_BYTES]){ 1 }, &found, &e) == ERR_NONE &&
          found == photo);

    int64_t dead = 0;
    char *path = NULL;
    CHECK(store_begin(s, &e) == ERR_NONE && store_file_gone(s, 1, 9, &e) == ERR_NONE);
    CHECK(store_photos_dead(s, count_id, &dead, &e) == ERR_NONE && dead == 0);
    CHECK(store_photo_path(s, photo, &path, &e) == ERR_NONE);
    CHECK_STR(path, "/photos/copy.jpg");
    free(path);
    CHECK(store_file_gone(s, 2, 9, &e) == ERR_NONE && store_commit(s, &e) == ERR_NONE);
    CHECK(store_photos_dead(s, count_id, &dead, &e) == ERR_NONE && dead == photo);
    struct store_counts c;
    CHECK(store_count(s, &c, &e) == ERR_NONE);
    CHECK(c.n_roots == 1 && c.n_files == 3 && c.n_gone == 2 && c.n_failed == 1 && c.n_photos == 1 &&
          c.n_photos_dead == 1);
    CHECK(store_verify(s, &e) == ERR_NONE);
    store_close(s);
    scratch_remove();
}

static enum err_code note_path(const struct store_file *f, void *ctx, struct err *err)
{
    (void)err;
    snprintf(ctx, 64, "%s", f->path);
    return ERR_NONE;
}

static void files_of_the_root_folder(void)
{
    struct store *s = NULL;
    int64_t root = 0, found = 0;
    char failed[64] = "", *path = NULL;
    scratch_make();
    REQUIRE(store_open(&s, scratch, STORE_WRITE, NULL) == ERR_NONE);
    CHECK(store_begin(s, NULL) == ERR_NONE);
    int64_t photo = add_photo(s, 1, 5);
    CHECK(store_root_add(s, "/", 7, &root, NULL) == ERR_NONE);
    struct store_file f = { .root_id = root, .photo_id = photo, .path = "a/b.jpg", .path_len = 7 };
    CHECK(store_file_put(s, &f, NULL) == ERR_NONE);
    f = (struct store_file){ .root_id = root, .error = "bad", .path = "c.jpg", .path_len = 5 };
    CHECK(store_file_put(s, &f, NULL) == ERR_NONE && store_commit(s, NULL) == ERR_NONE);

    CHECK(store_file_photo(s, "/a/b.jpg", &found, NULL) == ERR_NONE && found == photo);
    CHECK(store_file_photo(s, "a/b.jpg", &found, NULL) == ERR_NONE && found == 0);
    CHECK(store_photo_path(s, photo, &path, NULL) == ERR_NONE);
    CHECK_STR(path, "/a/b.jpg");
    CHECK(store_failures(s, note_path, failed, NULL) == ERR_NONE);
    CHECK_STR(failed, "/c.jpg");
    free(path);
    store_close(s);
    scratch_remove();
}

struct dates {
    int64_t ids[8];
    int n;
};

static enum err_code note_vector(const struct store_vector *v, void *ctx, struct err *err)
{
    (void)err;
    struct dates *d = ctx;
    CHECK(v->v[0] == 0x3c00);
    d->ids[d->n++] = v->photo_id;
    return ERR_NONE;
}

static void vectors_by_date_and_generation(void)
{
    struct store *s = NULL;
    struct err e = { 0 };
    struct store_space sp, other;
    scratch_make();
    REQUIRE(store_open(&s, scratch, STORE_WRITE, &e) == ERR_NONE);
    CHECK(store_begin(s, &e) == ERR_NONE);
    CHECK(store_space_add(s, (uint8_t[HASH_BYTES]){ 9 }, "m", 2, &sp, &e) == ERR_NONE);
    CHECK(store_space_add(s, (uint8_t[HASH_BYTES]){ 9 }, "m", 3, &other, &e) == ERR_CORRUPT);
    static const uint16_t v[2] = { 0x3c00, 0 };
    int64_t late = add_photo(s, 1, 50), early = add_photo(s, 2, 20), unknown = add_photo(s, 3, 0);
    CHECK(store_space_advance(s, &sp, &e) == ERR_NONE && sp.generation > 0);
    int64_t first = sp.generation;
    CHECK(store_vector_put(s, &sp, late, v, &e) == ERR_NONE);
    CHECK(store_vector_put(s, &sp, early, v, &e) == ERR_NONE);
    CHECK(store_space_advance(s, &sp, &e) == ERR_NONE);
    CHECK(store_vector_put(s, &sp, unknown, v, &e) == ERR_NONE);
    CHECK(store_sidecar_set(s, &sp, first, 2, &e) == ERR_NONE);
    CHECK(store_commit(s, &e) == ERR_NONE);
    struct dates d = { 0 };
    CHECK(store_vectors(s, &sp, -1, note_vector, &d, &e) == ERR_NONE && d.n == 3);
    CHECK(d.ids[0] == unknown && d.ids[1] == early && d.ids[2] == late);
    d.n = 0;
    CHECK(store_vectors(s, &sp, first, note_vector, &d, &e) == ERR_NONE && d.n == 1 &&
          d.ids[0] == unknown);
    uint16_t got[2];
    bool found = false;
    CHECK(store_vector_get(s, &sp, early, got, &found, &e) == ERR_NONE && found &&
          got[0] == 0x3c00);
    CHECK(store_vector_has(s, &sp, 99, &found, &e) == ERR_NONE && !found);
    CHECK(store_space_find(s, sp.hash, &other, &e) == ERR_NONE && other.has_sidecar &&
          other.sidecar_rows == 2 && other.generation > first);
    CHECK(store_space_find(s, (uint8_t[HASH_BYTES]){ 8 }, &other, &e) == ERR_NOT_FOUND);
    store_close(s);
    /* A removed vector takes the sidecar's credit with it. */
    db_exec("DELETE FROM vector WHERE photo_id = 1");
    REQUIRE(store_open(&s, scratch, STORE_READ, NULL) == ERR_NONE);
    CHECK(store_space_find(s, sp.hash, &other, NULL) == ERR_NONE && !other.has_sidecar);
    store_close(s);
    scratch_remove();
}

static void one_writer_many_readers(void)
{
    struct store *w = NULL, *w2 = NULL, *r = NULL;
    struct err e = { 0 };
    scratch_make();
    CHECK(store_open(&r, scratch, STORE_READ, &e) == ERR_NOT_FOUND && strstr(e.msg, "fovea index"));
    REQUIRE(store_open(&w, scratch, STORE_WRITE, NULL) == ERR_NONE);
    e.code = ERR_NONE;
    char pid[32];
    snprintf(pid, sizeof pid, "process %ld", (long)getpid());
    CHECK(store_open(&w2, scratch, STORE_WRITE, &e) == ERR_BUSY && strstr(e.msg, pid));
    CHECK(store_begin(w, NULL) == ERR_NONE);
    add_photo(w, 1, 0);
    REQUIRE(store_open(&r, scratch, STORE_READ, NULL) == ERR_NONE);
    struct store_counts c;
    CHECK(store_count(r, &c, NULL) == ERR_NONE && c.n_photos == 0);
    CHECK(store_commit(w, NULL) == ERR_NONE);
    CHECK(store_count(r, &c, NULL) == ERR_NONE && c.n_photos == 1);
    int64_t id;
    CHECK(store_root_add(r, "/x", 1, &id, NULL) != ERR_NONE); /* a reader cannot write */
    store_close(r);
    store_close(w);
    REQUIRE(store_open(&w, scratch, STORE_WRITE, NULL) == ERR_NONE);
    CHECK(store_begin(w, NULL) == ERR_NONE);
    add_photo(w, 2, 0);
    store_close(w); /* and what was not committed is gone */
    REQUIRE(store_open(&r, scratch, STORE_READ, NULL) == ERR_NONE);
    CHECK(store_count(r, &c, NULL) == ERR_NONE && c.n_photos == 1);
    store_close(r);
    scratch_remove();
}

static void newer_foreign_and_garbage_are_refused(void)
{
    struct store *s = NULL;
    struct err e = { 0 };
    char path[96];
    scratch_make();
    REQUIRE(store_open(&s, scratch, STORE_WRITE, NULL) == ERR_NONE);
    store_close(s);
    db_exec("PRAGMA user_version = 999");
    for (int mode = STORE_READ; mode <= STORE_WRITE; mode++) {
        e.code = ERR_NONE;
        CHECK(store_open(&s, scratch, (enum store_mode)mode, &e) == ERR_UNSUPPORTED && !s);
        CHECK(strstr(e.msg, "newer fovea") && strstr(e.msg, scratch));
    }
    db_exec("PRAGMA user_version = 1; PRAGMA application_id = 7");
    CHECK(store_open(&s, scratch, STORE_WRITE, NULL) == ERR_CORRUPT && !s);
    snprintf(path, sizeof path, "%s/" STORE_DB_NAME, scratch);
    char junk[4096];
    memset(junk, 'x', sizeof junk);
    CHECK(file_replace(path, junk, sizeof junk, NULL) == ERR_NONE);
    e.code = ERR_NONE;
    CHECK(store_open(&s, scratch, STORE_READ, &e) == ERR_CORRUPT && strstr(e.msg, scratch));
    CHECK(store_open(&s, scratch, STORE_WRITE, NULL) == ERR_CORRUPT);
    uint8_t *p = NULL;
    size_t n = 0;
    CHECK(file_read(path, 1 << 20, &p, &n, NULL, NULL) == ERR_NONE && n == sizeof junk &&
          !memcmp(p, junk, n)); /* nothing was written over it */
    free(p);
    scratch_remove();
}

static const struct tap_case cases[] = {
    CASE(files_photos_and_tombstones),           CASE(files_of_the_root_folder),
    CASE(vectors_by_date_and_generation),        CASE(one_writer_many_readers),
    CASE(newer_foreign_and_garbage_are_refused),
};
TAP_MAIN(cases)
