/* Networks: the fake one everywhere, ONNX Runtime where its library is (FOVEA_ORT_LIBRARY). */
#include "tap.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/str.h"
#include "infer/infer.h"
#include "infer/prefix.h"
#include "infer/proto.h"
#include "scratch.h"
#include "sys/file.h"

static const char *in_dir(const char *name)
{
    static char path[2][256];
    static int turn;
    turn = !turn;
    snprintf(path[turn], sizeof path[turn], "%s/%s", scratch, name);
    return path[turn];
}

static const char *network(const char *name)
{
    static char path[1024];
    const char *tests = getenv("FOVEA_TESTS");
    snprintf(path, sizeof path, "%s/networks/%s", tests ? tests : "tests", name);
    return path;
}

static struct infer *engine_for(enum infer_runs runs, const char *cache_dir)
{
    struct infer *in = NULL;
    struct err e = { 0 };
    struct infer_options o = { .ort_library = getenv("FOVEA_ORT_LIBRARY"),
                               .cache_dir = cache_dir,
                               .n_threads = 1, /* tsan cannot see into the library's pool */
                               .runs = runs };
    if (!CHECK(infer_create(&in, &o, &e) == ERR_NONE))
        printf("# %s\n", e.msg);
    return in;
}

static struct infer *engine(const char *cache_dir)
{
    return engine_for(INFER_RUNS_MANY, cache_dir);
}

#define NEED_ORT(in)                                                                               \
    do {                                                                                           \
        char text_[512];                                                                           \
        if (infer_describe((in), text_, sizeof text_, NULL) != ERR_NONE) {                         \
            infer_destroy(in);                                                                     \
            SKIP("no ONNX Runtime library");                                                       \
        }                                                                                          \
    } while (0)

static struct infer_session *open_at(struct infer *in, const char *path, const char *identity)
{
    struct infer_session *s = NULL;
    struct err e = { 0 };
    if (!CHECK(infer_session_open(&s, in, &(struct infer_network){ path, identity, NULL }, &e) ==
               ERR_NONE))
        printf("# %s\n", e.msg);
    return s;
}

static struct infer_session *open_text(struct infer *in, const char *name, const char *text)
{
    CHECK(file_replace(in_dir(name), text, strlen(text), NULL) == ERR_NONE);
    return open_at(in, in_dir(name), NULL);
}

static const char toy[] = "fovea-fake 1\nseed 7\ninput text i32 -1 -1\noutput v f32 -1 32\n";

static enum err_code run_toy(struct infer_session *s, const int32_t *ids, int64_t rows,
                             int64_t length, struct infer_tensor *y, struct err *err)
{
    struct infer_tensor x = {
        .type = INFER_I32, .n_dims = 2, .dims = { rows, length }, .data = (void *)(uintptr_t)ids
    };
    return infer_run(s, &x, 1, y, 1, err);
}

static double cosine(const float *a, const float *b, size_t n)
{
    double ab = 0, aa = 0, bb = 0;
    for (size_t i = 0; i < n; i++) {
        ab += (double)a[i] * b[i];
        aa += (double)a[i] * a[i];
        bb += (double)b[i] * b[i];
    }
    return ab / sqrt(aa * bb);
}

static void a_fake_gives_like_vectors_for_like_texts(void)
{
    struct infer *in = engine(NULL);
    struct infer_session *s = open_text(in, "toy.onnx", toy);
    REQUIRE(s);
    CHECK(infer_n_inputs(s) == 1 && infer_n_outputs(s) == 1);
    CHECK_STR(infer_input(s, 0)->name, "text");
    CHECK(infer_output(s, 0)->n_dims == 2 && infer_output(s, 0)->dims[1] == 32);
    const int32_t ids[3][5] = { { 10, 11, 12, 13, 0 },
                                { 10, 11, 12, 99, 0 },
                                { 50, 51, 52, 53, 1 } };
    struct infer_tensor y, one;
    REQUIRE(run_toy(s, ids[0], 3, 5, &y, NULL) == ERR_NONE);
    REQUIRE(run_toy(s, ids[1], 1, 4, &one, NULL) == ERR_NONE);
    const float *v = y.data;
    CHECK(y.dims[0] == 3 && y.dims[1] == 32);
    CHECK(cosine(v, v + 32, 32) > 0.5 && cosine(v, v + 64, 32) < 0.5);
    CHECK(!memcmp(v + 32, one.data, 32 * sizeof *v)); /* alone or in a batch, padded or not */
    infer_tensor_clear(&y);
    infer_tensor_clear(&one);
    infer_session_close(s);
    infer_destroy(in);
}

static void inputs_must_fit_the_ports(void)
{
    struct infer *in = engine(NULL);
    struct infer_session *s =
        open_text(in, "toy2.onnx", "fovea-fake 1\ninput im f32 -1 3 2 2\noutput v f32 -1 4\n");
    REQUIRE(s);
    float px[24] = { 0 };
    const struct infer_tensor good = { .n_dims = 4, .dims = { 2, 3, 2, 2 }, .data = px };
    struct infer_tensor y[2], bad = good;
    struct err e = { 0 };
    CHECK(infer_run(s, &good, 1, y, 1, &e) == ERR_NONE);
    infer_tensor_clear(y);
    bad.dims[2] = 5;
    CHECK(infer_run(s, &bad, 1, y, 1, &e) == ERR_INVALID && !y[0].data);
    CHECK_STR(e.msg, "network input \"im\" takes f32 [?, 3, 2, 2], not f32 [2, 3, 5, 2]");
    bad = good, bad.type = INFER_U8;
    CHECK(infer_run(s, &bad, 1, y, 1, NULL) == ERR_INVALID);
    bad = good, bad.n_dims = 3;
    CHECK(infer_run(s, &bad, 1, y, 1, NULL) == ERR_INVALID);
    bad = good, bad.dims[0] = -2;
    CHECK(infer_run(s, &bad, 1, y, 1, NULL) == ERR_LIMIT);
    bad = good, bad.dims[0] = INT64_MAX / 4;
    CHECK(infer_run(s, &bad, 1, y, 1, NULL) == ERR_LIMIT);
    CHECK(infer_run(s, &good, 1, y, 2, NULL) == ERR_INVALID);
    CHECK(infer_run(s, &good, 0, y, 1, NULL) == ERR_INVALID);
    infer_session_close(s);
    infer_destroy(in);
}

static void a_bad_fake_is_refused(void)
{
    static const char *const bad[] = {
        "fovea-fake 1\n",
        "fovea-fake 1\ninput a f32 1\n",
        "fovea-fake 1\ninput a f64 1\noutput b f32 1\n",
        "fovea-fake 1\ninput a f32\noutput b f32 1\n",
        "fovea-fake 1\ninput a f32 -2\noutput b f32 1\n",
        "fovea-fake 1\ninput a f32 1 1 1 1 1 1 1 1 1\noutput b f32 1\n",
        "fovea-fake 1\nseed -1\ninput a f32 1\noutput b f32 1\n",
        "fovea-fake 1\nword\ninput a f32 1\noutput b f32 1\n",
        "fovea-fake 1\ninput\noutput b f32 1\n",
    };
    struct infer *in = engine(NULL);
    struct infer_session *s;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct err e = { 0 };
        CHECK(file_replace(in_dir("bad.onnx"), bad[i], strlen(bad[i]), NULL) == ERR_NONE);
        CHECK(infer_session_open(&s, in, &(struct infer_network){ .path = in_dir("bad.onnx") },
                                 &e) == ERR_CORRUPT &&
              !s);
        CHECK(strstr(e.msg, "bad.onnx"));
    }
    CHECK(infer_session_open(&s, in, &(struct infer_network){ .path = in_dir("absent.onnx") },
                             NULL) == ERR_NOT_FOUND);
    REQUIRE(mkfifo(in_dir("fifo"), 0600) == 0);
    CHECK(infer_session_open(&s, in, &(struct infer_network){ .path = in_dir("fifo") }, NULL) ==
          ERR_UNSUPPORTED);
    infer_destroy(in);
}

struct shared_run {
    struct infer_session *s;
    float want[32];
    bool ok;
};

static void *run_often(void *arg)
{
    struct shared_run *r = arg;
    const int32_t ids[] = { 10, 11, 12, 13 };
    r->ok = true;
    for (int i = 0; i < 50 && r->ok; i++) {
        struct infer_tensor y;
        r->ok = run_toy(r->s, ids, 1, 4, &y, NULL) == ERR_NONE &&
                !memcmp(y.data, r->want, sizeof r->want);
        infer_tensor_clear(&y);
    }
    return NULL;
}

static void one_session_serves_many_threads(void)
{
    struct infer *in = engine(NULL);
    struct shared_run r[4] = { { .s = open_text(in, "toy3.onnx", toy) } };
    REQUIRE(r[0].s);
    struct infer_tensor y;
    REQUIRE(run_toy(r[0].s, (const int32_t[]){ 10, 11, 12, 13 }, 1, 4, &y, NULL) == ERR_NONE);
    memcpy(r[0].want, y.data, sizeof r[0].want);
    infer_tensor_clear(&y);
    pthread_t t[4];
    for (int i = 1; i < 4; i++)
        r[i] = r[0];
    for (int i = 0; i < 4; i++)
        REQUIRE(!pthread_create(&t[i], NULL, run_often, &r[i]));
    for (int i = 0; i < 4; i++)
        CHECK(!pthread_join(t[i], NULL) && r[i].ok);
    infer_session_close(r[0].s);
    infer_destroy(in);
}

/* FOVEA_OLD_ORT is a library of ours that calls itself 1.5 and has no later API. */
static void an_old_library_is_refused(void)
{
    struct infer *in = NULL;
    struct err e = { 0 };
    char text[256];
    const struct infer_options o = { .ort_library = getenv("FOVEA_OLD_ORT") };
    REQUIRE(o.ort_library && infer_create(&in, &o, NULL) == ERR_NONE);
    CHECK(infer_describe(in, text, sizeof text, &e) == ERR_UNSUPPORTED);
    CHECK(strstr(e.msg, "ONNX Runtime 1.5.0 is too old, 1.11 is needed"));
    infer_destroy(in);
}

static void a_missing_library_is_explained(void)
{
    struct infer *in = NULL;
    struct infer_session *s;
    struct err e = { 0 };
    REQUIRE(infer_create(&in, &(struct infer_options){ .ort_library = "/no/such/lib.so" }, NULL) ==
            ERR_NONE);
    CHECK(infer_session_open(&s, in, &(struct infer_network){ .path = network("scale.onnx") },
                             &e) == ERR_NOT_FOUND);
    CHECK(strstr(e.msg, "/no/such/lib.so") && strstr(e.msg, "FOVEA_ORT_LIBRARY"));
    infer_destroy(in);
    e = (struct err){ 0 };
    REQUIRE(infer_create(&in, &(struct infer_options){ .ort_library = "libm.so.6" }, NULL) ==
            ERR_NONE);
    CHECK(infer_session_open(&s, in, &(struct infer_network){ .path = network("scale.onnx") },
                             &e) == ERR_UNSUPPORTED);
    infer_destroy(in);
    infer_destroy(NULL);
    infer_session_close(NULL);
}

/* y = 2x + 1 */
static void check_scale(struct infer_session *s)
{
    float x[6] = { 0, 1, 2, 3, 4, 5 };
    struct infer_tensor in = { .n_dims = 2, .dims = { 2, 3 }, .data = x }, y;
    struct err e = { 0 };
    if (!CHECK(s && infer_run(s, &in, 1, &y, 1, &e) == ERR_NONE)) {
        printf("# %s\n", e.msg);
        return;
    }
    CHECK(y.type == INFER_F32 && y.n_dims == 2 && y.dims[0] == 2 && y.dims[1] == 3);
    for (int i = 0; i < 6; i++)
        CHECK(((float *)y.data)[i] == 2 * x[i] + 1);
    infer_tensor_clear(&y);
}

static void ort_runs(void)
{
    struct infer *in = engine(NULL);
    NEED_ORT(in);
    struct infer_session *s = open_at(in, network("scale.onnx"), NULL);
    check_scale(s);
    infer_session_close(s);

    s = open_at(in, network("three.onnx"), NULL);
    REQUIRE(s && infer_n_outputs(s) == 3 && infer_input(s, 0)->type == INFER_I64);
    int64_t v[4] = { 1, 2, 255, 7 };
    struct infer_tensor x = { .type = INFER_I64, .n_dims = 1, .dims = { 4 }, .data = v }, y[3];
    for (size_t n = 1; n <= 3; n++) {
        REQUIRE(infer_run(s, &x, 1, y, n, NULL) == ERR_NONE);
        CHECK(((float *)y[0].data)[2] == 255);
        CHECK(n < 2 || (y[1].type == INFER_I32 && ((int32_t *)y[1].data)[3] == 7));
        CHECK(n < 3 || (y[2].type == INFER_U8 && ((uint8_t *)y[2].data)[2] == 255));
        for (size_t i = 0; i < n; i++)
            infer_tensor_clear(&y[i]);
    }
    infer_session_close(s);
    infer_destroy(in);
}

static void ort_refuses_what_is_no_network(void)
{
    struct infer *in = engine(NULL);
    NEED_ORT(in);
    uint8_t *whole;
    size_t n;
    struct infer_session *s;
    REQUIRE(file_read(network("conv.onnx"), 1 << 20, &whole, &n, NULL, NULL) == ERR_NONE);
    const size_t cuts[] = { 0, 1, n / 2, n - 1 };
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
        struct err e = { 0 };
        CHECK(file_replace(in_dir("cut.onnx"), whole, cuts[i], NULL) == ERR_NONE);
        enum err_code rc = infer_session_open(
            &s, in, &(struct infer_network){ in_dir("cut.onnx"), "1", NULL }, &e);
        CHECK(rc == ERR_CORRUPT && !s);
        CHECK(strstr(e.msg, "cut.onnx"));
    }
    memset(whole, 0xa5, n);
    CHECK(file_replace(in_dir("cut.onnx"), whole, n, NULL) == ERR_NONE);
    CHECK(infer_session_open(&s, in, &(struct infer_network){ .path = in_dir("cut.onnx") }, NULL) ==
          ERR_CORRUPT);
    free(whole);
    struct err e = { 0 };
    CHECK(infer_session_open(&s, in, &(struct infer_network){ .path = network("half.onnx") }, &e) ==
          ERR_UNSUPPORTED);
    CHECK(strstr(e.msg, "half.onnx: x: elements of ONNX type 10"));
    infer_destroy(in);
}

static void ort_survives_huge_outputs(void)
{
    struct infer *in = engine(NULL);
    NEED_ORT(in);
    struct infer_session *s = open_at(in, network("huge.onnx"), NULL);
    REQUIRE(s);
    int64_t shape[2] = { (int64_t)1 << 40, (int64_t)1 << 40 };
    struct infer_tensor x = { .type = INFER_I64, .n_dims = 1, .dims = { 2 }, .data = shape }, y;
    struct err e = { 0 };
    CHECK(infer_run(s, &x, 1, &y, 1, &e) != ERR_NONE && e.msg[0] && !y.data);
    shape[0] = -4, shape[1] = 3;
    CHECK(infer_run(s, &x, 1, &y, 1, NULL) != ERR_NONE && !y.data);
    infer_session_close(s);
    infer_destroy(in);
}

static long resident_mib(void)
{
    long pages = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (!f || fscanf(f, "%*d %ld", &pages) != 1)
        pages = 0;
    if (f)
        fclose(f);
    return pages / 256;
}

enum { N_HELD = 24 };

static bool all_are(const struct infer_tensor *t, uint8_t value)
{
    const uint8_t *p = t->data;
    size_t n = t->data ? (size_t)(t->dims[0] * t->dims[1]) * 4 : 0, i = 0;
    while (i < n && p[i] == value)
        i++;
    return i == n;
}

/* A run whose output, of up to 8 MB, takes the place of y. */
static bool replace(struct infer_session *s, struct infer_tensor *y, unsigned *seed)
{
    int64_t shape[] = { 1 + rand_r(seed) % 2048, 1 + (int64_t)rand_r(seed) % 1024 };
    const struct infer_tensor x = { .type = INFER_I64, .n_dims = 1, .dims = { 2 }, .data = shape };
    infer_tensor_clear(y);
    return infer_run(s, &x, 1, y, 1, NULL) == ERR_NONE && all_are(y, 0);
}

static void what_networks_compute_in_is_given_back(void)
{
#ifdef __SANITIZE_THREAD__
    SKIP("the thread sanitizer's shadow of memory is resident too");
#endif
    struct infer *in = engine(NULL);
    NEED_ORT(in);
    struct infer_session *s = open_at(in, network("huge.onnx"), NULL);
    struct infer_tensor held[N_HELD] = { 0 };
    unsigned seed = 3;
    long before = resident_mib(), most = 0;
    bool ok = true;
    for (int turn = 0; turn < 600 && ok; turn++) {
        int i = rand_r(&seed) % N_HELD;
        ok = all_are(&held[i], (uint8_t)(i + 1)) && replace(s, &held[i], &seed);
        if (ok)
            memset(held[i].data, i + 1, (size_t)(held[i].dims[0] * held[i].dims[1]) * 4);
        most = resident_mib() > most ? resident_mib() : most;
    }
    CHECK(ok);
    for (int i = 0; i < N_HELD; i++)
        infer_tensor_clear(&held[i]);
    CHECK(replace(s, &held[0], &seed)); /* after a run what is free is bounded */
    infer_tensor_clear(&held[0]);
    const long after = resident_mib();
    infer_session_close(s);
    const long closed = resident_mib();
    if (!CHECK(after < before + 112 && closed < before + 8 && most < before + N_HELD * 8 + 112))
        printf("# %ld MiB, most %ld, after %ld, closed %ld\n", before, most, after, closed);
    infer_destroy(in);
}

static bool doubles(struct infer_session *s)
{
    float px[] = { 1, 2, 3 };
    const struct infer_tensor x = { .n_dims = 2, .dims = { 1, 3 }, .data = px };
    struct infer_tensor y;
    const bool ok = infer_run(s, &x, 1, &y, 1, NULL) == ERR_NONE && ((float *)y.data)[2] == 7;
    infer_tensor_clear(&y);
    return ok;
}

static void *double_often(void *arg)
{
    bool ok = true;
    for (int i = 0; i < 25 && ok; i++)
        ok = doubles(arg);
    return ok ? arg : NULL;
}

/* Its weights are packed in a thread of its own, and the form before goes when no run needs it. */
static void runs_go_on_while_weights_are_packed(void)
{
    CHECK(file_make_dirs(in_dir("packed"), NULL) == ERR_NONE);
    struct infer *in = engine_for(INFER_RUNS_SOME, in_dir("packed"));
    NEED_ORT(in);
    for (int turn = 0; turn < 10; turn++) {
        struct infer_session *s = open_at(in, network("scale.onnx"), "1");
        pthread_t t[4];
        void *done;
        REQUIRE(s);
        for (int i = 0; i < 4; i++)
            REQUIRE(!pthread_create(&t[i], NULL, double_often, s));
        for (int i = 0; i < 4; i++)
            CHECK(!pthread_join(t[i], &done) && done);
        infer_session_close(s);
        s = open_at(in, network("scale.onnx"), "1");
        for (int i = 0; i < turn; i++) /* closed before, while or after it is packed */
            CHECK(doubles(s));
        infer_session_close(s);
    }
    infer_destroy(in);
}

/* They share what the library has one of in a process. */
static void engines_come_and_go(void)
{
    struct infer *in[3];
    struct infer_session *s[3];
    in[0] = engine(NULL);
    NEED_ORT(in[0]);
    in[1] = engine(NULL);
    for (int i = 0; i < 2; i++)
        s[i] = open_at(in[i], network("scale.onnx"), NULL);
    REQUIRE(s[0] && s[1]);
    CHECK(doubles(s[0]) && doubles(s[1]));
    infer_session_close(s[0]);
    infer_destroy(in[0]);
    CHECK(doubles(s[1]));
    in[2] = engine(NULL);
    s[2] = open_at(in[2], network("scale.onnx"), NULL);
    REQUIRE(s[2]);
    CHECK(doubles(s[2]) && doubles(s[1]));
    for (int i = 1; i < 3; i++) {
        infer_session_close(s[i]);
        infer_destroy(in[i]);
    }
}

static void run_conv(struct infer_session *s, float out[32])
{
    float px[2 * 3 * 8 * 8];
    for (size_t i = 0; i < sizeof px / sizeof *px; i++)
        px[i] = (float)(i * 37 % 101) / 50 - 1;
    struct infer_tensor x = { .n_dims = 4, .dims = { 2, 3, 8, 8 }, .data = px }, y;
    memset(out, 0, 32 * sizeof *out);
    if (!CHECK(s && infer_run(s, &x, 1, &y, 1, NULL) == ERR_NONE))
        return;
    memcpy(out, y.data, 32 * sizeof *out);
    infer_tensor_clear(&y);
}

/* The one file in the cache folder; NULL if there is none or more. */
static const char *only_prepared(const char *cache)
{
    static char path[512];
    char cmd[600];
    snprintf(cmd, sizeof cmd, "ls -d %s/* 2>/dev/null", cache);
    FILE *f = popen(cmd, "r");
    char more[512];
    bool one = f && fgets(path, sizeof path, f) && !fgets(more, sizeof more, f);
    if (f)
        pclose(f);
    path[strcspn(path, "\n")] = '\0';
    return one ? path : NULL;
}

static uint64_t inode_of(const char *path)
{
    struct file_info i = { 0 };
    CHECK(path && file_stat(path, &i, NULL) == ERR_NONE);
    return i.inode;
}

/* Open with the cache as it is, compare, close. */
static void conv_is(struct infer *in, const char *identity, const float want[32])
{
    float got[32];
    struct infer_session *s = open_at(in, network("conv.onnx"), identity);
    run_conv(s, got);
    CHECK(cosine(got, want, 32) > 0.99999);
    infer_session_close(s);
}

static void prepared_networks_are_kept_and_checked(void)
{
    const char *cache = "cache";
    char path[256];
    snprintf(path, sizeof path, "%s", in_dir(cache));
    REQUIRE(file_make_dirs(path, NULL) == ERR_NONE);
    struct infer *in = engine(path);
    NEED_ORT(in);
    float want[32];
    struct infer_session *s = open_at(in, network("conv.onnx"), NULL);
    run_conv(s, want);
    infer_session_close(s);
    CHECK(!only_prepared(path)); /* no identity: nothing kept */

    conv_is(in, "A", want);
    uint64_t first = inode_of(only_prepared(path));
    conv_is(in, "A", want);
    CHECK(inode_of(only_prepared(path)) == first); /* used as it is */
    conv_is(in, "B", want);
    CHECK(inode_of(only_prepared(path)) != first); /* stale: replaced */

    uint8_t *bytes;
    size_t n;
    REQUIRE(file_read(only_prepared(path), 1 << 20, &bytes, &n, NULL, NULL) == ERR_NONE);
    for (size_t i = 0; i < n; i += n / 23) { /* rotten anywhere: replaced, the answer is right */
        bytes[i] ^= 0x10;
        CHECK(file_replace(only_prepared(path), bytes, n, NULL) == ERR_NONE);
        bytes[i] ^= 0x10;
        uint64_t rotten = inode_of(only_prepared(path));
        conv_is(in, "B", want);
        CHECK(inode_of(only_prepared(path)) != rotten);
    }
    const size_t cuts[] = { 0, 10, n / 2, n - 1 };
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) { /* torn */
        CHECK(file_replace(only_prepared(path), bytes, cuts[i], NULL) == ERR_NONE);
        conv_is(in, "B", want);
        CHECK(only_prepared(path));
    }
    free(bytes);
    infer_destroy(in);
}

/* NAME in the folder, last changed so many days ago. */
static const char *left_behind(const char *folder, const char *name, int days)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    CHECK(file_replace(path, "half", 4, NULL) == ERR_NONE);
    struct timespec t = { .tv_sec = time(NULL) - days * 86400L };
    CHECK(!utimensat(AT_FDCWD, path, (struct timespec[]){ t, t }, 0));
    return path;
}

static void a_killed_preparation_holds_nobody_up(void)
{
    char cache[256], part[600];
    float want[32];
    snprintf(cache, sizeof cache, "%s", in_dir("killed"));
    REQUIRE(file_make_dirs(cache, NULL) == ERR_NONE);
    struct infer *in = engine(cache);
    NEED_ORT(in);
    struct infer_session *s = open_at(in, network("conv.onnx"), "A");
    run_conv(s, want);
    infer_session_close(s);
    const char *file = only_prepared(cache);
    REQUIRE(file);
    snprintf(part, sizeof part, "%s.part", file);

    unlink(file);
    left_behind(cache, part + strlen(cache) + 1, 0);
    int fd = open(part, O_RDWR | O_CLOEXEC); /* somebody is at it: done without */
    REQUIRE(fd >= 0 && !flock(fd, LOCK_EX));
    conv_is(in, "A", want);
    CHECK(!strcmp(only_prepared(cache), part));
    close(fd); /* and has died */
    conv_is(in, "A", want);
    REQUIRE((file = only_prepared(cache)));
    CHECK(str_ends(file, ".ort"));
    uint64_t kept = inode_of(file);
    conv_is(in, "A", want);
    CHECK(inode_of(only_prepared(cache)) == kept);
    infer_destroy(in);
}

static void networks_that_nobody_opens_are_removed(void)
{
    char cache[256], held[600];
    float want[32];
    snprintf(cache, sizeof cache, "%s", in_dir("unused"));
    REQUIRE(file_make_dirs(cache, NULL) == ERR_NONE);
    struct infer *in = engine(cache);
    NEED_ORT(in);
    snprintf(held, sizeof held, "%s", left_behind(cache, "network-2.ort.part", 40));
    int fd = open(held, O_RDWR | O_CLOEXEC);
    REQUIRE(fd >= 0 && !flock(fd, LOCK_EX));
    left_behind(cache, "network-0.ort", 40);
    left_behind(cache, "network-1.ort.part", 40);
    left_behind(cache, "network-3.ort", 20);
    left_behind(cache, "space-0", 40);
    struct infer_session *s = open_at(in, network("conv.onnx"), "A");
    run_conv(s, want);
    infer_session_close(s);
    char path[300];
    const char *const stay[] = { "network-2.ort.part", "network-3.ort", "space-0" };
    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", cache, stay[i]);
        CHECK(!unlink(path));
    }
    close(fd);
    const char *own = only_prepared(cache); /* so the other two are gone */
    REQUIRE(own);
    left_behind(cache, own + strlen(cache) + 1, 0);
    conv_is(in, "A", want);
    struct timespec long_ago = { .tv_sec = 1000 };
    CHECK(!utimensat(AT_FDCWD, own, (struct timespec[]){ long_ago, long_ago }, 0));
    uint64_t kept = inode_of(own);
    conv_is(in, "A", want); /* opened, so young again */
    s = open_at(in, network("scale.onnx"), "A");
    infer_session_close(s);
    CHECK(inode_of(own) == kept);
    infer_destroy(in);
}

static void a_cache_that_cannot_be_written_is_done_without(void)
{
    struct infer *in = engine("/proc/no/such");
    NEED_ORT(in);
    struct infer_session *s = open_at(in, network("scale.onnx"), "A");
    check_scale(s);
    infer_session_close(s);
    infer_destroy(in);
}

/* A graph with an input, as many shapes as a network may have that hold its length, and fields of
 * no content; version 8 with operators of 17. */
static void put_parts(struct proto_writer *model, size_t n_fields)
{
    static const uint8_t input[] =
        "\x0a\1x\x12\x0e\x0a\x0c\x08\x06\x12\x08\x0a\2\x08\1\x0a\2\x08\x4d";
    static const uint8_t mask[] = "\x08\x4d\x08\x4d\x10\1";
    static const uint8_t shape[] = "\x08\1\x10\7\x4a\x08\x4d\0\0\0\0\0\0";
    struct proto_writer graph = { 0 }, opset = { 0 };
    proto_put_bytes(&graph, 11, input, sizeof input - 1);
    proto_put_bytes(&graph, 5, mask, sizeof mask - 1);
    for (int i = 0; i < INFER_PREFIX_SHAPES_MAX; i++)
        proto_put_bytes(&graph, 5, shape, sizeof shape);
    for (size_t i = 0; i < n_fields; i++)
        proto_put_text(&graph, 13, "");
    proto_put_int(&opset, 2, 17);
    proto_put_int(model, 1, 8);
    proto_put_message(model, 8, &opset);
    proto_put_message(model, 7, &graph);
}

/* Each shape is looked for among all parts: 6 MB of them took 25 s. */
static void a_network_of_very_many_parts_is_left_as_it_is(void)
{
    const int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    const size_t most = INFER_PREFIX_FIELDS_MAX - INFER_PREFIX_SHAPES_MAX - 2;
    const enum err_code want[] = { ERR_NONE, ERR_LIMIT };
    REQUIRE(fd >= 0);
    for (size_t i = 0; i < 2; i++) {
        struct proto_writer model = { 0 };
        struct err e = { 0 };
        put_parts(&model, most + i);
        if (!CHECK(infer_prefix_write(fd, model.b.data, model.b.len, &e) == want[i]))
            printf("# %s\n", e.msg);
        buf_clear(&model.b);
    }
    close(fd);
}

static const struct tap_case cases[] = {
    CASE(a_fake_gives_like_vectors_for_like_texts),
    CASE(inputs_must_fit_the_ports),
    CASE(a_bad_fake_is_refused),
    CASE(one_session_serves_many_threads),
    CASE(an_old_library_is_refused),
    CASE(a_missing_library_is_explained),
    CASE(ort_runs),
    CASE(ort_refuses_what_is_no_network),
    CASE(ort_survives_huge_outputs),
    CASE(what_networks_compute_in_is_given_back),
    CASE(runs_go_on_while_weights_are_packed),
    CASE(engines_come_and_go),
    CASE(prepared_networks_are_kept_and_checked),
    CASE(a_killed_preparation_holds_nobody_up),
    CASE(networks_that_nobody_opens_are_removed),
    CASE(a_cache_that_cannot_be_written_is_done_without),
    CASE(a_network_of_very_many_parts_is_left_as_it_is),
};

int main(void)
{
    scratch_make();
    int rc = tap_run(cases, sizeof cases / sizeof *cases);
    scratch_remove();
    return rc;
}
