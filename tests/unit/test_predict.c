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
        a->code = task_clip_textual_embed(a->got->clip_textual, "a dog", 5, v, &a->err);
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
    CHECK(strstr(e.msg, "clip/absent"));
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

static const struct tap_case cases[] = {
    CASE(many_ask_one_loads),
    CASE(a_failure_reaches_all_and_is_forgotten),
    CASE(what_is_not_there_is_said),
    CASE(towers_are_apart_and_spaces_known),
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
