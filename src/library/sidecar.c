/* sidecar.c - believed only when it says what the database says, written when it has fallen behind.
 */
#include "library/sidecar.h"

#include <stdio.h>
#include <string.h>

/* Rows that a search may take from the database before a new sidecar pays: about 2 ms of reading.
 */
enum { TAIL_ROWS_MAX = 1024, SIDECAR_PATH_MAX = 4096 };

/* The first half of the hash tells files apart; the whole of it is inside. */
static enum err_code sidecar_path(const char *dir, const struct store_space *sp,
                                  char out[SIDECAR_PATH_MAX], struct err *err)
{
    char hex[HASH_HEX];
    hash_hex(sp->hash, hex);
    int n = snprintf(out, SIDECAR_PATH_MAX, "%s/vectors-%.16s.i8", dir, hex);
    return n < SIDECAR_PATH_MAX ? ERR_NONE : err_set(err, ERR_LIMIT, "%s: path too long", dir);
}

static struct index_stamp stamp_of(const struct store_space *sp, int64_t generation, int64_t rows)
{
    struct index_stamp st = { .generation = (uint64_t)generation,
                              .n_rows = (uint64_t)rows,
                              .dim = sp->dim };
    memcpy(st.space, sp->hash, sizeof st.space);
    return st;
}

enum err_code sidecar_open(struct index_sidecar *out, const char *dir, const struct store_space *sp,
                           struct err *err)
{
    char path[SIDECAR_PATH_MAX];
    struct index_stamp stamp = stamp_of(sp, sp->sidecar_generation, sp->sidecar_rows);
    *out = (struct index_sidecar){ 0 };
    if (!sp->has_sidecar)
        return err_set(err, ERR_NOT_FOUND, "not written yet");
    enum err_code rc = sidecar_path(dir, sp, path, err);
    return rc == ERR_NONE ? index_sidecar_open(out, path, &stamp, err) : rc;
}

static bool stands(const char *dir, const struct store_space *sp)
{
    struct index_sidecar side = { 0 };
    bool ok = sidecar_open(&side, dir, sp, NULL) == ERR_NONE;
    index_sidecar_close(&side);
    return ok;
}

static enum err_code add_to_writer(const struct store_vector *v, void *ctx, struct err *err)
{
    return index_writer_add(ctx, v->photo_id, v->v, err);
}

enum err_code sidecar_refresh(struct store *s, const char *dir, struct store_space *sp,
                              struct err *err)
{
    int64_t rows = 0;
    char path[SIDECAR_PATH_MAX];
    enum err_code rc = store_vectors_count(s, sp, &rows, err);
    if (rc != ERR_NONE || !rows)
        return rc;
    int64_t behind = rows - sp->sidecar_rows;
    if (stands(dir, sp) && behind <= (rows / 20 < TAIL_ROWS_MAX ? TAIL_ROWS_MAX : rows / 20) &&
        (behind == 0 || sp->sidecar_rows > 4 * TAIL_ROWS_MAX))
        return ERR_NONE;
    struct index_writer *w = NULL;
    struct index_stamp stamp = stamp_of(sp, sp->generation, rows);
    rc = sidecar_path(dir, sp, path, err);
    if (rc == ERR_NONE)
        rc = index_writer_open(&w, path, &stamp, err);
    if (rc == ERR_NONE)
        rc = store_vectors(s, sp, -1, add_to_writer, w, err);
    if (rc == ERR_NONE)
        rc = index_writer_commit(w, err);
    index_writer_close(w);
    if (rc == ERR_NONE)
        rc = store_begin(s, err);
    if (rc == ERR_NONE)
        rc = store_sidecar_set(s, sp, sp->generation, rows, err);
    if (rc == ERR_NONE)
        rc = store_commit(s, err);
    if (rc != ERR_NONE)
        store_rollback(s);
    return rc;
}
