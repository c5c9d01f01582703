/* The index: int8 rows, the selection of the best, searches against a plain sort, and sidecars that
 * are right or refused. */
#include "tap.h"

#include <float.h>
#include <stdlib.h>
#include <unistd.h>

#include "index/index.h"
#include "index/layout.h"
#include "index/topk.h"
#include "index/vector.h"
#include "scratch.h"
#include "simd/simd.h"
#include "sys/pool.h"

static const char *in_dir(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", scratch, name);
    return path;
}

/* --- Vectors ---------------------------------------------------------------------------------- */

static float uniform(void)
{
    return (float)rand() / (float)RAND_MAX * 2 - 1;
}

static void quantised_to_the_nearest(void)
{
    enum { DIM = 70 };
    float v[DIM], scale = 0;
    int32_t sum = 0, total = 0;
    int8_t q[128];
    srand(1);
    for (int i = 0; i < DIM; i++)
        v[i] = uniform();
    v[7] = -1.25f; /* the greatest */
    memset(q, 99, sizeof q);
    REQUIRE(vector_quantise(v, DIM, q, &scale, &sum, NULL) == ERR_NONE);
    CHECK(scale == 1.25f / 127 && q[7] == -127);
    for (int i = 0; i < DIM; i++)
        CHECK_NEAR(q[i] * scale, v[i], scale * .5001f);
    for (size_t i = DIM; i < vector_stride(DIM); i++)
        CHECK(q[i] == 0);
    for (int i = 0; i < DIM; i++)
        total += q[i];
    CHECK(sum == total);
    static const float ties[4] = { 127, 0.5f, 1.5f, -2.5f };
    REQUIRE(vector_quantise(ties, 4, q, &scale, &sum, NULL) == ERR_NONE);
    CHECK(q[0] == 127 && q[1] == 0 && q[2] == 2 && q[3] == -2);
}

static void what_is_no_vector_is_refused(void)
{
    static const float bad[][3] = { { 0, 0, 0 },         { 1, NAN, 0 },     { INFINITY, 0, 0 },
                                    { 0, -INFINITY, 1 }, { 0, FLT_MIN, 0 }, { 70000, 0, 0 } };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct err e = { 0 };
        uint16_t h[3];
        CHECK(index_to_f16(bad[i], 3, h, &e) == ERR_INVALID && e.msg[0]);
    }
    struct index_memory m = { .view.dim = 3 };
    static const uint16_t zero[3] = { 0, 0x8000, 0 }, nan[3] = { 0x3c00, 0x7e00, 0 },
                          inf[3] = { 0xfc00, 0, 0 }, one[3] = { 0, 0x3c00, 0 };
    struct err e = { 0 };
    CHECK(index_memory_add(&m, 1, zero, NULL) == ERR_INVALID);
    CHECK(index_memory_add(&m, 2, nan, NULL) == ERR_INVALID);
    CHECK(index_memory_add(&m, 3, inf, &e) == ERR_INVALID && strstr(e.msg, "id 3"));
    CHECK(index_memory_add(&m, -1, one, NULL) == ERR_INVALID);
    CHECK(m.view.n_rows == 0);
    CHECK(index_memory_add(&m, 4, one, NULL) == ERR_NONE && m.view.n_rows == 1);
    index_memory_clear(&m);
    CHECK(!m.view.rows && m.view.dim == 3);
    struct index_memory none = { 0 }, huge = { .view.dim = INDEX_DIM_MAX + 1 };
    CHECK(index_memory_add(&none, 1, one, NULL) == ERR_LIMIT);
    CHECK(index_memory_add(&huge, 1, one, NULL) == ERR_LIMIT);
}

static void halves_go_and_come(void)
{
    static const float v[4] = { .25f, -1, 0, 3.5f };
    uint16_t h[4];
    float back[4];
    REQUIRE(index_to_f16(v, 4, h, NULL) == ERR_NONE);
    index_from_f16(h, 4, back);
    CHECK(!memcmp(v, back, sizeof v));
}

/* --- The best of a stream --------------------------------------------------------------------- */

static void topk_keeps_the_best(void)
{
    enum { N = 5000 };
    for (size_t m = 1; m < 40; m += 6) {
        struct topk_item items[80];
        struct topk t = { items, 0, m, -INFINITY };
        unsigned char seen[1000] = { 0 }; /* scores 0..999: of each, rows in ascending order */
        srand((unsigned)m);
        for (size_t r = 0; r < N; r++) {
            int x = rand() % 1000;
            if (seen[x] < 255)
                seen[x]++;
            if ((float)x > t.threshold)
                topk_push(&t, (struct topk_item){ (float)x, 0, r });
        }
        topk_sort(&t);
        REQUIRE(t.n == m);
        size_t i = 0;
        for (int x = 999; i < m; x--)
            for (int j = 0; j < seen[x] && i < m; j++, i++) {
                CHECK(t.items[i].score == (float)x);
                CHECK(j == 0 || t.items[i - 1].row < t.items[i].row);
            }
    }
}

/* --- Searches --------------------------------------------------------------------------------- */

enum { DIM = 40, N = 20000 };

/* Rows i = 0..n-1 with ids 2 * i + 1, clustered so that neighbours are near but not equal. */
struct photos {
    uint16_t f16[N][DIM];
    bool gone[N];
    int n_fetched;
    int64_t last_id;
};

static struct photos *make_photos(unsigned seed)
{
    struct photos *p = calloc(1, sizeof *p);
    float center[50][DIM], v[DIM];
    srand(seed);
    for (int c = 0; c < 50; c++)
        for (int i = 0; i < DIM; i++)
            center[c][i] = uniform();
    for (int r = 0; p && r < N; r++) {
        for (int i = 0; i < DIM; i++)
            v[i] = center[r % 50][i] + .7f * uniform();
        CHECK(index_to_f16(v, DIM, p->f16[r], NULL) == ERR_NONE);
    }
    return p;
}

static enum err_code fetch(void *ctx, int64_t id, uint16_t *out, struct err *err)
{
    struct photos *p = ctx;
    int64_t r = id / 2;
    p->n_fetched++;
    CHECK(id > p->last_id && id % 2 == 1); /* ascending within a query */
    p->last_id = id;
    if (p->gone[r])
        return err_set(err, ERR_NOT_FOUND, "photo %lld is gone", (long long)id);
    memcpy(out, p->f16[r], sizeof p->f16[r]);
    return ERR_NONE;
}

static float exact(const struct photos *p, int64_t id, const float *q)
{
    return simd_get()->dot_f16(p->f16[id / 2], q, DIM);
}

/* How many of the candidates are strictly nearer than each hit: hit i must have at most i. */
static void check_hits(const struct photos *p, const float *q, const struct index_filter *f,
                       const struct index_hit *hits, size_t n_hits)
{
    for (size_t i = 0; i < n_hits; i++) {
        size_t nearer = 0;
        for (int64_t id = 1; id < 2 * N; id += 2)
            nearer += !p->gone[id / 2] && (!f || f->bits[id / 64] >> id % 64 & 1) &&
                      exact(p, id, q) > hits[i].score;
        CHECK(nearer <= i);
        CHECK(hits[i].score == exact(p, hits[i].id, q) && !p->gone[hits[i].id / 2]);
        CHECK(!f || f->bits[hits[i].id / 64] >> hits[i].id % 64 & 1);
        CHECK(!i || hits[i].score < hits[i - 1].score ||
              (hits[i].score == hits[i - 1].score && hits[i].id > hits[i - 1].id));
    }
}

/* Rows [lo, hi) into memory. */
static struct index_memory in_memory(const struct photos *p, int lo, int hi)
{
    struct index_memory m = { .view.dim = DIM };
    for (int r = lo; r < hi; r++)
        CHECK(index_memory_add(&m, 2 * r + 1, p->f16[r], NULL) == ERR_NONE);
    return m;
}

static void finds_what_a_sort_finds(void)
{
    struct photos *p = make_photos(3);
    REQUIRE(p);
    struct index_memory a = in_memory(p, 0, 15000), b = in_memory(p, 14000, N);
    struct index_view views[3] = { a.view, { 0 }, b.view }; /* 1000 rows are in two of them */
    float q[DIM];
    struct index_hit hits[20];
    size_t n_hits = 99;
    struct index_query query = { q, 1, DIM, 20, NULL, fetch, p, NULL };
    for (int t = 0; t < 10; t++) {
        for (int i = 0; i < DIM; i++)
            q[i] = uniform();
        p->last_id = -1;
        REQUIRE(index_search(views, 3, &query, hits, &n_hits, NULL) == ERR_NONE);
        CHECK(n_hits == 20);
        check_hits(p, q, NULL, hits, n_hits);
    }
    for (int i = 0; i < 10; i++) /* the nearest ones are removed from the database */
        p->gone[hits[i].id / 2] = true;
    p->last_id = -1;
    REQUIRE(index_search(views, 3, &query, hits, &n_hits, NULL) == ERR_NONE);
    CHECK(n_hits == 20);
    check_hits(p, q, NULL, hits, n_hits);
    index_memory_clear(&a);
    index_memory_clear(&b);
    free(p);
}

static void finds_only_candidates(void)
{
    struct photos *p = make_photos(4);
    REQUIRE(p);
    struct index_memory m = in_memory(p, 0, N);
    static uint64_t bits[2 * N / 64];
    float q[DIM];
    struct index_hit hits[10];
    size_t n_hits;
    struct index_filter f = { bits, 2 * N };
    struct index_query query = { q, 1, DIM, 10, &f, fetch, p, NULL };
    for (int sparse = 1; sparse < 3000; sparse *= 7) {
        memset(bits, 0, sizeof bits);
        for (int id = 1; id < 2 * N; id += 2)
            bits[id / 64] |= (uint64_t)(rand() % sparse == 0) << id % 64;
        for (int i = 0; i < DIM; i++)
            q[i] = uniform();
        p->last_id = -1;
        REQUIRE(index_search(&m.view, 1, &query, hits, &n_hits, NULL) == ERR_NONE);
        CHECK(n_hits == 10 || sparse > 1000);
        check_hits(p, q, &f, hits, n_hits);
    }
    f.n_bits = 0;
    CHECK(index_search(&m.view, 1, &query, hits, &n_hits, NULL) == ERR_NONE && n_hits == 0);
    f.n_bits = 4; /* ids 1 and 3, if their bits are set */
    bits[0] = ~(uint64_t)0;
    p->last_id = -1;
    CHECK(index_search(&m.view, 1, &query, hits, &n_hits, NULL) == ERR_NONE && n_hits == 2);
    index_memory_clear(&m);
    free(p);
}

static void same_for_any_number_of_threads_and_queries(void)
{
    struct photos *p = make_photos(5);
    struct pool *pool = NULL;
    REQUIRE(p && pool_create(&pool, 3, 8, NULL) == ERR_NONE);
    struct index_memory m = in_memory(p, 0, N);
    for (int r = 0; r < N; r += 3) /* plenty of equal scores */
        memcpy((int8_t *)(uintptr_t)m.view.rows + r * (int)m.view.stride, m.view.rows, DIM);
    enum { Q = 5, K = 7 };
    float q[Q][DIM];
    for (int i = 0; i < Q; i++)
        for (int j = 0; j < DIM; j++)
            q[i][j] = uniform();
    struct index_hit one[Q][K], all[Q][K];
    size_t n_one[Q], n_all[Q];
    struct index_query query = { q[0], Q, DIM, K, NULL, NULL, NULL, pool };
    for (int t = 0; t < 20; t++) {
        REQUIRE(index_search(&m.view, 1, &query, all[0], n_all, NULL) == ERR_NONE);
        for (int i = 0; i < Q; i++) {
            struct index_query single = { q[i], 1, DIM, K, NULL, NULL, NULL, NULL };
            REQUIRE(index_search(&m.view, 1, &single, one[i], &n_one[i], NULL) == ERR_NONE);
            REQUIRE(n_one[i] == K && n_all[i] == K);
            for (int j = 0; j < K; j++)
                CHECK(one[i][j].id == all[i][j].id && one[i][j].score == all[i][j].score);
        }
    }
    pool_destroy(pool);
    index_memory_clear(&m);
    free(p);
}

static enum err_code fetch_breaks(void *ctx, int64_t id, uint16_t *out, struct err *err)
{
    (void)ctx, (void)id, (void)out;
    return err_set(err, ERR_IO, "the disk is gone");
}

static void hard_requests_fail_and_empty_ones_do_not(void)
{
    float q[DIM] = { 1 }, nan[DIM] = { NAN }, zero[DIM] = { 0 };
    struct index_hit hits[4];
    size_t n = 9;
    struct err e = { 0 };
    struct index_query query = { q, 1, DIM, 2, NULL, NULL, NULL, NULL };
    CHECK(index_search(NULL, 0, &query, hits, &n, &e) == ERR_NONE && n == 0);

    struct index_memory m = { .view.dim = DIM };
    uint16_t h[DIM];
    index_to_f16(q, DIM, h, NULL);
    CHECK(index_memory_add(&m, 5, h, NULL) == ERR_NONE);
    CHECK(index_search(&m.view, 1, &query, hits, &n, &e) == ERR_NONE && n == 1);
    CHECK(hits[0].id == 5);
    CHECK_NEAR(hits[0].score, 1, 1e-6);
    query.k = 0;
    CHECK(index_search(&m.view, 1, &query, hits, &n, &e) == ERR_NONE && n == 0);
    query.k = INDEX_HITS_MAX + 1;
    CHECK(index_search(&m.view, 1, &query, hits, &n, NULL) == ERR_LIMIT);
    query.k = 2;
    query.n = SIZE_MAX;
    CHECK(index_search(&m.view, 1, &query, hits, &n, NULL) == ERR_LIMIT);
    query.n = 1;
    query.dim = DIM - 1;
    CHECK(index_search(&m.view, 1, &query, hits, &n, NULL) == ERR_INVALID);
    query.dim = 0;
    CHECK(index_search(&m.view, 1, &query, hits, &n, NULL) == ERR_LIMIT);
    query.dim = DIM;
    query.vectors = nan;
    CHECK(index_search(&m.view, 1, &query, hits, &n, NULL) == ERR_INVALID);
    query.vectors = zero;
    CHECK(index_search(&m.view, 1, &query, hits, &n, &e) == ERR_INVALID &&
          strstr(e.msg, "query 0"));
    query.vectors = q;
    query.fetch = fetch_breaks;
    e = (struct err){ 0 };
    CHECK(index_search(&m.view, 1, &query, hits, &n, &e) == ERR_IO);
    CHECK_STR(e.msg, "the disk is gone");
    index_memory_clear(&m);
}

/* --- Sidecars --------------------------------------------------------------------------------- */

static const struct index_stamp stamp = { "a space of thirty-two bytes", 7, 1000, DIM };

static enum err_code write_sidecar(const char *path, const struct photos *p, int n, struct err *err)
{
    struct index_writer *w = NULL;
    enum err_code rc = index_writer_open(&w, path, &stamp, err);
    for (int r = 0; rc == ERR_NONE && r < n; r++)
        rc = index_writer_add(w, 2 * r + 1, p->f16[r], err);
    if (rc == ERR_NONE)
        rc = index_writer_commit(w, err);
    index_writer_close(w);
    return rc;
}

static void a_sidecar_is_what_memory_is(void)
{
    struct photos *p = make_photos(6);
    REQUIRE(p);
    const char *path = in_dir("vectors.i8");
    struct index_sidecar s;
    struct err e = { 0 };
    CHECK(index_sidecar_open(&s, path, &stamp, NULL) == ERR_NOT_FOUND && !s.view.rows);
    REQUIRE(write_sidecar(path, p, 1000, &e) == ERR_NONE);
    REQUIRE(index_sidecar_open(&s, path, &stamp, &e) == ERR_NONE);
    struct index_memory m = in_memory(p, 0, 1000);
    CHECK(s.view.n_rows == 1000 && s.view.dim == DIM && s.view.stride == m.view.stride);
    CHECK((uintptr_t)s.view.rows % 64 == 0 && (uintptr_t)m.view.rows % 64 == 0);
    CHECK(!memcmp(s.view.ids, m.view.ids, 1000 * sizeof *m.view.ids));
    CHECK(!memcmp(s.view.scales, m.view.scales, 1000 * sizeof *m.view.scales));
    CHECK(!memcmp(s.view.sums, m.view.sums, 1000 * sizeof *m.view.sums));
    CHECK(!memcmp(s.view.rows, m.view.rows, 1000 * m.view.stride));

    /* Fewer or more rows than announced: the old file stays, no other is left. */
    e = (struct err){ 0 };
    CHECK(write_sidecar(path, p, 999, &e) == ERR_INVALID && strstr(e.msg, "999"));
    CHECK(write_sidecar(path, p, 1001, NULL) == ERR_LIMIT);
    CHECK(write_sidecar(in_dir("no/such/folder"), p, 1000, NULL) == ERR_NOT_FOUND);
    path = in_dir("vectors.i8");
    struct index_sidecar again;
    REQUIRE(index_sidecar_open(&again, path, &stamp, NULL) == ERR_NONE);
    CHECK(unlink(path) == 0 && s.view.ids[999] == 1999); /* an open one outlives its name */
    index_sidecar_close(&again);
    index_sidecar_close(&s);
    index_sidecar_close(&s);
    index_memory_clear(&m);
    free(p);
}

static void only_the_sidecar_of_the_stamp_opens(void)
{
    struct photos *p = make_photos(8);
    REQUIRE(p);
    const char *path = in_dir("stamped.i8");
    REQUIRE(write_sidecar(path, p, 1000, NULL) == ERR_NONE);
    struct index_stamp t[5] = { stamp, stamp, stamp, stamp, stamp };
    t[0].generation++;
    t[1].n_rows--;
    t[2].dim++;
    t[3].space[31] ^= 1;
    t[4].n_rows += INDEX_ROWS_MAX;
    static const char *const says[5] = { "another generation", "another number", "another number",
                                         "another model", "limits" };
    for (int i = 0; i < 5; i++) {
        struct index_sidecar s;
        struct err e = { 0 };
        CHECK(index_sidecar_open(&s, path, &t[i], &e) == (i < 4 ? ERR_CORRUPT : ERR_LIMIT));
        CHECK(strstr(e.msg, says[i]) != NULL && !s.map.data && !s.view.rows);
    }
    free(p);
}

/* Not file_replace, which waits for the disk: this is done hundreds of times. */
static void put(const char *path, const void *data, size_t n)
{
    FILE *f = fopen(path, "wb");
    CHECK(f && fwrite(data, 1, n, f) == n && !fclose(f));
}

static void no_damaged_sidecar_opens(void)
{
    struct photos *p = make_photos(9);
    REQUIRE(p);
    const char *path = in_dir("damaged.i8");
    REQUIRE(write_sidecar(path, p, 1000, NULL) == ERR_NONE);
    uint8_t *file = NULL;
    size_t n = 0;
    struct index_sidecar s;
    REQUIRE(file_read(path, 1 << 20, &file, &n, NULL, NULL) == ERR_NONE);
    for (size_t i = 0; i < sizeof(struct layout_header); i++)
        for (int bit = 0; bit < 8; bit += 7) {
            file[i] ^= (uint8_t)(1 << bit);
            put(path, file, n);
            CHECK(index_sidecar_open(&s, path, &stamp, NULL) == ERR_CORRUPT && !s.map.data);
            file[i] ^= (uint8_t)(1 << bit);
        }
    for (size_t cut = 0; cut < n; cut = cut < 200 ? cut + 1 : cut * 2) {
        put(path, file, cut);
        CHECK(index_sidecar_open(&s, path, &stamp, NULL) == ERR_CORRUPT);
    }
    put(path, file, n - 1);
    CHECK(index_sidecar_open(&s, path, &stamp, NULL) == ERR_CORRUPT);
    put(path, file, n + 1); /* file_read put a NUL there */
    CHECK(index_sidecar_open(&s, path, &stamp, NULL) == ERR_CORRUPT);
    put(path, file, n);
    CHECK(index_sidecar_open(&s, path, &stamp, NULL) == ERR_NONE);
    index_sidecar_close(&s);
    CHECK(index_sidecar_open(&s, scratch, &stamp, NULL) == ERR_UNSUPPORTED);
    free(file);
    free(p);
}

/* Rows whose bytes are damaged can be ranked wrongly, never read out of bounds or break the order.
 */
static void damaged_rows_do_no_harm(void)
{
    struct photos *p = make_photos(10);
    REQUIRE(p);
    const char *path = in_dir("noise.i8");
    REQUIRE(write_sidecar(path, p, 1000, NULL) == ERR_NONE);
    uint8_t *file = NULL;
    size_t n = 0, n_hits = 0;
    REQUIRE(file_read(path, 1 << 20, &file, &n, NULL, NULL) == ERR_NONE);
    for (size_t i = sizeof(struct layout_header); i < n; i++)
        file[i] = (uint8_t)rand();
    put(path, file, n);
    struct index_sidecar s;
    REQUIRE(index_sidecar_open(&s, path, &stamp, NULL) == ERR_NONE);
    float q[DIM] = { 1, -1, .5f };
    uint64_t bits[64];
    memset(bits, 0xff, sizeof bits);
    struct index_filter f = { bits, 64 * 64 };
    struct index_hit hits[50];
    struct index_query query = { q, 1, DIM, 50, NULL, NULL, NULL, NULL };
    CHECK(index_search(&s.view, 1, &query, hits, &n_hits, NULL) == ERR_NONE && n_hits <= 50);
    query.filter = &f;
    CHECK(index_search(&s.view, 1, &query, hits, &n_hits, NULL) == ERR_NONE && n_hits <= 50);
    index_sidecar_close(&s);
    free(file);
    free(p);
}

static void a_sidecar_may_be_empty(void)
{
    struct index_stamp none = stamp;
    none.n_rows = 0;
    struct index_writer *w = NULL;
    const char *path = in_dir("empty.i8");
    REQUIRE(index_writer_open(&w, path, &none, NULL) == ERR_NONE);
    CHECK(index_writer_commit(w, NULL) == ERR_NONE);
    index_writer_close(w);
    index_writer_close(NULL);
    struct index_sidecar s;
    REQUIRE(index_sidecar_open(&s, path, &none, NULL) == ERR_NONE);
    float q[DIM] = { 1 };
    struct index_hit hits[3];
    size_t n_hits = 9;
    struct index_query query = { q, 1, DIM, 3, NULL, NULL, NULL, NULL };
    CHECK(index_search(&s.view, 1, &query, hits, &n_hits, NULL) == ERR_NONE && n_hits == 0);
    index_sidecar_close(&s);
}

static const struct tap_case cases[] = {
    CASE(quantised_to_the_nearest),
    CASE(what_is_no_vector_is_refused),
    CASE(halves_go_and_come),
    CASE(topk_keeps_the_best),
    CASE(finds_what_a_sort_finds),
    CASE(finds_only_candidates),
    CASE(same_for_any_number_of_threads_and_queries),
    CASE(hard_requests_fail_and_empty_ones_do_not),
    CASE(a_sidecar_is_what_memory_is),
    CASE(only_the_sidecar_of_the_stamp_opens),
    CASE(no_damaged_sidecar_opens),
    CASE(damaged_rows_do_no_harm),
    CASE(a_sidecar_may_be_empty),
};

int main(void)
{
    scratch_make();
    int rc = tap_run(cases, sizeof cases / sizeof *cases);
    scratch_remove();
    return rc;
}
