/* Recall of the int8 scan with an f16 rescore: how many of the ten nearest come out, by the f16
 * vectors that the database keeps (what the choice of the few loses) and by the f32 ones before
 * them (what rounding them loses as well).
 *
 *   recall_index [ROWS [QUERIES [SEED]]] */
#include "tap.h"

#include <stdlib.h>

#include "index/index.h"
#include "simd/simd.h"
#include "synthetic.h"

enum { DIM = 512, K = 10 };

static size_t n_rows = 20000, n_queries = 200;
static uint64_t seed = 1;

struct rows {
    float *f32;
    uint16_t *f16;
    struct index_memory memory;
};

static void rows_clear(struct rows *r)
{
    free(r->f32);
    free(r->f16);
    index_memory_clear(&r->memory);
}

static bool rows_init(struct rows *r, bool spikes)
{
    *r = (struct rows){ calloc(n_rows, DIM * sizeof(float)),
                        calloc(n_rows, DIM * sizeof(uint16_t)),
                        { .view.dim = DIM } };
    bool ok = r->f32 && r->f16;
    for (size_t i = 0; ok && i < n_rows; i++) {
        float *v = r->f32 + i * DIM;
        uint16_t *h = r->f16 + i * DIM;
        synthetic_picture(v, DIM, seed, i, spikes);
        ok = index_to_f16(v, DIM, h, NULL) == ERR_NONE &&
             index_memory_add(&r->memory, (int64_t)i, h, NULL) == ERR_NONE;
    }
    return ok;
}

static enum err_code fetch(void *ctx, int64_t id, uint16_t *out, struct err *err)
{
    const struct rows *r = ctx;
    (void)err;
    memcpy(out, r->f16 + (size_t)id * DIM, DIM * sizeof *out);
    return ERR_NONE;
}

static float score_f16(const struct rows *r, size_t row, const float *q)
{
    return simd_get()->dot_f16(r->f16 + row * DIM, q, DIM);
}

static float score_f32(const struct rows *r, size_t row, const float *q)
{
    return simd_get()->dot_f32(r->f32 + row * DIM, q, DIM);
}

/* How many of the hits have fewer than K rows above them. */
static size_t count_right(const struct rows *r, const float *q, const struct index_hit hits[K],
                          float (*score)(const struct rows *r, size_t row, const float *q))
{
    float of_hit[K];
    size_t above[K] = { 0 }, right = 0;
    for (int i = 0; i < K; i++)
        of_hit[i] = score(r, (size_t)hits[i].id, q);
    for (size_t row = 0; row < n_rows; row++) {
        float s = score(r, row, q);
        for (int i = 0; i < K; i++)
            above[i] += s > of_hit[i];
    }
    for (int i = 0; i < K; i++)
        right += above[i] < K;
    return right;
}

typedef void (*make_fn)(float *v, size_t dim, uint64_t seed, uint64_t r, bool spikes);

static void measure(make_fn query_of, bool spikes, double least_f32)
{
    struct rows r;
    size_t right_f16 = 0, right_f32 = 0, n_hits;
    double sum = 0, n = (double)n_queries;
    REQUIRE(rows_init(&r, spikes));
    for (size_t i = 0; i < n_queries; i++) {
        float q[DIM];
        struct index_hit hits[K];
        struct index_query query = { q, 1, DIM, K, NULL, fetch, &r, NULL };
        query_of(q, DIM, seed, i * (n_rows / n_queries) + i % 50, spikes);
        REQUIRE(index_search(&r.memory.view, 1, &query, hits, &n_hits, NULL) == ERR_NONE);
        REQUIRE(n_hits == K);
        right_f16 += count_right(&r, q, hits, score_f16);
        right_f32 += count_right(&r, q, hits, score_f32);
        sum += hits[0].score;
    }
    double by_f16 = (double)right_f16 / (n * K), by_f32 = (double)right_f32 / (n * K);
    printf("# recall@10 %.4f by f16, %.4f by f32; nearest at %.2f (%zu rows, %zu queries)\n",
           by_f16, by_f32, sum / n, n_rows, n_queries);
    CHECK(by_f16 >= .998);
    CHECK(by_f32 >= least_f32);
    rows_clear(&r);
}

static void pictures_like_a_picture(void)
{
    measure(synthetic_picture, false, .998);
}

static void pictures_of_a_text(void)
{
    measure(synthetic_text, false, .998);
}

/* A value of 0.6 is kept to 0.0001, which is more than what separates the tenth from the eleventh
 * of a tight cluster: this is the price of f16, not of the scan. */
static void pictures_like_a_picture_with_spikes(void)
{
    measure(synthetic_picture, true, .99);
}

static void pictures_of_a_text_with_spikes(void)
{
    measure(synthetic_text, true, .998);
}

static const struct tap_case cases[] = {
    CASE(pictures_like_a_picture),
    CASE(pictures_of_a_text),
    CASE(pictures_like_a_picture_with_spikes),
    CASE(pictures_of_a_text_with_spikes),
};

int main(int argc, char **argv)
{
    if (argc > 1)
        n_rows = strtoull(argv[1], NULL, 10);
    if (argc > 2)
        n_queries = strtoull(argv[2], NULL, 10);
    if (argc > 3)
        seed = strtoull(argv[3], NULL, 10);
    if (n_rows < 1000 || n_queries < 1 || n_queries > n_rows)
        return fprintf(stderr, "usage: recall_index [ROWS [QUERIES [SEED]]]\n"), 2;
    return tap_run(cases, sizeof cases / sizeof *cases);
}
