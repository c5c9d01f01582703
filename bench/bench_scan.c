/* bench_scan - what a search costs, against what reading the same bytes costs.
 *
 *   bench_scan [--json] [--threads N] [--dump FOLDER] [ROWS...]        default: 100000 1000000
 *
 * For each count of rows it writes a sidecar (512 values a row), maps it, and asks for the ten
 * nearest of texts, as the library does. `roof` is one thread summing the same mapped bytes with
 * the widest loads there are and nothing else: no scan can be faster. `search` adds the f16
 * rescore, with vectors from memory. Times are the best of many, which is what a shared machine can
 * say. */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "index/index.h"
#include "simd/simd.h"
#include "synthetic.h"
#include "sys/clock.h"
#include "sys/cpu.h"
#include "sys/pool.h"

enum { DIM = 512, K = 10, QUERIES = 20, SEED = 1, REPEATS = 3 };

struct bench {
    char path[64];
    size_t n_rows;
    uint16_t *f16; /* [n_rows, DIM] */
    struct index_sidecar sidecar;
    float queries[QUERIES][DIM];
    struct index_hit hits[QUERIES][K];
    struct pool *pool;
};

struct result {
    double roof_gbs, scan_ms, search_ms, pool_ms, batch_ms, recall;
};

static void die(const struct err *e)
{
    fprintf(stderr, "bench_scan: %s\n", e->msg);
    exit(1);
}

static enum err_code fetch(void *ctx, int64_t id, uint16_t *out, struct err *err)
{
    const struct bench *b = ctx;
    (void)err;
    memcpy(out, b->f16 + (size_t)id * DIM, DIM * sizeof *out);
    return ERR_NONE;
}

static void write_sidecar(struct bench *b, const struct index_stamp *stamp, struct err *err)
{
    struct index_writer *w;
    if (index_writer_open(&w, b->path, stamp, err) != ERR_NONE)
        die(err);
    for (size_t r = 0; r < b->n_rows; r++) {
        float v[DIM];
        synthetic_picture(v, DIM, SEED, r, false);
        if (index_to_f16(v, DIM, b->f16 + r * DIM, err) != ERR_NONE ||
            index_writer_add(w, (int64_t)r, b->f16 + r * DIM, err) != ERR_NONE)
            die(err);
    }
    if (index_writer_commit(w, err) != ERR_NONE)
        die(err);
    index_writer_close(w);
}

static void bench_open(struct bench *b, size_t n_rows, unsigned n_threads)
{
    struct err err = { 0 };
    struct index_stamp stamp = { .n_rows = n_rows, .dim = DIM };
    b->n_rows = n_rows;
    b->f16 = calloc(n_rows, DIM * sizeof *b->f16);
    snprintf(b->path, sizeof b->path, "/tmp/bench_scan-%ld.i8", (long)getpid());
    if (!b->f16)
        die(&(struct err){ .msg = "no memory for the vectors" });
    write_sidecar(b, &stamp, &err);
    if (index_sidecar_open(&b->sidecar, b->path, &stamp, &err) != ERR_NONE)
        die(&err);
    unlink(b->path);
    for (size_t i = 0; i < QUERIES; i++)
        synthetic_text(b->queries[i], DIM, SEED, i * (n_rows / QUERIES), false);
    if (n_threads > 1 && pool_create(&b->pool, n_threads - 1, 64, &err) != ERR_NONE)
        die(&err);
}

static void dump(const struct bench *b, const char *folder)
{
    struct err err = { 0 };
    char path[4096];
    snprintf(path, sizeof path, "%s/vectors.f16", folder);
    if (file_replace(path, b->f16, b->n_rows * DIM * sizeof *b->f16, &err) != ERR_NONE)
        die(&err);
    snprintf(path, sizeof path, "%s/queries.f32", folder);
    if (file_replace(path, b->queries, sizeof b->queries, &err) != ERR_NONE)
        die(&err);
}

static void bench_close(struct bench *b)
{
    pool_destroy(b->pool);
    index_sidecar_close(&b->sidecar);
    free(b->f16);
}

typedef uint64_t lanes __attribute__((vector_size(64)));

/* One sum a cache line, in the widest registers that the CPU has. */
__attribute__((target_clones("avx512f", "avx2", "default"))) static uint64_t stream_sum(
    const lanes *p, size_t n)
{
    lanes a = { 0 }, b = { 0 }, c = { 0 }, d = { 0 };
    for (size_t i = 0; i + 4 <= n; i += 4) {
        a += p[i];
        b += p[i + 1];
        c += p[i + 2];
        d += p[i + 3];
    }
    a += b + c + d;
    return a[0] + a[1] + a[2] + a[3] + a[4] + a[5] + a[6] + a[7];
}

static double time_roof(const struct bench *b)
{
    const struct index_view *v = &b->sidecar.view;
    int64_t t = clock_mono_ns();
    volatile uint64_t sink =
        stream_sum((const void *)v->rows, v->n_rows * v->stride / sizeof(lanes));
    (void)sink;
    return clock_ms_since(t);
}

/* Queries first .. first + n - 1 at once. */
static double time_search(struct bench *b, size_t first, size_t n, index_fetch_fn fetch_fn,
                          struct pool *pool)
{
    struct index_query q = { b->queries[first], n, DIM, K, NULL, fetch_fn, b, pool };
    struct err err = { 0 };
    size_t n_hits[QUERIES];
    int64_t t = clock_mono_ns();
    if (index_search(&b->sidecar.view, 1, &q, b->hits[first], n_hits, &err) != ERR_NONE)
        die(&err);
    return clock_ms_since(t);
}

static void keep_least(double *best, double ms)
{
    if (*best == 0 || ms < *best)
        *best = ms;
}

static double recall(const struct bench *b)
{
    const struct simd *k = simd_get();
    size_t right = 0;
    for (size_t i = 0; i < QUERIES; i++) {
        size_t above[K] = { 0 };
        for (size_t r = 0; r < b->n_rows; r++) {
            float s = k->dot_f16(b->f16 + r * DIM, b->queries[i], DIM);
            for (int j = 0; j < K; j++)
                above[j] += s > b->hits[i][j].score;
        }
        for (int j = 0; j < K; j++)
            right += above[j] < K;
    }
    return (double)right / (QUERIES * K);
}

/* In turn, so that what else the machine does meets all of them. */
static struct result measure(struct bench *b)
{
    struct result r = { 0 };
    double roof_ms = 0;
    for (size_t i = 0; i < QUERIES * REPEATS; i++) {
        size_t q = i % QUERIES;
        keep_least(&roof_ms, time_roof(b));
        keep_least(&r.scan_ms, time_search(b, q, 1, NULL, NULL));
        if (b->pool)
            keep_least(&r.pool_ms, time_search(b, q, 1, NULL, b->pool));
        if (q == 0)
            keep_least(&r.batch_ms, time_search(b, 0, QUERIES, fetch, NULL));
        keep_least(&r.search_ms, time_search(b, q, 1, fetch, NULL));
    }
    r.roof_gbs = (double)(b->n_rows * b->sidecar.view.stride) / 1e6 / roof_ms;
    r.recall = recall(b);
    return r;
}

static void print_row(const struct bench *b, const struct result *r, unsigned n_threads, bool json,
                      bool first)
{
    double gbs = (double)(b->n_rows * b->sidecar.view.stride) / 1e6 / r->scan_ms;
    if (json)
        printf("%s\n  {\"rows\": %zu, \"scan_ms\": %.4g, \"scan_gbs\": %.4g, \"roof_gbs\": %.4g, "
               "\"of_roof\": %.3f, \"search_ms\": %.4g, \"threads\": %u, \"threads_ms\": %.4g, "
               "\"batch\": %d, \"batch_ms\": %.4g, \"recall_at_10\": %.4f}",
               first ? "" : ",", b->n_rows, r->scan_ms, gbs, r->roof_gbs, gbs / r->roof_gbs,
               r->search_ms, n_threads, r->pool_ms, QUERIES, r->batch_ms / QUERIES, r->recall);
    else
        printf("%9zu %9.2f %7.1f %7.1f %7.0f%% %10.2f %12.2f %9.3f %9.4f\n", b->n_rows, r->scan_ms,
               gbs, r->roof_gbs, 100 * gbs / r->roof_gbs, r->search_ms, r->pool_ms,
               r->batch_ms / QUERIES, r->recall);
    fflush(stdout);
}

static void print_head(unsigned n_threads, bool json)
{
    char cpu[128], isa[64];
    cpu_name(cpu);
    simd_describe(simd_used(), isa);
    if (json) {
        printf("{\"cpu\": \"%s\", \"simd\": \"%s\", \"dim\": %d, \"results\": [", cpu, isa, DIM);
        return;
    }
    printf("%s, %s; %d values a row; ms a query, best of %d\n", cpu, isa, DIM, QUERIES * REPEATS);
    printf("%9s %9s %7s %7s %8s %10s %9s%3u %9s %9s\n", "rows", "scan ms", "GB/s", "roof",
           "of roof", "search ms", "threads:", n_threads, "batch ms", "recall@10");
}

int main(int argc, char **argv)
{
    unsigned n_threads = cpu_count();
    const char *dump_to = NULL;
    bool json = false;
    int i = 1;
    for (; i < argc && argv[i][0] == '-'; i++)
        if (!strcmp(argv[i], "--json"))
            json = true;
        else if (!strcmp(argv[i], "--threads") && i + 1 < argc)
            n_threads = (unsigned)strtoul(argv[++i], NULL, 10);
        else if (!strcmp(argv[i], "--dump") && i + 1 < argc)
            dump_to = argv[++i];
        else
            return fprintf(stderr,
                           "usage: bench_scan [--json] [--threads N] [--dump FOLDER] [ROWS...]\n"),
                   2;
    static char *usual[] = { "100000", "1000000", NULL };
    char **rows = i < argc ? argv + i : usual;
    print_head(n_threads, json);
    for (char **p = rows; *p; p++) {
        struct bench b = { 0 };
        size_t n = strtoull(*p, NULL, 10);
        if (n < QUERIES || n > INDEX_ROWS_MAX)
            return fprintf(stderr, "bench_scan: %s rows: not %d to %zu\n", *p, QUERIES,
                           INDEX_ROWS_MAX),
                   2;
        bench_open(&b, n, n_threads);
        if (dump_to)
            dump(&b, dump_to);
        struct result r = measure(&b);
        print_row(&b, &r, n_threads, json, p == rows);
        bench_close(&b);
    }
    if (json)
        puts("\n]}");
    return 0;
}
