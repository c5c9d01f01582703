/* sidecar.c - believed only when it says what the database says, written when it has fallen behind.
 */
#include "library/sidecar.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"

/* Rows that a search may take from the database before a new sidecar pays: about 2 ms of reading.
 */
enum { TAIL_ROWS_MAX = 1024, SIDECAR_PATH_MAX = 4096 };

/* The first half of the hash tells files apart; the whole of it is inside. */
void sidecar_name(const struct store_space *sp, char out[SIDECAR_NAME_MAX])
{
    char hex[HASH_HEX];
    hash_hex(sp->hash, hex);
    snprintf(out, SIDECAR_NAME_MAX, "vectors-%.16s.i8", hex);
}

static enum err_code sidecar_path(const char *dir, const struct store_space *sp,
                                  char out[SIDECAR_PATH_MAX], struct err *err)
{
    char name[SIDECAR_NAME_MAX];
    sidecar_name(sp, name);
    int n = snprintf(out, SIDECAR_PATH_MAX, "%s/%s", dir, name);
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

static enum err_code write_to(struct store *s, const char *path, const struct index_stamp *stamp,
                              const struct store_space *sp, struct err *err)
{
    struct index_writer *w = NULL;
    enum err_code rc = index_writer_open(&w, path, stamp, err);
    if (rc == ERR_NONE)
        rc = store_vectors(s, sp, -1, add_to_writer, w, err);
    if (rc == ERR_NONE)
        rc = index_writer_commit(w, err);
    index_writer_close(w);
    return rc;
}

/* What writers that were killed left. None is at work: the caller has the library's lock. */
static void remove_drafts(const char *dir, const struct store_space *sp)
{
    char name[SIDECAR_NAME_MAX];
    sidecar_name(sp, name);
    size_t n = strlen(name);
    DIR *d = opendir(dir);
    for (const struct dirent *e; d && (e = readdir(d));)
        if (!strncmp(e->d_name, name, n) && str_starts(e->d_name + n, ".tmp-"))
            unlinkat(dirfd(d), e->d_name, 0);
    if (d)
        closedir(d);
}

enum err_code sidecar_write(struct store *s, const char *dir, struct store_space *sp,
                            struct err *err)
{
    int64_t rows = 0;
    char path[SIDECAR_PATH_MAX];
    enum err_code rc = store_vectors_count(s, sp, &rows, err);
    struct index_stamp stamp = stamp_of(sp, sp->generation, rows);
    remove_drafts(dir, sp);
    if (rc == ERR_NONE)
        rc = sidecar_path(dir, sp, path, err);
    if (rc == ERR_NONE)
        rc = write_to(s, path, &stamp, sp, err);
    if (rc == ERR_NONE)
        rc = store_begin(s, err);
    if (rc != ERR_NONE)
        return rc;
    rc = store_sidecar_set(s, sp, sp->generation, rows, err);
    return store_end(s, rc, err);
}

enum err_code sidecar_refresh(struct store *s, const char *dir, struct store_space *sp,
                              struct err *err)
{
    int64_t rows = 0;
    enum err_code rc = store_vectors_count(s, sp, &rows, err);
    if (rc != ERR_NONE || !rows)
        return rc;
    int64_t behind = rows - sp->sidecar_rows;
    bool small =
        sp->sidecar_rows <= 4 * TAIL_ROWS_MAX; /* then writing it costs as little as reading */
    if (stands(dir, sp) && (!behind || (!small && behind <= TAIL_ROWS_MAX)))
        return ERR_NONE;
    return sidecar_write(s, dir, sp, err);
}

/* Row by row against the database, which says what a photo's vector is. */
struct comparison {
    const struct index_view *view;
    struct index_memory one;
    size_t row;
    bool same;
};

static enum err_code compare_row(const struct store_vector *v, void *ctx, struct err *err)
{
    struct comparison *c = ctx;
    const struct index_view *a = c->view;
    struct index_view *b = &c->one.view;
    if (c->row >= a->n_rows)
        return ERR_NONE; /* came after the sidecar: the tail has it */
    index_memory_clear(&c->one);
    enum err_code rc = index_memory_add(&c->one, v->photo_id, v->v, err);
    if (rc != ERR_NONE)
        return rc;
    c->same &= a->ids[c->row] == b->ids[0] &&
               !memcmp(&a->scales[c->row], b->scales, sizeof *b->scales) &&
               !memcmp(a->rows + c->row * a->stride, b->rows, a->stride);
    c->row++;
    return ERR_NONE;
}

enum err_code sidecar_verify(struct store *s, const char *dir, const struct store_space *sp,
                             bool *same, struct err *err)
{
    struct index_sidecar side = { 0 };
    int64_t rows = 0;
    *same = false;
    enum err_code rc = store_vectors_count(s, sp, &rows, err);
    if (rc == ERR_NONE && !rows)
        *same = true;
    /* One that others were added behind is rewritten rather than compared: the order is by date. */
    if (rc != ERR_NONE || !rows || sp->sidecar_rows != rows ||
        sidecar_open(&side, dir, sp, NULL) != ERR_NONE)
        return rc;
    struct comparison c = { .view = &side.view, .one.view.dim = sp->dim, .same = true };
    rc = store_vectors(s, sp, -1, compare_row, &c, err);
    *same = c.same && c.row == side.view.n_rows;
    index_memory_clear(&c.one);
    index_sidecar_close(&side);
    return rc;
}

static enum err_code note_space(const struct store_space *sp, int64_t n_vectors, void *ctx,
                                struct err *err)
{
    (void)n_vectors;
    struct sidecar_spaces *all = ctx;
    struct store_space *items = reallocarray(all->items, all->n + 1, sizeof *items);
    if (!items)
        return err_set(err, ERR_NOMEM, "%zu vector spaces", all->n + 1);
    all->items = items;
    all->items[all->n++] = *sp;
    return ERR_NONE;
}

enum err_code sidecar_spaces(struct store *s, struct sidecar_spaces *out, struct err *err)
{
    *out = (struct sidecar_spaces){ 0 };
    enum err_code rc = store_spaces(s, note_space, out, err);
    if (rc != ERR_NONE)
        sidecar_spaces_clear(out);
    return rc;
}

void sidecar_spaces_clear(struct sidecar_spaces *all)
{
    free(all->items);
    *all = (struct sidecar_spaces){ 0 };
}

enum err_code sidecar_refresh_all(struct store *s, const char *dir, struct err *err)
{
    struct sidecar_spaces all;
    enum err_code rc = sidecar_spaces(s, &all, err);
    for (size_t i = 0; i < all.n && rc == ERR_NONE; i++)
        rc = sidecar_refresh(s, dir, &all.items[i], err);
    sidecar_spaces_clear(&all);
    return rc;
}
