/* The bundle cache: one load for many askers, failures shared and forgotten. */
#include "tap.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "predict/predict.h"
#include "scratch.h"
#include "sys/clock.h"
#include "sys/file.h"

enum { N_ASKERS = 8 };

static struct predict *p;

/* clip/<name>: the toy, its textual network slow to open. */
static void put_slow(const char *name, const char *network)
{
    const char *tests = getenv("FOVEA_TESTS");
    char cmd[1024], path[256];
    snprintf(cmd, sizeof cmd, "mkdir -p %s/clip && cp -rT %s/models/clip/toy %s/clip/%s", scratch,
             tests ? tests : "tests", scratch, name);
    CHECK(!system(cmd));
    snprintf(path, sizeof path, "%s/clip/%s/textual/model.onnx", scratch, name);
    CHECK(file_replace(path, network, strlen(network), NULL) == ERR_NONE);
}

struct asker {
    const char *name;
    struct predict_bundle *got;
    enum err_code code;
    struct err err;
};

static void *ask(void *arg)
{
    struct asker *a = arg;
    a->code = predict_acquire(p, MODEL_CLIP, MODEL_TEXTUAL, a->name, &a->got, &a->err);
    if (a->code == ERR_NONE) {
        float v[32];
        a->code = task_clip_textual_embed(a->got->clip_textual, "a dog", 5, NULL, v, &a->err);
    }
    return NULL;
}

static void ask_all(struct asker a[N_ASKERS], const char *name)
{
    pthread_t t[N_ASKERS];
    for (int i = 0; i < N_ASKERS; i++) {
        a[i] = (struct asker){ .name = name };
        CHECK(!pthread_create(&t[i], NULL, ask, &a[i]));
    }
    for (int i = 0; i < N_ASKERS; i++)
        pthread_join(t[i], NULL);
}

static void many_ask_one_loads(void)
{
    struct asker a[N_ASKERS];
    put_slow("slow", "fovea-fake 1\ninput text i32 -1 -1\noutput v f32 -1 32\ndelay_ms 100\n");
    int64_t start = clock_mono_ns();
    ask_all(a, "slow");
    for (int i = 0; i < N_ASKERS; i++) {
        CHECK(a[i].code == ERR_NONE && a[i].got && a[i].got == a[0].got);
        predict_release(p, a[i].got);
    }
    CHECK(clock_ms_since(start) < 100 * N_ASKERS); /* one open and runs side by side */
    struct predict_bundle *b = NULL;
    start = clock_mono_ns();
    CHECK(predict_acquire(p, MODEL_CLIP, MODEL_TEXTUAL, "immich-app/slow", &b, NULL) == ERR_NONE);
    CHECK(b == a[0].got && clock_ms_since(start) < 90); /* still loaded, under any spelling */
    predict_release(p, b);
    predict_release(p, NULL);
}

static void a_failure_reaches_all_and_is_forgotten(void)
{
    struct asker a[N_ASKERS];
    put_slow("broken", "fovea-fake 1\nnonsense\n");
    ask_all(a, "broken");
    for (int i = 0; i < N_ASKERS; i++)
        CHECK(a[i].code == ERR_CORRUPT && !a[i].got && strstr(a[i].err.msg, "broken"));
    put_slow("broken", "fovea-fake 1\ninput text i32 -1 -1\noutput v f32 -1 32\n");
    struct predict_bundle *b = NULL;
    CHECK(predict_acquire(p, MODEL_CLIP, MODEL_TEXTUAL, "broken", &b, NULL) == ERR_NONE && b);
    predict_release(p, b);
}

static void what_is_not_there_is_said(void)
{
    struct predict_bundle *b;
    struct err e = { 0 };
    CHECK(predict_acquire(p, MODEL_CLIP, MODEL_TEXTUAL, "absent", &b, &e) == ERR_NOT_FOUND && !b);
    CHECK(strstr(e.msg, "\"absent\" is not there; `fovea models list`"));
    CHECK(predict_acquire(p, MODEL_CLIP, MODEL_TEXTUAL, "..", &b, NULL) == ERR_INVALID);
    e = (struct err){ 0 };
    CHECK(predict_acquire(p, MODEL_CLIP, MODEL_DETECTION, "slow", &b, &e) == ERR_INVALID);
    CHECK_STR(e.msg, "task \"clip\" has no \"detection\"");
}

static void towers_are_apart_and_spaces_known(void)
{
    struct predict_bundle *v = NULL, *t = NULL;
    char space[HASH_HEX], again[HASH_HEX];
    CHECK(predict_acquire(p, MODEL_CLIP, MODEL_VISUAL, "slow", &v, NULL) == ERR_NONE);
    CHECK(predict_acquire(p, MODEL_CLIP, MODEL_TEXTUAL, "slow", &t, NULL) == ERR_NONE);
    CHECK(v != t && v->clip_visual && !v->clip_textual && t->clip_textual);
    predict_release(p, v);
    predict_release(p, t);
    CHECK(predict_space(p, "slow", space, NULL) == ERR_NONE && strlen(space) == 64);
    CHECK(predict_space(p, "slow", again, NULL) == ERR_NONE);
    CHECK_STR(again, space);
    CHECK(predict_space(p, "absent", again, NULL) == ERR_NOT_FOUND);
}

static struct predict *make(const struct predict_options *more)
{
    struct predict_options o = *more;
    struct predict *made = NULL;
    o.models_dir = scratch;
    o.infer.n_threads = 1;
    CHECK(predict_create(&made, &o, NULL) == ERR_NONE);
    return made;
}

/* How long asking takes: more than 90 ms if it was loaded. */
static double acquire_ms(struct predict *q, const char *name, struct predict_bundle **b)
{
    int64_t start = clock_mono_ns();
    CHECK(predict_acquire(q, MODEL_CLIP, MODEL_TEXTUAL, name, b, NULL) == ERR_NONE);
    return clock_ms_since(start);
}

static void what_is_idle_is_unloaded(void)
{
    const struct predict_options o = { .ttl_s = { 1, 1, 1, 1, 1, 1 }, .poll_s = 1 };
    struct predict *q = make(&o);
    struct predict_bundle *held, *b;
    put_slow("slow", "fovea-fake 1\ninput text i32 -1 -1\noutput v f32 -1 32\ndelay_ms 100\n");
    put_slow("other", "fovea-fake 1\ninput text i32 -1 -1\noutput v f32 -1 32\ndelay_ms 100\n");
    CHECK(acquire_ms(q, "slow", &held) > 90);
    CHECK(acquire_ms(q, "other", &b) > 90);
    predict_release(q, b);
    CHECK(acquire_ms(q, "other", &b) < 90);
    predict_release(q, b);
    usleep(3200 * 1000);
    CHECK(acquire_ms(q, "other", &b) > 90); /* gone */
    predict_release(q, b);
    CHECK(acquire_ms(q, "slow", &b) < 90 && b == held); /* in use all the time */
    predict_release(q, b);
    predict_release(q, held);
    predict_destroy(q);
}

static void count_one(const struct predict_loaded *l, void *ctx)
{
    size_t *n = ctx;
    (void)l;
    ++*n;
}

static size_t n_loaded(struct predict *q)
{
    size_t n = 0;
    predict_each_loaded(q, count_one, &n);
    return n;
}

static void the_budget_is_for_the_latest(void)
{
    const struct predict_options o = { .budget_bytes = 1 };
    struct predict *q = make(&o);
    struct predict_bundle *a, *b;
    CHECK(acquire_ms(q, "slow", &a) > 90);
    CHECK(acquire_ms(q, "other", &b) > 90);
    CHECK(a != b && n_loaded(q) == 2); /* both are used, so both stay */
    predict_release(q, a);
    predict_release(q, b);
    CHECK(n_loaded(q) == 1);
    CHECK(predict_acquire(q, MODEL_CLIP, MODEL_VISUAL, "slow", &a, NULL) == ERR_NONE);
    predict_release(q, a);
    CHECK(acquire_ms(q, "other", &b) > 90); /* made room */
    predict_release(q, b);
    predict_destroy(q);
}

static enum err_code parse(const char *json, struct predict_entries *out, struct err *err)
{
    return predict_entries_parse(json, strlen(json), out, err);
}

static void entries_are_read(void)
{
    struct predict_entries e;
    REQUIRE(parse("{\"ocr\":{\"detection\":{\"modelName\":\"EN__m\",\"options\":{\"minScore\":0.5,"
                  "\"maxResolution\":736,\"scoreMode\":1}}},\"clip\":{\"textual\":{\"modelName\":"
                  "\"n\",\"options\":{\"language\":\"de\"}}}}",
                  &e, NULL) == ERR_NONE);
    CHECK(e.n == 2 && e.at[0].task == MODEL_OCR && e.at[0].type == MODEL_DETECTION);
    CHECK_NEAR(e.at[0].min_score, 0.5, 0);
    CHECK(e.at[0].max_resolution == 736 && !e.at[0].language && isnan(e.at[1].min_score) &&
          e.at[0].slow_score);
    CHECK_STR(e.at[0].model, "m");
    CHECK_STR(e.at[1].language, "de");
    predict_entries_clear(&e);
}

/* Which numbers the reference takes, and what is not given as far as it is concerned. */
static void odd_options_are_read(void)
{
    struct predict_entries e;
    REQUIRE(parse("{\"ocr\":{\"detection\":{\"modelName\":\"m\",\"options\":{\"minScore\":null,"
                  "\"maxResolution\":null,\"scoreMode\":null,\"other\":[]}},\"recognition\":"
                  "{\"modelName\":\"m\",\"options\":{\"minScore\":-3e9}}}}",
                  &e, NULL) == ERR_NONE);
    CHECK(isnan(e.at[0].min_score) && isnan(e.at[0].max_resolution) && !e.at[0].slow_score);
    CHECK_NEAR(e.at[1].min_score, -3e9, 0);
    predict_entries_clear(&e);
    REQUIRE(parse("{\"ocr\":{\"detection\":{\"modelName\":\"m\",\"options\":{\"minScore\":true,"
                  "\"maxResolution\":1e9,\"scoreMode\":\"fast\"}}},\"facial-recognition\":"
                  "{\"detection\":{\"modelName\":\"m\",\"options\":{\"minScore\":2}}}}",
                  &e, NULL) == ERR_NONE);
    CHECK(e.at[0].min_score == 1 && e.at[0].max_resolution == 1e9 && !e.at[0].slow_score);
    CHECK(e.at[1].min_score == 2);
    predict_entries_clear(&e);
}

static void entries_of_another_shape_are_refused(void)
{
    static const struct {
        const char *json, *msg;
    } bad[] = {
        { "", "Invalid request format." },
        { "3", "Invalid request format." },
        { "{\"clip\":3}", "Invalid request format." },
        { "{\"clip\":{\"visual\":3}}", "Invalid request format." },
        { "{\"clip\":{\"visual\":{\"modelName\":\"a\\u0000b\"}}}",
          "a model's name has a NUL in it" },
        { "{\"clip\":{\"detection\":{\"modelName\":\"a\"}}}",
          "nothing is known of task \"clip\" of type \"detection\"" },
        { "{\"clip\":{\"visual\":{\"modelName\":\"a\",\"options\":{\"language\":\"de\"}}}}",
          "clip visual has no option \"language\"" },
        { "{\"ocr\":{\"detection\":{\"modelName\":\"a\",\"options\":{\"maxResolution\":0}}}}",
          "option \"maxResolution\" is not a number of pixels, more than 0" },
        { "{\"ocr\":{\"detection\":{\"modelName\":\"a\",\"options\":{\"minScore\":\"1\"}}}}",
          "option \"minScore\" is not a number" },
        { "{\"ocr\":{\"recognition\":{\"modelName\":\"a\",\"options\":{\"minScore\":null}}}}",
          "option \"minScore\" is not a number" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct predict_entries e;
        struct err err = { 0 };
        CHECK(parse(bad[i].json, &e, &err) == ERR_INVALID && !e.json && !e.n);
        CHECK_STR(err.msg, bad[i].msg);
    }
}

static void a_request_is_answered(void)
{
    struct predict_entries e;
    struct buf out = { 0 };
    struct err err = { 0 };
    struct predict_input in = { .text = "a dog", .n_text = 5 };
    REQUIRE(parse("{\"clip\":{\"textual\":{\"modelName\":\"slow\"}}}", &e, NULL) == ERR_NONE);
    CHECK(predict_run(p, &e, &in, &out, NULL) == ERR_NONE);
    CHECK(out.len > 20 && !strncmp(out.data, "{\"clip\":\"[", 10));
    CHECK_STR(out.data + out.len - 3, "]\"}");
    atomic_bool gone = true;
    in.cancel = &gone;
    CHECK(predict_run(p, &e, &in, &out, NULL) == ERR_CANCELLED);
    in = (struct predict_input){ .image = (const uint8_t *)"x", .n_image = 1 };
    CHECK(predict_run(p, &e, &in, &out, &err) == ERR_INVALID);
    CHECK_STR(err.msg, "Task clip of type textual needs text, not an image");
    predict_entries_clear(&e);
    buf_clear(&out);
}

/* The second time no network runs, even when the model was unloaded; changed files count anew. */
static void a_repeated_text_is_remembered(void)
{
    struct predict_entries e;
    struct buf a = { 0 }, b = { 0 }, c = { 0 };
    const struct predict_input in = { .text = "a red dog", .n_text = 9 };
    put_slow("slow", "fovea-fake 1\ninput text i32 -1 -1\noutput v f32 -1 32\ndelay_ms 100\n");
    REQUIRE(parse("{\"clip\":{\"textual\":{\"modelName\":\"slow\"}}}", &e, NULL) == ERR_NONE);
    struct predict *first = make(&(struct predict_options){ 0 });
    CHECK(predict_run(first, &e, &in, &a, NULL) == ERR_NONE);
    int64_t start = clock_mono_ns();
    CHECK(predict_run(first, &e, &in, &b, NULL) == ERR_NONE);
    CHECK(clock_ms_since(start) < 90);
    CHECK_STR(b.data, a.data);
    predict_destroy(first);
    put_slow("slow", "fovea-fake 1\nseed 9\ninput text i32 -1 -1\noutput v f32 -1 32\n");
    struct predict *q = make(&(struct predict_options){ 0 });
    CHECK(predict_run(q, &e, &in, &c, NULL) == ERR_NONE);
    CHECK(strcmp(c.data, a.data) != 0);
    predict_destroy(q);
    predict_entries_clear(&e);
    buf_clear(&a);
    buf_clear(&b);
    buf_clear(&c);
}

struct viewer {
    struct predict *q;
    const struct predict_entries *e;
    const struct file_map *picture;
    enum err_code code;
    struct err err;
    struct buf answer;
};

static void *view(void *arg)
{
    struct viewer *v = arg;
    const struct predict_input in = { .image = v->picture->data, .n_image = v->picture->size };
    v->code = predict_run(v->q, v->e, &in, &v->answer, &v->err);
    return NULL;
}

/* Eight requests at once with the bytes of tests/fuzz/corpus/image/NAME. */
static void view_all(struct predict *q, const char *name, struct viewer v[N_ASKERS])
{
    const char *tests = getenv("FOVEA_TESTS");
    char path[1024];
    struct file_map picture;
    struct predict_entries e;
    pthread_t t[N_ASKERS];
    snprintf(path, sizeof path, "%s/fuzz/corpus/image/%s", tests ? tests : "tests", name);
    REQUIRE(file_map_open(&picture, path, NULL) == ERR_NONE);
    REQUIRE(parse("{\"clip\":{\"visual\":{\"modelName\":\"slow\"}}}", &e, NULL) == ERR_NONE);
    for (int i = 0; i < N_ASKERS; i++) {
        v[i] = (struct viewer){ .q = q, .e = &e, .picture = &picture };
        CHECK(!pthread_create(&t[i], NULL, view, &v[i]));
    }
    for (int i = 0; i < N_ASKERS; i++)
        pthread_join(t[i], NULL);
    predict_entries_clear(&e);
    file_map_close(&picture);
}

static void one_decodes_for_all(void)
{
    struct viewer v[N_ASKERS];
    struct image_decoder *decoder = NULL;
    REQUIRE(image_decoder_create(&decoder, NULL, NULL) == ERR_NONE);
    struct predict *q = make(&(struct predict_options){ .decoder = decoder });
    const struct predict_stats *s = predict_stats(q);
    view_all(q, "baseline", v);
    CHECK(count_read(&s->n_picture_misses) == 1 && count_read(&s->n_picture_hits) == N_ASKERS - 1);
    for (int i = 0; i < N_ASKERS; i++) {
        REQUIRE(v[i].code == ERR_NONE);
        CHECK_STR(v[i].answer.data, v[0].answer.data);
    }
    for (int i = 0; i < N_ASKERS; i++)
        buf_clear(&v[i].answer);
    view_all(q, "cut", v); /* each hears why; the next who brings it tries again */
    CHECK(count_read(&s->n_decode_errors) >= 1);
    for (int i = 0; i < N_ASKERS; i++) {
        CHECK(v[i].code != ERR_NONE && v[i].err.code == v[i].code);
        CHECK_STR(v[i].err.msg, v[0].err.msg);
        buf_clear(&v[i].answer);
    }
    predict_destroy(q);
    image_decoder_destroy(decoder);
}

static void garbage_loads_nothing(void)
{
    struct image_decoder *decoder = NULL;
    struct predict_entries e;
    struct buf out = { 0 };
    const struct predict_input in = { .image = (const uint8_t *)"no picture", .n_image = 10 };
    REQUIRE(image_decoder_create(&decoder, NULL, NULL) == ERR_NONE);
    REQUIRE(parse("{\"clip\":{\"visual\":{\"modelName\":\"slow\"}}}", &e, NULL) == ERR_NONE);
    struct predict *q = make(&(struct predict_options){ .decoder = decoder });
    CHECK(predict_run(q, &e, &in, &out, NULL) != ERR_NONE && !n_loaded(q));
    predict_destroy(q);
    image_decoder_destroy(decoder);
    predict_entries_clear(&e);
    buf_clear(&out);
}

static const struct tap_case cases[] = {
    CASE(many_ask_one_loads),
    CASE(a_failure_reaches_all_and_is_forgotten),
    CASE(what_is_not_there_is_said),
    CASE(towers_are_apart_and_spaces_known),
    CASE(what_is_idle_is_unloaded),
    CASE(the_budget_is_for_the_latest),
    CASE(entries_are_read),
    CASE(odd_options_are_read),
    CASE(entries_of_another_shape_are_refused),
    CASE(a_request_is_answered),
    CASE(a_repeated_text_is_remembered),
    CASE(one_decodes_for_all),
    CASE(garbage_loads_nothing),
};

int main(void)
{
    char cache[64];
    scratch_make();
    snprintf(cache, sizeof cache, "%s/cache", scratch);
    const struct predict_options o = { .models_dir = scratch,
                                       .cache_dir = cache,
                                       .infer = { .n_threads = 1 } };
    int rc =
        predict_create(&p, &o, NULL) != ERR_NONE || tap_run(cases, sizeof cases / sizeof *cases);
    predict_destroy(p);
    predict_destroy(NULL);
    scratch_remove();
    return rc;
}
