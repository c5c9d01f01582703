/* vectors.c - all vectors of a space to search in: those of the sidecar, and from the database
 * those that came after it. */
#include <stdlib.h>
#include <string.h>

#include "library/photo.h"
#include "library/sidecar.h"

static enum err_code add_to_tail(const struct store_vector *v, void *ctx, struct err *err)
{
    return index_memory_add(ctx, v->photo_id, v->v, err);
}

static int64_t greatest_id(const struct library_vectors *v)
{
    int64_t max = 0;
    for (size_t i = 0; i < v->n_views; i++)
        for (size_t r = 0; r < v->views[i].n_rows; r++)
            max = v->views[i].ids[r] > max ? v->views[i].ids[r] : max;
    return max;
}

struct dead {
    const struct library_vectors *v;
    uint64_t *bits; /* all ones, less the photos that have gone; NULL while none has */
    size_t n_bits;
};

static enum err_code all_live(struct dead *d, struct err *err)
{
    int64_t greatest = greatest_id(d->v);
    if (greatest > PHOTO_ID_MAX)
        return err_set(err, ERR_CORRUPT, "photo %lld cannot be", (long long)greatest);
    d->n_bits = (size_t)greatest + 1;
    size_t words = (d->n_bits + 63) / 64;
    d->bits = malloc(words * sizeof *d->bits);
    if (!d->bits)
        return err_set(err, ERR_NOMEM, "bitmap of %zu photos", d->n_bits);
    memset(d->bits, 0xff, words * sizeof *d->bits);
    return ERR_NONE;
}

static enum err_code bury(int64_t id, void *ctx, struct err *err)
{
    struct dead *d = ctx;
    enum err_code rc = d->bits ? ERR_NONE : all_live(d, err);
    if (rc == ERR_NONE && (uint64_t)id < d->n_bits)
        d->bits[id / 64] &= ~((uint64_t)1 << id % 64);
    return rc;
}

/* An index of its own has the photos that have gone, so a library without any is asked for none. */
static enum err_code leave_out_dead(struct library_vectors *v, struct store *s, struct err *err)
{
    struct dead d = { .v = v };
    enum err_code rc = store_photos_dead(s, bury, &d, err);
    v->filter = (struct index_filter){ .bits = d.bits, .n_bits = d.n_bits };
    return rc;
}

struct models {
    char *text;
    size_t n, len;
};

static enum err_code name_model(const struct store_space *sp, int64_t n_vectors, void *ctx,
                                struct err *err)
{
    (void)err;
    struct models *m = ctx;
    if (n_vectors && m->len < m->n)
        m->len += (size_t)snprintf(m->text + m->len, m->n - m->len, "%s%s", m->len ? ", " : "",
                                   sp->model);
    return ERR_NONE;
}

static enum err_code no_space(struct store *s, const char *dir, struct err *err)
{
    char text[256] = "";
    struct models m = { .text = text, .n = sizeof text };
    enum err_code rc = store_spaces(s, name_model, &m, err);
    if (rc != ERR_NONE)
        return rc;
    if (!text[0])
        return err_set(err, ERR_NOT_FOUND,
                       "library %s has no photos yet: `fovea index FOLDER` adds some", dir);
    return err_set(err, ERR_NOT_FOUND,
                   "library %s was not indexed with these model files (it has vectors of: %s); "
                   "run `fovea index` with this model, or choose another by --model",
                   dir, text);
}

static void open_sidecar(struct library_vectors *v, const char *dir)
{
    struct err why = { 0 };
    if (sidecar_open(&v->sidecar, dir, &v->space, &why) == ERR_NONE)
        return;
    snprintf(v->fault_msg, sizeof v->fault_msg, "%.*s", (int)sizeof v->fault_msg - 1, why.msg);
    v->sidecar_fault = v->fault_msg;
}

enum err_code library_vectors_open(struct library_vectors *v, struct store *s, const char *dir,
                                   const char *space_hex, struct err *err)
{
    *v = (struct library_vectors){ 0 };
    uint8_t hash[HASH_BYTES];
    if (!hash_from_hex(space_hex, hash))
        return err_set(err, ERR_INVALID, "\"%s\" is not the hash of a space", space_hex);
    struct err why = { 0 };
    enum err_code rc = store_space_find(s, hash, &v->space, &why);
    if (rc == ERR_NOT_FOUND)
        return no_space(s, dir, err);
    if (rc != ERR_NONE)
        return err_set(err, rc, "%s", why.msg);
    open_sidecar(v, dir);
    bool side = !v->sidecar_fault;
    v->tail.view.dim = v->space.dim;
    rc = store_vectors(s, &v->space, side ? v->space.sidecar_generation : -1, add_to_tail, &v->tail,
                       err);
    if (side)
        v->views[v->n_views++] = v->sidecar.view;
    if (v->tail.view.n_rows)
        v->views[v->n_views++] = v->tail.view;
    if (rc == ERR_NONE)
        rc = leave_out_dead(v, s, err);
    if (rc != ERR_NONE)
        library_vectors_close(v);
    return rc;
}

void library_vectors_close(struct library_vectors *v)
{
    index_sidecar_close(&v->sidecar);
    index_memory_clear(&v->tail);
    free((void *)(uintptr_t)v->filter.bits);
    *v = (struct library_vectors){ 0 };
}
