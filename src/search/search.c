#include "search/search.h"

#include <stdlib.h>
#include <string.h>

#include "sys/clock.h"

struct search {
    struct search_options o;
    char *dir, *model;
    struct store *store;
    struct library_vectors vectors;
};

enum err_code search_open(struct search **out, const struct search_options *o, struct err *err)
{
    *out = NULL;
    struct search *s = calloc(1, sizeof *s);
    char space[HASH_HEX];
    if (!s)
        return err_set(err, ERR_NOMEM, "search");
    s->o = *o;
    s->dir = strdup(o->dir);
    s->model = strdup(o->model);
    enum err_code rc =
        s->dir && s->model ? ERR_NONE : err_set(err, ERR_NOMEM, "search of %s", o->dir);
    if (rc == ERR_NONE)
        rc = store_open(&s->store, o->dir, STORE_READ, err);
    if (rc == ERR_NONE)
        rc = predict_space(o->predict, o->model, space, err);
    if (rc == ERR_NONE)
        rc = store_snapshot_begin(s->store, err);
    if (rc == ERR_NONE) {
        rc = library_vectors_open(&s->vectors, s->store, o->dir, space, err);
        store_snapshot_end(s->store);
    }
    if (rc != ERR_NONE) {
        search_close(s);
        return rc;
    }
    *out = s;
    return ERR_NONE;
}

void search_close(struct search *s)
{
    if (!s)
        return;
    library_vectors_close(&s->vectors);
    store_close(s->store);
    free(s->dir);
    free(s->model);
    free(s);
}

const char *search_fault(const struct search *s)
{
    return s->vectors.sidecar_fault;
}

size_t search_n_photos(const struct search *s)
{
    size_t n = 0;
    for (size_t i = 0; i < s->vectors.n_views; i++)
        n += s->vectors.views[i].n_rows;
    return n;
}

/* ---- terms to one vector ---- */

static enum err_code check_dim(const struct search *s, size_t dim, struct err *err)
{
    return dim == s->vectors.space.dim
               ? ERR_NONE
               : err_set(err, ERR_CORRUPT, "model %s gives %zu dimensions, the library has %u",
                         s->model, dim, s->vectors.space.dim);
}

static enum err_code embed_words(struct search *s, const char *words, float *out, struct err *err)
{
    struct predict_bundle *b = NULL;
    enum err_code rc = predict_acquire(s->o.predict, MODEL_CLIP, MODEL_TEXTUAL, s->model, &b, err);
    if (rc != ERR_NONE)
        return rc;
    rc = check_dim(s, task_clip_textual_dim(b->clip_textual), err);
    if (rc == ERR_NONE)
        rc = task_clip_textual_embed(b->clip_textual, words, strlen(words), NULL, out, err);
    predict_release(s->o.predict, b);
    if (rc == ERR_NONE)
        library_normalise(out, s->vectors.space.dim);
    return rc;
}

/* An example: of the library by its path, else any image file. *id: 0 for a file. */
static enum err_code embed_example(struct search *s, const char *path, float *out, int64_t *id,
                                   struct err *err)
{
    uint32_t dim = s->vectors.space.dim;
    bool found = false;
    *id = 0;
    char *real = realpath(path, NULL);
    enum err_code rc = real ? store_file_photo(s->store, real, id, err) : ERR_NONE;
    free(real);
    if (rc == ERR_NONE && *id) {
        uint16_t half[INDEX_DIM_MAX];
        rc = store_vector_get(s->store, &s->vectors.space, *id, half, &found, err);
        if (rc == ERR_NONE && found)
            index_from_f16(half, dim, out);
    }
    if (rc != ERR_NONE || found)
        return rc;
    struct predict_bundle *b = NULL;
    rc = predict_acquire(s->o.predict, MODEL_CLIP, MODEL_VISUAL, s->model, &b, err);
    if (rc != ERR_NONE)
        return rc;
    rc = check_dim(s, task_clip_visual_dim(b->clip_visual), err);
    if (rc == ERR_NONE)
        rc = library_embed_file(s->o.decoder, b->clip_visual, path, IMAGE_VIEW, out, err);
    predict_release(s->o.predict, b);
    if (rc == ERR_NONE)
        library_normalise(out, dim);
    return rc;
}

static enum err_code query_vector(struct search *s, const struct search_query *q, float *sum,
                                  struct err *err)
{
    size_t dim = s->vectors.space.dim;
    float *one = calloc(dim, sizeof *one);
    enum err_code rc = one ? ERR_NONE : err_set(err, ERR_NOMEM, "query vector");
    for (size_t i = 0; i < q->n_terms && rc == ERR_NONE; i++) {
        const struct search_term *t = &q->terms[i];
        int64_t id;
        rc = t->kind == SEARCH_TEXT ? embed_words(s, t->value, one, err)
                                    : embed_example(s, t->value, one, &id, err);
        for (size_t k = 0; k < dim && rc == ERR_NONE; k++)
            sum[k] += (float)t->weight * one[k];
    }
    free(one);
    /* Two unit vectors that cancel leave rounding noise of about 1e-7, which would rank at random.
     */
    if (rc == ERR_NONE && library_normalise(sum, dim) < 1e-4f)
        rc = err_set(err, ERR_INVALID, "the terms of the query cancel each other out");
    return rc;
}

/* ---- vector to photos ---- */

static enum err_code fetch(void *ctx, int64_t id, uint16_t *out, struct err *err)
{
    struct search *s = ctx;
    bool found = false;
    enum err_code rc = store_vector_get(s->store, &s->vectors.space, id, out, &found, err);
    return rc == ERR_NONE && !found ? ERR_NOT_FOUND : rc;
}

static enum err_code take_paths(struct search *s, const struct index_hit *hits, size_t n_hits,
                                int64_t without, size_t n, struct search_results *out,
                                struct err *err)
{
    for (size_t i = 0; i < n_hits && out->n < n; i++) {
        if (hits[i].id == without)
            continue;
        struct search_result r = { .id = hits[i].id, .score = hits[i].score };
        struct err why = { 0 };
        enum err_code rc = store_photo_path(s->store, r.id, &r.path, &why);
        if (rc == ERR_NOT_FOUND) /* purged since the search was opened */
            continue;
        if (rc != ERR_NONE)
            return err_set(err, rc, "%s", why.msg);
        out->items[out->n++] = r;
    }
    return ERR_NONE;
}

static enum err_code nearest(struct search *s, const float *v, size_t n, int64_t without,
                             struct search_results *out, struct err *err)
{
    size_t k = n + (without != 0), n_hits = 0;
    struct index_hit *hits = calloc(k, sizeof *hits);
    out->items = calloc(n, sizeof *out->items);
    enum err_code rc = hits && out->items ? ERR_NONE : err_set(err, ERR_NOMEM, "%zu results", n);
    struct index_query q = { .vectors = v,
                             .n = 1,
                             .dim = s->vectors.space.dim,
                             .k = k,
                             .filter = s->vectors.filter.bits ? &s->vectors.filter : NULL,
                             .fetch = fetch,
                             .fetch_ctx = s };
    int64_t t = clock_mono_ns();
    if (rc == ERR_NONE)
        rc = index_search(s->vectors.views, s->vectors.n_views, &q, hits, &n_hits, err);
    out->scan_ms = clock_ms_since(t);
    t = clock_mono_ns();
    if (rc == ERR_NONE)
        rc = take_paths(s, hits, n_hits, without, n, out, err);
    out->paths_ms = clock_ms_since(t);
    free(hits);
    return rc;
}

static enum err_code check_n(size_t n, struct err *err)
{
    return n && n <= SEARCH_RESULTS_MAX
               ? ERR_NONE
               : err_set(err, ERR_LIMIT, "%zu results asked for, 1 to %d can be", n,
                         SEARCH_RESULTS_MAX);
}

enum err_code search_run(struct search *s, const struct search_query *q, size_t n,
                         struct search_results *out, struct err *err)
{
    *out = (struct search_results){ 0 };
    float *v = calloc(s->vectors.space.dim, sizeof *v);
    enum err_code rc = v ? check_n(n, err) : err_set(err, ERR_NOMEM, "query vector");
    int64_t t = clock_mono_ns();
    if (rc == ERR_NONE)
        rc = query_vector(s, q, v, err);
    out->embed_ms = clock_ms_since(t);
    if (rc == ERR_NONE)
        rc = nearest(s, v, n, 0, out, err);
    free(v);
    if (rc != ERR_NONE)
        search_results_clear(out);
    return rc;
}

enum err_code search_similar(struct search *s, const char *path, size_t n,
                             struct search_results *out, struct err *err)
{
    *out = (struct search_results){ 0 };
    float *v = calloc(s->vectors.space.dim, sizeof *v);
    int64_t id = 0, t = clock_mono_ns();
    enum err_code rc = v ? check_n(n, err) : err_set(err, ERR_NOMEM, "query vector");
    if (rc == ERR_NONE)
        rc = embed_example(s, path, v, &id, err);
    out->embed_ms = clock_ms_since(t);
    if (rc == ERR_NONE)
        rc = nearest(s, v, n, id, out, err);
    free(v);
    if (rc != ERR_NONE)
        search_results_clear(out);
    return rc;
}

void search_results_clear(struct search_results *r)
{
    for (size_t i = 0; i < r->n; i++)
        free(r->items[i].path);
    free(r->items);
    r->items = NULL;
    r->n = 0;
}
