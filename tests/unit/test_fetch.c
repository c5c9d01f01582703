/* The parts of fetch/ that need no network: the list, the record, what failed. What needs one is in
 * wire/test_models.py. */
#include "tap.h"

#include <stdlib.h>
#include <unistd.h>

#include "fetch/failed.h"
#include "fetch/listing.h"
#include "fetch/record.h"
#include "scratch.h"
#include "sys/file.h"

static enum err_code parse(const char *json, struct arena *a, struct listing *l, struct err *e)
{
    return listing_parse(json, strlen(json), MODEL_CLIP, a, l, e);
}

static void a_list_gives_what_a_model_runs_on(void)
{
    static const char json[] =
        "{\"sha\": \"0123456789abcdef0123456789abcdef01234567\", \"siblings\": ["
        "{\"rfilename\": \"README.md\", \"size\": 1},"
        "{\"rfilename\": \"config.json\", \"size\": 3,"
        " \"blobId\": \"f2ba8f84ab5c1bce84a7b441cb1959cfc7093b7f\"},"
        "{\"rfilename\": \"visual/model.onnx\", \"size\": 9, \"blobId\": \"00\", \"lfs\": "
        "{\"size\": "
        "2000000000, \"sha256\":"
        " \"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"}},"
        "{\"rfilename\": \"visual/model.rknn\", \"size\": 1},"
        "{\"rfilename\": \"visual/onnx::MatMul_1\", \"size\": 1},"
        "{\"rfilename\": \"detection/model.onnx\", \"size\": 1}]}";
    struct arena a = { 0 };
    struct listing l;
    struct err e = { 0 };
    REQUIRE(parse(json, &a, &l, &e) == ERR_NONE && l.n_files == 3);
    CHECK_STR(l.revision, "0123456789abcdef0123456789abcdef01234567");
    CHECK_STR(l.files[0].name, "config.json");
    CHECK(l.files[0].has_size && l.files[0].size == 3);
    CHECK(l.files[0].has_blob && !l.files[0].has_sha256 && l.files[0].blob[0] == 0xf2);
    CHECK_STR(l.files[1].name, "visual/model.onnx");
    CHECK(l.files[1].size == 2000000000 && l.files[1].has_sha256 && !l.files[1].has_blob);
    CHECK_STR(l.files[2].name, "visual/onnx::MatMul_1");
    arena_clear(&a);
}

static void a_name_stays_in_the_folder(void)
{
    static const char *const good[] = { "config.json", "visual/a", "textual/b c", "visual/a..b" };
    static const char *const bad[] = { "",           "x",           "/config.json", "visual",
                                       "visual/",    "visual/..",   "visual/.a",    "visual/a/b",
                                       "visual//a",  "visual/a\\b", "visual/a\nb",  "visuals/a",
                                       "../visual/a" };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        CHECK(listing_wants(MODEL_CLIP, good[i], strlen(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (!CHECK(!listing_wants(MODEL_CLIP, bad[i], strlen(bad[i]))))
            printf("# %s\n", bad[i]);
    CHECK(!listing_wants(MODEL_CLIP, "visual/a\0b", 10));
    CHECK(!listing_wants(MODEL_FACES, "visual/a", 8) &&
          listing_wants(MODEL_FACES, "detection/a", 11));
}

static enum err_code count(const char *name, const uint8_t sha256[HASH_BYTES], void *ctx,
                           struct err *err)
{
    (void)err;
    *(int *)ctx += sha256[0] == 0xba && !strcmp(name, "visual/a b");
    return ERR_NONE;
}

static void a_record_is_read_strictly(void)
{
#define SHA "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    static const struct {
        const char *text;
        enum err_code rc;
        int n;
    } texts[] = {
        { "", ERR_NONE, 0 },
        { SHA "  visual/a b\n", ERR_NONE, 1 },
        { SHA " *visual/a b\n" SHA "  visual/a b", ERR_NONE, 2 },
        { SHA "  ../a\n", ERR_CORRUPT, 0 },
        { SHA "  /a\n", ERR_CORRUPT, 0 },
        { SHA "  visual/../a\n", ERR_CORRUPT, 0 },
        { SHA "  a/b/c\n", ERR_CORRUPT, 0 },
        { SHA "  visual/\n", ERR_CORRUPT, 0 },
        { SHA "  \n", ERR_CORRUPT, 0 },
        { SHA "\n", ERR_CORRUPT, 0 },
        { "zz7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  a\n", ERR_CORRUPT, 0 },
        { "words\n", ERR_CORRUPT, 0 },
    };
    char path[64];
    int n = 0;
    snprintf(path, sizeof path, "%s/" RECORD_NAME, scratch);
    CHECK(record_read(scratch, count, &n, NULL) == ERR_NONE && n == 0);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct err e = { 0 };
        n = 0;
        REQUIRE(file_replace(path, texts[i].text, strlen(texts[i].text), NULL) == ERR_NONE);
        if (!CHECK(record_read(scratch, count, &n, &e) == texts[i].rc && n == texts[i].n) ||
            !CHECK(e.code == texts[i].rc))
            printf("# %s\n", texts[i].text);
    }
    unlink(path);
}

static void a_failure_is_remembered_for_a_while(void)
{
    const int64_t pause_ns = FETCH_PAUSE_MS * INT64_C(1000000), now_ns = 5;
    struct failed f = { .lock = PTHREAD_MUTEX_INITIALIZER };
    struct err why = { 0 }, e = { 0 };
    size_t n;
    const struct model_row *rows = model_registry(&n);
    REQUIRE(n > FAILED_MAX);
    CHECK(failed_recall(&f, &rows[0], now_ns, &e) == ERR_NONE && !e.msg[0]);
    err_set(&why, ERR_IO, "no route");
    failed_note(&f, &rows[0], now_ns, &why);
    CHECK(failed_recall(&f, &rows[0], now_ns + pause_ns - 1, &e) == ERR_IO);
    CHECK_STR(e.msg, "no route");
    CHECK(failed_recall(&f, &rows[1], now_ns, NULL) == ERR_NONE);
    CHECK(failed_recall(&f, &rows[0], now_ns + pause_ns, NULL) == ERR_NONE);
    struct err other = { 0 };
    err_set(&other, ERR_CORRUPT, "wrong hash");
    failed_note(&f, &rows[0], now_ns + pause_ns, &other); /* the newer one counts */
    CHECK(failed_recall(&f, &rows[0], now_ns + pause_ns + 1, NULL) == ERR_CORRUPT);
    for (size_t i = 1; i <= FAILED_MAX; i++)
        failed_note(&f, &rows[i], now_ns + pause_ns, &why);
    CHECK(failed_recall(&f, &rows[0], now_ns + pause_ns, NULL) == ERR_NONE); /* the oldest */
    for (size_t i = 1; i <= FAILED_MAX; i++)
        CHECK(failed_recall(&f, &rows[i], now_ns + pause_ns, NULL) == ERR_IO);
}

static const struct tap_case cases[] = {
    CASE(a_list_gives_what_a_model_runs_on),
    CASE(a_name_stays_in_the_folder),
    CASE(a_record_is_read_strictly),
    CASE(a_failure_is_remembered_for_a_while),
};

int main(void)
{
    scratch_make();
    int failed = tap_run(cases, sizeof cases / sizeof *cases);
    scratch_remove();
    return failed;
}
