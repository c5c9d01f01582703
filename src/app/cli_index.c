#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "app/cli.h"
#include "app/engine.h"
#include "app/out.h"
#include "base/buf.h"
#include "sys/cpu.h"

enum { FAILURES_SHOWN = 100, MIB_MAX = 1 << 20, MEGAPIXELS_MAX = 4000 };

static const struct cli_option options[] = {
    { "library", 0, "DIR", "the library's folder, made when absent (default: $FOVEA_LIBRARY)" },
    { "model", 0, "NAME", "the CLIP model to embed with (default: $FOVEA_MODEL)" },
    { "threads", 'j', "N", "workers (default: one a core)" },
    { "max-mib", 0, "N", "largest file that is read, in MiB (default: 512)" },
    { "max-megapixels", 0, "N", "largest picture that is decoded (default: 400)" },
    { "quiet", 'q', NULL, "no progress; the summary only" },
    { "timing", 0, NULL, "add how long each stage took" },
    { NULL, 0, NULL, NULL },
};

static atomic_bool cancel;

static void on_signal(int sig)
{
    (void)sig;
    atomic_store(&cancel, true);
    signal(SIGINT, SIG_DFL); /* a second one ends the process at once; the library stays whole */
    signal(SIGTERM, SIG_DFL);
}

struct view {
    struct out_progress progress;
    bool quiet;
    struct buf failures; /* "path\0why\0" pairs */
    size_t n_failures;
};

static void on_progress(const struct library_progress *p, void *ctx)
{
    struct view *v = ctx;
    if (!v->quiet)
        out_progress_show(&v->progress, p);
}

static void on_failure(const char *path, const char *why, void *ctx)
{
    struct view *v = ctx;
    if (v->n_failures++ >= FAILURES_SHOWN)
        return;
    if (buf_append(&v->failures, path, strlen(path) + 1, NULL) == ERR_NONE)
        (void)buf_append(&v->failures, why, strlen(why) + 1, NULL);
}

static void print_failures(const struct view *v)
{
    const char *at = v->failures.data, *end = at ? at + v->failures.len : at;
    while (at < end) {
        const char *why = at + strlen(at) + 1;
        if (why >= end)
            break;
        printf("  ");
        out_failure(stdout, at, why);
        printf("\n");
        at = why + strlen(why) + 1;
    }
    if (v->n_failures > FAILURES_SHOWN)
        printf("  ... and %zu more; `fovea status --failed` lists all\n",
               v->n_failures - FAILURES_SHOWN);
}

static void print_timing(const struct library_report *r, struct image_decoder *d)
{
    static const char *const names[] = { "read", "decode", "prepare", "embed", "store" };
    double t[] = { r->read_s, r->decode_s, r->prepare_s, r->embed_s, r->write_s };
    printf("scan %.3f s, work %.3f s, sidecar %.3f s; busy:", r->scan_s, r->work_s, r->sidecar_s);
    for (size_t i = 0; i < sizeof t / sizeof *t; i++)
        printf(" %s %.3f s%s", names[i], t[i], i + 1 < sizeof t / sizeof *t ? "," : "\n");
    printf("peak memory %.1f MiB, of a decode helper %.1f MiB\n", (double)cpu_peak_rss(0) / 1048576,
           (double)image_decoder_helper_peak(d) / 1048576);
}

static void print_report(const struct library_report *r, const struct view *v)
{
    const struct {
        uint64_t n;
        const char *what;
    } rows[] = { { r->n_added, "added" },
                 { r->n_duplicate, "copied or moved" },
                 { r->n_changed, "changed" },
                 { r->n_unchanged, "unchanged" },
                 { r->n_removed, "removed" },
                 { r->n_offline, r->n_offline == 1 ? "folder offline" : "folders offline" },
                 { r->n_failed, "failed" },
                 { r->n_failed_before, "failed before and unchanged" } };
    uint64_t n_seen = 0;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        n_seen += rows[i].n;
    printf("%s", r->cancelled ? "stopped; run again to go on: "
                 : !n_seen    ? "no photos there; `fovea index --help` tells what is read: "
                              : "");
    const char *sep = "";
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].n || i == 0 || i == 3) {
            printf("%s%llu %s", sep, (unsigned long long)rows[i].n, rows[i].what);
            sep = ", ";
        }
    double s = r->scan_s + r->work_s + r->sidecar_s;
    printf(" in %.1f s", s);
    if (r->n_embedded && r->work_s > 0)
        printf(" (%.1f photos/s)", (double)r->n_embedded / r->work_s);
    printf("\n");
    print_failures(v);
}

/* Loading the text tower for the first time takes a second and leaves its prepared form in the
 * cache. Done here, the first search is as quick as the next; if it fails, that search says why. */
static void prepare_words(const struct config *c, const char *model)
{
    struct engine e;
    struct predict_bundle *b = NULL;
    if (engine_init(&e, c, 1, ENGINE_ONCE, NULL) != ERR_NONE)
        return;
    if (predict_acquire(e.predict, MODEL_CLIP, MODEL_TEXTUAL, model, &b, NULL) == ERR_NONE)
        predict_release(e.predict, b);
    engine_clear(&e);
}

static int run(const struct cli_call *call)
{
    int64_t n_threads, mib, megapixels;
    if (!cli_number(call, "threads", 1, 1024, 0, &n_threads) ||
        !cli_number(call, "max-mib", 1, MIB_MAX, 0, &mib) ||
        !cli_number(call, "max-megapixels", 1, MEGAPIXELS_MAX, 0, &megapixels))
        return EXIT_USAGE;
    struct view v = { .quiet = cli_given(call, "quiet") };
    struct err err = { 0 };
    struct engine e;
    struct library_report report;
    if (engine_init(&e, call->config, 1, ENGINE_BATCH, &err) != ERR_NONE)
        return cli_fail(&err);
    out_progress_init(&v.progress, stderr);
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    struct library_index_options o = { .dir = cli_library(call),
                                       .model = cli_model(call),
                                       .predict = e.predict,
                                       .decoder = e.decoder,
                                       .n_threads = (unsigned)n_threads,
                                       .max_bytes = (uint64_t)mib << 20,
                                       .max_pixels = (uint64_t)megapixels * 1000000,
                                       .on_progress = on_progress,
                                       .on_failure = on_failure,
                                       .ctx = &v,
                                       .cancel = &cancel };
    enum err_code rc = library_index(&o, call->args, call->n_args, &report, &err);
    out_progress_end(&v.progress);
    if (rc == ERR_NONE) {
        print_report(&report, &v);
        if (cli_given(call, "timing"))
            print_timing(&report, e.decoder);
    }
    engine_clear(&e);
    if (rc == ERR_NONE && report.n_embedded && !report.cancelled)
        prepare_words(call->config, o.model);
    buf_clear(&v.failures);
    if (rc != ERR_NONE)
        return cli_fail(&err);
    return report.n_failed || report.n_offline || report.cancelled ? EXIT_FAILED : EXIT_OK;
}

const struct cli_command cli_index = {
    .name = "index",
    .args = "[OPTION...] [FOLDER...]",
    .summary = "read photos into the library: new ones, changed ones, those that have gone",
    .details =
        "Reads the photos below each FOLDER into the library; without FOLDER, brings up to date "
        "the\n"
        "folders that are in it. Photos are JPEG, PNG, WebP, GIF, TIFF, HEIC, AVIF, JPEG XL, BMP "
        "and raw\n"
        "files by their names' endings, hidden ones left out. They are only ever read. What is "
        "unchanged since the last run "
        "is\n"
        "not read again, so run it as often as you like; it can be stopped at any moment.\n"
        "A folder that is missing or suddenly empty counts as offline, and nothing of it is "
        "removed.\n"
        "A photo that cannot be read is named with the reason and tried again once it changes.\n"
        "Exit status: 0; 1 when a photo failed, a folder is offline or the run was stopped; 2 "
        "usage.",
    .options = options,
    .run = run,
    .uses = CONFIG_USE(CONFIG_LIBRARY) | CONFIG_USE(CONFIG_MODELS),
};
