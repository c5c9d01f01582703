/* Fail the 1st, 2nd, ... allocation of our own code in an index run, a search and an export in
 * turn: each must come back as ERR_NOMEM, or with one photo noted as failed, and leak nothing (the
 * sanitizer looks); what follows undisturbed must find everything. */
#include "tap.h"

#include <stdlib.h>
#include <unistd.h>

#include "fault.h"
#include "scratch.h"
#include "search/search.h"
#include "sys/file.h"

enum { N_PHOTOS = 2 };

static char pictures[64], library[64], models[1024], example[96];

static void copy_picture(const char *tests, const char *name)
{
    char from[1024], to[96];
    uint8_t *bytes = NULL;
    size_t n = 0;
    snprintf(from, sizeof from, "%s/fuzz/corpus/image/%s", tests, name);
    snprintf(to, sizeof to, "%s/%s.jpg", pictures, name);
    if (file_read(from, 1 << 20, &bytes, &n, NULL, NULL) != ERR_NONE ||
        file_replace(to, bytes, n, NULL) != ERR_NONE)
        abort();
    free(bytes);
}

static void set_up(void)
{
    const char *tests = getenv("FOVEA_TESTS") ? getenv("FOVEA_TESTS") : "tests";
    scratch_make();
    snprintf(models, sizeof models, "%s/models", tests);
    snprintf(pictures, sizeof pictures, "%s/pictures", scratch);
    snprintf(library, sizeof library, "%s/library", scratch);
    snprintf(example, sizeof example, "image:%s/baseline.jpg", pictures);
    if (file_make_dirs(pictures, NULL) != ERR_NONE)
        abort();
    copy_picture(tests, "baseline");
    copy_picture(tests, "progressive");
}

static void forget(const char *folder)
{
    char cmd[96];
    snprintf(cmd, sizeof cmd, "rm -rf %s", folder);
    if (system(cmd))
        abort();
}

/* ---- what is disturbed ---- */

static void on_failure(const char *path, const char *why, void *ctx)
{
    (void)ctx;
    CHECK(*path && *why);
}

static enum err_code index_photos(struct err *err)
{
    const char *paths[] = { pictures };
    struct library_report report = { 0 };
    struct library_index_options o = {
        .dir = library, .model = "toy", .n_threads = 1, .on_failure = on_failure
    };
    const struct predict_options p = { .models_dir = models, .infer = { .n_threads = 1 } };
    enum err_code rc = predict_create(&o.predict, &p, err);
    if (rc == ERR_NONE)
        rc = image_decoder_create(&o.decoder, NULL, err);
    if (rc == ERR_NONE)
        rc = library_index(&o, paths, 1, &report, err);
    image_decoder_destroy(o.decoder);
    predict_destroy(o.predict);
    if (rc == ERR_NONE && (report.n_failed || report.n_offline))
        return err_set(err, ERR_NOMEM, "noted as failed");
    CHECK(rc != ERR_NONE || report.n_added + report.n_unchanged == N_PHOTOS);
    return rc;
}

static enum err_code ask(struct search *s, struct err *err)
{
    const char *args[] = { "a", "dog", example };
    struct search_query q;
    struct search_results r = { 0 };
    enum err_code rc = search_parse(&q, args, sizeof args / sizeof *args, err);
    if (rc == ERR_NONE)
        rc = search_run(s, &q, 10, &r, err);
    CHECK(rc != ERR_NONE || r.n == N_PHOTOS);
    search_results_clear(&r);
    search_query_clear(&q);
    return rc;
}

static enum err_code search_photos(struct err *err)
{
    struct search_options o = { .dir = library, .model = "toy" };
    const struct predict_options p = { .models_dir = models, .infer = { .n_threads = 1 } };
    struct search *s = NULL;
    enum err_code rc = predict_create(&o.predict, &p, err);
    if (rc == ERR_NONE)
        rc = image_decoder_create(&o.decoder, NULL, err);
    if (rc == ERR_NONE)
        rc = search_open(&s, &o, err);
    if (rc == ERR_NONE)
        rc = ask(s, err);
    search_close(s);
    image_decoder_destroy(o.decoder);
    predict_destroy(o.predict);
    return rc;
}

static enum err_code export_and_import(struct err *err)
{
    char to[64], copy[64];
    struct library_exported done;
    struct library_checked found;
    snprintf(to, sizeof to, "%s/export", scratch);
    snprintf(copy, sizeof copy, "%s/copy", scratch);
    enum err_code rc = library_export(library, to, &done, err);
    if (rc == ERR_NONE)
        rc = library_import(copy, to, &done, err);
    if (rc == ERR_NONE)
        rc = library_check(copy, &found, err);
    CHECK(rc != ERR_NONE || (found.n_vectors == N_PHOTOS && found.whole));
    int countdown = fault_countdown;
    fault_countdown = -1;
    forget(to);
    forget(copy);
    fault_countdown = countdown;
    return rc;
}

/* ---- the cases ---- */

/* fresh: each on a library that is not there yet, and whole after the next run. */
static int fail_each(enum err_code (*use)(struct err *err), bool fresh)
{
    int n = 0;
    for (;; n++) {
        struct err e = { 0 };
        if (fresh)
            forget(library);
        fault_countdown = n;
        enum err_code rc = use(&e);
        bool spared = fault_countdown >= 0; /* there were fewer than n */
        fault_countdown = -1;
        if (spared && CHECK(rc == ERR_NONE))
            break;
        /* ERR_NONE: it went on without, as it may where a thing only saves time */
        if (!CHECK(rc == ERR_NONE || (rc == ERR_NOMEM && e.code == ERR_NOMEM && e.msg[0])))
            printf("# allocation %d: %s\n", n, e.msg);
        if (fresh && !CHECK(index_photos(&e) == ERR_NONE))
            printf("# after allocation %d: %s\n", n, e.msg);
    }
    printf("# %d allocations\n", n);
    return n;
}

static void every_allocation_of_an_index_run(void)
{
    CHECK(fail_each(index_photos, true) > 40);
}

static void every_allocation_of_a_second_run(void)
{
    CHECK(fail_each(index_photos, false) >= 10);
}

static void every_allocation_of_a_search(void)
{
    CHECK(fail_each(search_photos, false) > 30);
}

static void every_allocation_of_an_export(void)
{
    CHECK(fail_each(export_and_import, false) > 20);
}

static const struct tap_case cases[] = {
    CASE(every_allocation_of_an_index_run),
    CASE(every_allocation_of_a_second_run),
    CASE(every_allocation_of_a_search),
    CASE(every_allocation_of_an_export),
};

int main(void)
{
    set_up();
    int rc = tap_run(cases, sizeof cases / sizeof *cases);
    scratch_remove();
    return rc;
}
