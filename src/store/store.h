/* store.h - the library's one authoritative file: SQLite in WAL mode. All SQL of fovea lives here.
 *
 * Think of it as a typed list of what is known: roots hold files, a file holds a photo (a content),
 * a photo has one vector a space. Nothing here looks at a photo or knows a model; library/ decides
 * what to store, search/ asks.
 *
 * Ownership: text and blobs given to a callback are valid only inside it. Threads: a struct store
 * is for one thread at a time; open one a thread, or hold a lock. One writer a library: STORE_WRITE
 * takes `library.lock` beside the database for as long as the store is open, and a second writer
 * gets ERR_BUSY with the owner's name; readers are never refused and see the last committed state.
 * Errors: ERR_CORRUPT (not a database, or not ours), ERR_UNSUPPORTED (made by a newer fovea),
 * ERR_BUSY, ERR_IO, ERR_NOMEM. Each names the file. */
#ifndef FOVEA_STORE_STORE_H
#define FOVEA_STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/hash.h"

#define STORE_DB_NAME "library.db"

struct store;

enum store_mode {
    STORE_READ,  /* ERR_NOT_FOUND when there is no library */
    STORE_WRITE, /* makes the folder and the database when absent, brings an older schema up */
};

enum err_code store_open(struct store **out, const char *dir, enum store_mode mode,
                         struct err *err);
void store_close(struct store *s); /* rolls back what is not committed */

/* Writing happens inside a transaction. begin waits up to 10 s for a reader's checkpoint. */
enum err_code store_begin(struct store *s, struct err *err);
enum err_code store_commit(struct store *s, struct err *err);
void store_rollback(struct store *s);
/* Commit when rc, of what was done since begin, is ERR_NONE; else, or when that fails, roll back.
 * Returns rc, or what the commit said. */
enum err_code store_end(struct store *s, enum err_code rc, struct err *err);
/* Everything read between these two is of one moment. */
enum err_code store_snapshot_begin(struct store *s, struct err *err);
void store_snapshot_end(struct store *s);

/* ---- roots ---- */

struct store_root {
    int64_t id, seen_ns;
    const char *path;    /* absolute */
    const char *offline; /* why, or NULL */
};
typedef enum err_code (*store_root_fn)(const struct store_root *r, void *ctx, struct err *err);

enum err_code store_root_add(struct store *s, const char *path, int64_t now_ns, int64_t *id,
                             struct err *err);
/* offline: NULL when it was found at now_ns. */
enum err_code store_root_mark(struct store *s, int64_t id, const char *offline, int64_t now_ns,
                              struct err *err);
/* With all of its files; photos and vectors stay. */
enum err_code store_root_remove(struct store *s, int64_t id, struct err *err);
enum err_code store_roots(struct store *s, store_root_fn fn, void *ctx, struct err *err);

/* ---- files ---- */

struct store_file {
    int64_t id, root_id, size_bytes, mtime_ns;
    int64_t photo_id; /* 0: none, see error */
    const char *path; /* below the root */
    size_t path_len;
    const char *error; /* NULL when there is a photo */
    bool retry;
    int64_t gone_ns; /* since when it is a tombstone; 0: it is present */
};
typedef enum err_code (*store_file_fn)(const struct store_file *f, void *ctx, struct err *err);

/* All files of a root, tombstones too, in byte order of their paths. */
enum err_code store_files(struct store *s, int64_t root_id, store_file_fn fn, void *ctx,
                          struct err *err);
/* Insert, or replace what is known of (root_id, path); f->id is not read. */
enum err_code store_file_put(struct store *s, const struct store_file *f, struct err *err);
/* Is there anything known of this path, be it as a tombstone? */
enum err_code store_file_known(struct store *s, int64_t root_id, const char *path, size_t path_len,
                               bool *known, struct err *err);
enum err_code store_file_gone(struct store *s, int64_t file_id, int64_t now_ns, struct err *err);
/* The photo that the file at this absolute path holds; 0 in *photo_id when it is not in the
 * library. */
enum err_code store_file_photo(struct store *s, const char *path, int64_t *photo_id,
                               struct err *err);

/* ---- photos ---- */

struct store_photo {
    uint8_t content[HASH_BYTES];
    int64_t size_bytes;
    const char *format;
    uint32_t width_px, height_px;
    bool has_taken, has_place;
    int64_t taken_ns;
    double latitude, longitude;
    const char *camera; /* or NULL */
};

typedef enum err_code (*store_photo_fn)(int64_t id, const struct store_photo *p, void *ctx,
                                        struct err *err);
enum err_code store_photos(struct store *s, store_photo_fn fn, void *ctx, struct err *err);
/* The content of a photo. ERR_NOT_FOUND. */
enum err_code store_photo_content(struct store *s, int64_t id, uint8_t out[HASH_BYTES],
                                  struct err *err);
/* 0 in *id when no photo has this content. */
enum err_code store_photo_find(struct store *s, const uint8_t content[HASH_BYTES], int64_t *id,
                               struct err *err);
enum err_code store_photo_add(struct store *s, const struct store_photo *p, int64_t *id,
                              struct err *err);
/* Absolute path of one file that holds the photo, a present one before a gone one. Heap; free(). */
enum err_code store_photo_path(struct store *s, int64_t id, char **path, struct err *err);
/* Ids of photos that no present file holds, ascending. */
typedef enum err_code (*store_id_fn)(int64_t id, void *ctx, struct err *err);
enum err_code store_photos_dead(struct store *s, store_id_fn fn, void *ctx, struct err *err);

/* ---- spaces and vectors ---- */

struct store_space {
    int64_t id, generation;
    uint8_t hash[HASH_BYTES];
    char model[128];
    uint32_t dim;
    bool has_sidecar; /* the two below are what it must say */
    int64_t sidecar_generation, sidecar_rows;
};

/* ERR_NOT_FOUND when the library has no vectors of this space. */
enum err_code store_space_find(struct store *s, const uint8_t hash[HASH_BYTES],
                               struct store_space *out, struct err *err);
/* Found or made; ERR_CORRUPT when it is there with another dim. */
enum err_code store_space_add(struct store *s, const uint8_t hash[HASH_BYTES], const char *model,
                              uint32_t dim, struct store_space *out, struct err *err);
/* A new generation, greater than all before and no other library's; vectors put from here on carry
 * it. Once a transaction that adds vectors. */
enum err_code store_space_advance(struct store *s, struct store_space *space, struct err *err);
typedef enum err_code (*store_space_fn)(const struct store_space *sp, int64_t n_vectors, void *ctx,
                                        struct err *err);
enum err_code store_spaces(struct store *s, store_space_fn fn, void *ctx, struct err *err);

/* v: [dim] IEEE half. The space's current generation is noted with it. */
enum err_code store_vector_put(struct store *s, const struct store_space *space, int64_t photo_id,
                               const uint16_t *v, struct err *err);
enum err_code store_vector_drop(struct store *s, const struct store_space *space, int64_t photo_id,
                                struct err *err);
/* Copies [dim] halves into out; *found tells whether there was one. */
enum err_code store_vector_get(struct store *s, const struct store_space *space, int64_t photo_id,
                               uint16_t *out, bool *found, struct err *err);
/* Does this photo have a vector in the space? */
enum err_code store_vector_has(struct store *s, const struct store_space *space, int64_t photo_id,
                               bool *found, struct err *err);

struct store_vector {
    int64_t photo_id, taken_ns; /* taken_ns: INT64_MIN when not known */
    const uint16_t *v;          /* [dim] */
};
typedef enum err_code (*store_vector_fn)(const struct store_vector *v, void *ctx, struct err *err);
/* Vectors added after a generation (-1: all), by date (unknown first) then id, so that a sidecar
 * written from them is date-ordered. */
enum err_code store_vectors(struct store *s, const struct store_space *space,
                            int64_t after_generation, store_vector_fn fn, void *ctx,
                            struct err *err);
/* Only the ids of the photos that have one, in no order. */
enum err_code store_vectors_ids(struct store *s, const struct store_space *space, store_id_fn fn,
                                void *ctx, struct err *err);
enum err_code store_vectors_count(struct store *s, const struct store_space *space, int64_t *n,
                                  struct err *err);
/* Note what the sidecar file just written says, so that it will be believed. */
enum err_code store_sidecar_set(struct store *s, struct store_space *space, int64_t generation,
                                int64_t rows, struct err *err);

/* ---- the whole ---- */

struct store_counts {
    int64_t n_roots, n_files, n_gone, n_failed, n_photos, n_photos_dead;
};
enum err_code store_count(struct store *s, struct store_counts *out, struct err *err);
/* Files that could not be read, with the absolute path in f->path. */
enum err_code store_failures(struct store *s, store_file_fn fn, void *ctx, struct err *err);
/* SQLite's own check of every page and index, and of every reference. ERR_CORRUPT with what it
 * found first. */
enum err_code store_verify(struct store *s, struct err *err);

/* What is derived inside the database, made right again; in a transaction. */
struct store_mended {
    int64_t n_counts;  /* photos whose number of present files was wrong */
    int64_t n_vectors; /* vectors that cannot be (length): removed, to be computed again */
};
enum err_code store_mend(struct store *s, struct store_mended *out, struct err *err);
/* Forget tombstones, and photos and vectors that no file holds any more; in a transaction. */
struct store_purged {
    int64_t n_files, n_photos;
};
enum err_code store_purge(struct store *s, struct store_purged *out, struct err *err);
/* Give the space of what was removed back to the disk. Needs as much free space as the database
 * takes; outside a transaction. */
enum err_code store_vacuum(struct store *s, struct err *err);

#endif
