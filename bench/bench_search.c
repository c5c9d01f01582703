/* bench_search LIBRARY MODELS CACHE MODEL ORT [n]: a search in a process that is warm, as a server
 * has it: text in, paths out. Prints medians of n runs by stage in milliseconds. */
#include <stdio.h>
#include <stdlib.h>

#include "search/search.h"
#include "sys/clock.h"

enum { RUNS_MAX = 1000 };

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *v, size_t n)
{
    qsort(v, n, sizeof *v, by_value);
    return v[n / 2];
}

static int fail(const struct err *e)
{
    fprintf(stderr, "bench_search: %s\n", e->msg);
    return 1;
}

int main(int argc, char **argv)
{
    static const char *const words[] = { "dog on grass", "beach at sunset", "page of text",
                                         "mountain lake", "people at a table" };
    struct err e = { 0 };
    struct predict *p = NULL;
    struct search *s = NULL;
    size_t n = argc > 6 ? (size_t)strtoul(argv[6], NULL, 10) : 100;
    if (argc < 6 || !n || n > RUNS_MAX)
        return fprintf(stderr, "usage: bench_search LIBRARY MODELS CACHE MODEL ORT [N]\n"), 2;
    struct predict_options po = { .models_dir = argv[2],
                                  .cache_dir = argv[3],
                                  .infer = { .ort_library = argv[5] } };
    if (predict_create(&p, &po, &e) != ERR_NONE)
        return fail(&e);
    struct search_options so = { .dir = argv[1], .model = argv[4], .predict = p };
    if (search_open(&s, &so, &e) != ERR_NONE)
        return fail(&e);
    static double total[RUNS_MAX], embed[RUNS_MAX], scan[RUNS_MAX], paths[RUNS_MAX];
    for (size_t i = 0; i < n + 5; i++) { /* the first five warm it up */
        struct search_query q;
        struct search_results r;
        size_t k = i < 5 ? 0 : i - 5;
        const char *args[] = { words[i % (sizeof words / sizeof *words)] };
        int64_t t = clock_mono_ns();
        if (search_parse(&q, args, 1, &e) != ERR_NONE || search_run(s, &q, 10, &r, &e) != ERR_NONE)
            return fail(&e);
        total[k] = clock_ms_since(t);
        embed[k] = r.embed_ms;
        scan[k] = r.scan_ms;
        paths[k] = r.paths_ms;
        search_results_clear(&r);
        search_query_clear(&q);
    }
    printf("%zu photos: total %.2f, embed %.2f, scan %.2f, paths %.2f\n", search_n_photos(s),
           median(total, n), median(embed, n), median(scan, n), median(paths, n));
    search_close(s);
    predict_destroy(p);
    return 0;
}
