#include <stdlib.h>
#include <string.h>

#include "app/cli.h"
#include "app/engine.h"
#include "app/out.h"
#include "base/json.h"
#include "search/search.h"
#include "sys/clock.h"

enum { RESULTS_DEFAULT = 10 };

static const struct cli_option options[] = {
    { "library", 0, "DIR", "the library's folder (default: $FOVEA_LIBRARY)" },
    { "model", 0, "NAME", "the CLIP model it was indexed with (default: $FOVEA_MODEL)" },
    { "number", 'n', "N", "how many results, 1 to 10000 (default: 10)" },
    { "json", 0, NULL, "one JSON object: query, results with id, path, score" },
    { "timing", 0, NULL, "add where the time went" },
    { NULL, 0, NULL, NULL },
};

static enum err_code put_result(struct buf *b, const struct search_result *r, struct err *err)
{
    enum err_code rc = buf_printf(b, err, "{\"id\":%lld,\"path\":", (long long)r->id);
    if (rc == ERR_NONE)
        rc = json_put_string(b, r->path, strlen(r->path), err);
    if (rc == ERR_NONE)
        rc = buf_puts(b, ",\"score\":", err);
    if (rc == ERR_NONE)
        rc = json_put_float(b, r->score, err);
    return rc == ERR_NONE ? buf_puts(b, "}", err) : rc;
}

static enum err_code print_json(const struct cli_call *call, const struct search_results *r,
                                struct err *err)
{
    struct buf b = { 0 }, query = { 0 };
    enum err_code rc = ERR_NONE;
    for (size_t i = 0; i < call->n_args && rc == ERR_NONE; i++)
        rc = buf_printf(&query, err, "%s%s", i ? " " : "", call->args[i]);
    if (rc == ERR_NONE)
        rc = buf_puts(&b, "{\"query\":", err);
    if (rc == ERR_NONE)
        rc = json_put_string(&b, query.data, query.len, err);
    if (rc == ERR_NONE)
        rc = buf_puts(&b, ",\"results\":[", err);
    for (size_t i = 0; i < r->n && rc == ERR_NONE; i++) {
        rc = i ? buf_puts(&b, ",\n", err) : ERR_NONE;
        if (rc == ERR_NONE)
            rc = put_result(&b, &r->items[i], err);
    }
    if (rc == ERR_NONE)
        rc = buf_puts(&b, "]}\n", err);
    if (rc == ERR_NONE)
        fwrite(b.data, 1, b.len, stdout);
    buf_clear(&b);
    buf_clear(&query);
    return rc;
}

static void print_results(const struct search_results *r)
{
    if (!r->n)
        fprintf(stderr, "the library has no photos now; `fovea status` tells what it has\n");
    for (size_t i = 0; i < r->n; i++) {
        printf("%6.3f  ", (double)r->items[i].score);
        out_path(stdout, r->items[i].path);
        printf("\n");
    }
}

static enum err_code print_all(const struct cli_call *call, const struct search *s,
                               const struct search_results *r, double open_ms, struct err *err)
{
    enum err_code rc = ERR_NONE;
    if (cli_given(call, "json"))
        rc = print_json(call, r, err);
    else
        print_results(r);
    fflush(stdout);
    if (cli_given(call, "timing"))
        fprintf(stderr,
                "%zu of %s in %.0f ms: open %.1f, query to vector %.1f, scan %.2f, paths "
                "%.2f\n",
                r->n, out_count(search_n_photos(s), "photo").text,
                open_ms + r->embed_ms + r->scan_ms + r->paths_ms, open_ms, r->embed_ms, r->scan_ms,
                r->paths_ms);
    return rc;
}

/* query NULL: similar to the one argument. */
static int find(const struct cli_call *call, const struct search_query *query, size_t n)
{
    struct err err = { 0 };
    struct engine e = { 0 };
    struct search *s = NULL;
    struct search_results r = { 0 };
    int64_t t = clock_mono_ns();
    enum err_code rc = engine_init(&e, call->config, 1, ENGINE_ONCE, &err);
    struct search_options o = { .dir = cli_library(call),
                                .model = cli_model(call),
                                .predict = e.predict,
                                .decoder = e.decoder };
    if (rc == ERR_NONE)
        rc = search_open(&s, &o, &err);
    double open_ms = clock_ms_since(t);
    if (rc == ERR_NONE)
        rc = query ? search_run(s, query, n, &r, &err)
                   : search_similar(s, call->args[0], n, &r, &err);
    if (rc == ERR_NONE)
        rc = print_all(call, s, &r, open_ms, &err);
    search_results_clear(&r);
    search_close(s);
    engine_clear(&e);
    return rc == ERR_NONE ? EXIT_OK : cli_fail(&err);
}

static int run_search(const struct cli_call *call)
{
    struct err err = { 0 };
    struct search_query q;
    int64_t n;
    if (!cli_number(call, "number", 1, SEARCH_RESULTS_MAX, RESULTS_DEFAULT, &n))
        return EXIT_USAGE;
    if (!call->n_args)
        return cli_usage(call, "say what to look for");
    if (search_parse(&q, call->args, call->n_args, &err) != ERR_NONE)
        return cli_fail(&err);
    int rc = find(call, &q, (size_t)n);
    search_query_clear(&q);
    return rc;
}

static int run_similar(const struct cli_call *call)
{
    int64_t n;
    if (!cli_number(call, "number", 1, SEARCH_RESULTS_MAX, RESULTS_DEFAULT, &n))
        return EXIT_USAGE;
    if (call->n_args != 1)
        return cli_usage(call, "give one image");
    return find(call, NULL, (size_t)n);
}

const struct cli_command cli_search = {
    .name = "search",
    .args = "[OPTION...] [--] QUERY...",
    .summary = "find photos by words and examples",
    .details = "Ranks the photos of the library by how well they fit the query, best first.\n\n"
               "  fovea search dog on grass               words make one phrase\n"
               "  fovea search dog -- -person             less of something; after -- since it "
               "begins with -\n"
               "  fovea search dog 0.5:snow               a weight\n"
               "  fovea search image:beach.jpg sunset     an example: any image file\n"
               "  fovea search '\"-5 degrees\"'             quotes make anything words",
    .options = options,
    .run = run_search,
    .uses = CONFIG_USE(CONFIG_LIBRARY) | CONFIG_USE(CONFIG_MODELS),
};

const struct cli_command cli_similar = {
    .name = "similar",
    .args = "[OPTION...] IMAGE",
    .summary = "find photos like a photo",
    .details = "Ranks the photos of the library by how alike they are to IMAGE, which may be one "
               "of them or\n"
               "any image file.",
    .options = options,
    .run = run_similar,
    .uses = CONFIG_USE(CONFIG_LIBRARY) | CONFIG_USE(CONFIG_MODELS),
};
