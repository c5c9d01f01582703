/* Fail the 1st, 2nd, ... allocation of reading the hub's list, importing a model and checking it.
 */
#include "tap.h"

#include "fault.h"
#include "fetch/listing.h"
#include "scratch.h"
#include "sys/file.h"

static const char list[] = "{\"siblings\": [{\"rfilename\": \"config.json\", \"size\": 3}]}";

static void count(const struct fetch_checked *is, void *ctx)
{
    *(int *)ctx += is->state == FETCH_WHOLE;
}

static enum err_code import(const char *models, const char *source, struct err *err)
{
    const struct fetch_options o = { .models_dir = models,
                                     .hub_url = "http://127.0.0.1:1",
                                     .offline = true };
    const struct model_row *row = model_known(MODEL_FACES, "buffalo_s");
    struct fetch *f = NULL;
    struct model_folder m;
    struct fetch_size size;
    int n_whole = 0;
    enum err_code rc = fetch_create(&f, &o, err);
    if (rc == ERR_NONE)
        rc = fetch_import(f, row, source, err);
    if (rc == ERR_NONE)
        rc = model_find(models, MODEL_FACES, "buffalo_s", &m, err);
    if (rc == ERR_NONE)
        rc = fetch_check(f, &m, count, &n_whole, err);
    CHECK(rc != ERR_NONE || n_whole == 2);
    if (rc == ERR_NONE)
        rc = fetch_remove(f, &m, &size, err);
    CHECK(rc != ERR_NONE || size.n_files == 3);
    fetch_destroy(f);
    return rc;
}

static enum err_code use(struct err *err)
{
    char models[64], source[64];
    struct arena arena = { 0 };
    struct listing l;
    snprintf(models, sizeof models, "%s/models", scratch);
    snprintf(source, sizeof source, "%s/source", scratch);
    enum err_code rc = listing_parse(list, sizeof list - 1, MODEL_CLIP, &arena, &l, err);
    if (rc == ERR_NONE)
        rc = import(models, source, err);
    arena_clear(&arena);
    return rc;
}

static void every_allocation_may_fail(void)
{
    static const char *const types[] = { "detection", "recognition" };
    char path[96];
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/source/%s", scratch, types[i]);
        REQUIRE(file_make_dirs(path, NULL) == ERR_NONE);
        snprintf(path, sizeof path, "%s/source/%s/model.onnx", scratch, types[i]);
        REQUIRE(file_replace(path, "abc", 3, NULL) == ERR_NONE);
    }
    CHECK(fault_each(use) >= 10); /* options, client, arenas, pool, record */
}

static const struct tap_case cases[] = { CASE(every_allocation_may_fail) };

int main(void)
{
    scratch_make();
    int failed = tap_run(cases, sizeof cases / sizeof *cases);
    scratch_remove();
    return failed;
}
