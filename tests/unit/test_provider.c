/* Execution providers, by the stand-ins of tests/provider: what ONNX Runtime is told, in which
 * order they are tried, what happens when one fails. What aborts or hangs is in tests/wire, since
 * here is no program to try it in. */
#include "tap.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "infer/session.h"
#include "scratch.h"
#include "sys/file.h"

enum { INNER = 16, OUTER = 4, ROWS = 7 };

static struct warnings {
    int n;
    char last[600];
} warnings;

static void keep_warning(const struct log_line *line, void *ctx)
{
    (void)ctx;
    warnings.n++;
    snprintf(warnings.last, sizeof warnings.last, "%s", line->message);
}

static const char *network(const char *name)
{
    static char path[1024];
    snprintf(path, sizeof path, "%s/networks/%s", getenv("FOVEA_TESTS"), name);
    return path;
}

static struct infer *engine(struct infer_options o)
{
    struct infer *in = NULL;
    warnings = (struct warnings){ 0 };
    o.n_threads = 1;
    o.ort_library = o.ort_library ? o.ort_library : getenv("FOVEA_ORT_LIBRARY");
    CHECK(infer_create(&in, &o, NULL) == ERR_NONE);
    return in;
}

/* On the plug-in, which behaves as mode says. */
static struct infer *engine_of_plugin(const char *mode)
{
    setenv("FAKE_EP", mode, 1);
    return engine(
        (struct infer_options){ .provider = { .ep_library = getenv("FOVEA_FAKE_PLUGIN") } });
}

static bool has_library(void)
{
    return getenv("FOVEA_ORT_LIBRARY") && file_exists(getenv("FOVEA_ORT_LIBRARY"));
}

#define NEED_ORT()                                                                                 \
    do {                                                                                           \
        if (!has_library())                                                                        \
            SKIP("no ONNX Runtime library");                                                       \
    } while (0)

/* rows.onnx, n rows: the numbers must be those of any provider. */
static void check_rows(struct infer_session *s, int64_t n)
{
    float x[ROWS * INNER];
    for (int i = 0; i < ROWS * INNER; i++)
        x[i] = (float)(i * 37 % 101) / 50 - 1;
    struct infer_tensor t = { .n_dims = 2, .dims = { n, INNER }, .data = x }, y;
    struct err e = { 0 };
    if (!CHECK(s && infer_run(s, &t, 1, &y, 1, &e) == ERR_NONE)) {
        printf("# %s\n", e.msg);
        return;
    }
    CHECK(y.n_dims == 2 && y.dims[0] == n && y.dims[1] == OUTER);
    for (int r = 0; r < n; r++)
        for (int c = 0; c < OUTER; c++) {
            float want = 0;
            for (int i = 0; i < INNER; i++)
                want += x[r * INNER + i] * ((float)(i * OUTER + c) / 8 - 4);
            CHECK(fabsf(((float *)y.data)[r * OUTER + c] - want) < 1e-3f);
        }
    infer_tensor_clear(&y);
}

static struct infer_session *open_rows(struct infer *in)
{
    struct infer_session *s = NULL;
    struct err e = { 0 };
    if (!CHECK(infer_session_open(&s, in,
                                  &(struct infer_network){ network("rows.onnx"), "A", NULL },
                                  &e) == ERR_NONE))
        printf("# %s\n", e.msg);
    return s;
}

static int count_lines(const char *path)
{
    FILE *f = fopen(path, "r");
    int n = 0;
    for (int c; f && (c = fgetc(f)) != EOF;)
        n += c == '\n';
    if (f)
        fclose(f);
    return n;
}

static void a_plugin_runs_networks(void)
{
    NEED_ORT();
    char log[300];
    snprintf(log, sizeof log, "%s/runs", scratch);
    setenv("FAKE_EP_LOG", log, 1);
    struct infer *in = engine_of_plugin("good");
    CHECK_STR(infer_provider(in), "cpu"); /* nothing was opened */
    struct infer_session *s = open_rows(in);
    CHECK_STR(infer_provider(in), "plugin");
    check_rows(s, ROWS);
    CHECK(count_lines(log) == 1 && !warnings.n);
    unsetenv("FAKE_EP_LOG");
    infer_session_close(s);
    infer_destroy(in);
}

/* What is wrong with a provider as a whole: said once, however many networks there are. */
static void a_plugin_that_does_not_load_leaves_the_cpu(void)
{
    NEED_ORT();
    static const char *const modes[][2] = { { "error-create", "libcudart.so.13" },
                                            { "no-devices", "has no device here" },
                                            { "many-devices", "has no device here" } };
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        struct infer *in = engine_of_plugin(modes[i][0]);
        struct infer_session *a = open_rows(in), *b = open_rows(in);
        check_rows(a, 2);
        check_rows(b, 3);
        CHECK_STR(infer_provider(in), "cpu");
        CHECK(warnings.n == 1 && strstr(warnings.last, modes[i][1]));
        infer_session_close(a);
        infer_session_close(b);
        infer_destroy(in);
    }
    struct infer *in = engine((struct infer_options){ .provider = { .ep_library = "/no/such" } });
    struct infer_session *s = open_rows(in);
    check_rows(s, 2);
    CHECK(warnings.n == 1 && strstr(warnings.last, "/no/such"));
    infer_session_close(s);
    infer_destroy(in);
}

static void a_device_that_is_not_there_is_told(void)
{
    NEED_ORT();
    setenv("FAKE_EP", "good", 1);
    char why[ERR_MSG_MAX];
    struct infer *in = engine((struct infer_options){
        .provider = { .ep_library = getenv("FOVEA_FAKE_PLUGIN"), .device_id = 3 } });
    CHECK_STR(infer_provider_decide(in, why, sizeof why), "cpu");
    CHECK(strstr(why, "has 1 device, the wanted one is number 3"));
    infer_destroy(in);
}

static void a_network_that_a_provider_fails_goes_to_the_cpu(void)
{
    NEED_ORT();
    static const char *const modes[][2] = { { "error-session", "no driver for the device" },
                                            { "error-run", "the device was lost" } };
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        struct infer *in = engine_of_plugin(modes[i][0]);
        struct infer_session *s = open_rows(in);
        for (int k = 1; k < ROWS; k++)
            check_rows(s, k);
        CHECK(warnings.n == 1 && strstr(warnings.last, "rows.onnx runs on the CPU"));
        CHECK(strstr(warnings.last, modes[i][1]));
        infer_session_close(s);
        infer_destroy(in);
    }
}

/* What the CPU cannot do either is no provider's fault. */
static void a_broken_network_blames_nobody(void)
{
    NEED_ORT();
    struct infer *in = engine_of_plugin("good");
    struct infer_session *s;
    struct err e = { 0 };
    char path[300];
    snprintf(path, sizeof path, "%s/broken.onnx", scratch);
    CHECK(file_replace(path, "nothing", 7, NULL) == ERR_NONE);
    CHECK(infer_session_open(&s, in, &(struct infer_network){ .path = path }, &e) == ERR_CORRUPT &&
          !s && !warnings.n);
    CHECK(infer_session_open(&s, in, &(struct infer_network){ .path = "/no/such.onnx" }, NULL) ==
          ERR_NOT_FOUND);
    infer_destroy(in);
}

static void *run_often(void *arg)
{
    for (int i = 0; i < 20; i++)
        check_rows(arg, 1 + i % ROWS);
    return NULL;
}

static void threads_lose_a_provider_together(void)
{
    NEED_ORT();
    struct infer *in = engine_of_plugin("late-error"); /* of more than 64 numbers */
    struct infer_session *s = open_rows(in);
    pthread_t t[4];
    check_rows(s, 4);
    CHECK(!warnings.n);
    for (int i = 0; i < 4; i++)
        REQUIRE(!pthread_create(&t[i], NULL, run_often, s));
    for (int i = 0; i < 4; i++)
        CHECK(!pthread_join(t[i], NULL));
    CHECK(warnings.n == 1);
    infer_session_close(s);
    infer_destroy(in);
}

static void too_little_memory_makes_batches_smaller(void)
{
    NEED_ORT();
    char log[300];
    snprintf(log, sizeof log, "%s/parts", scratch);
    setenv("FAKE_EP_LOG", log, 1);
    struct infer *in = engine_of_plugin("late-memory"); /* two rows fit */
    struct infer_session *s = open_rows(in);
    check_rows(s, ROWS);
    CHECK(count_lines(log) == 1 + 1 + 4); /* 7 and 4 rows do not fit, 2 2 2 1 do */
    check_rows(s, ROWS);
    CHECK(count_lines(log) == 6 + 4); /* remembered */
    check_rows(s, 2);
    CHECK(count_lines(log) == 11 && !warnings.n);
    CHECK_STR(infer_provider(in), "plugin");
    unsetenv("FAKE_EP_LOG");
    infer_session_close(s);
    infer_destroy(in);
}

/* One row was too much for the provider: the CPU is given all of them from then on. */
static void what_fits_is_forgotten_with_the_provider(void)
{
    NEED_ORT();
    struct infer *in = engine_of_plugin("no-memory");
    struct infer_session *s = open_rows(in);
    REQUIRE(s);
    check_rows(s, ROWS);
    CHECK(warnings.n == 1 && strstr(warnings.last, "rows.onnx runs on the CPU"));
    CHECK(atomic_load(&s->rows_max) >= ROWS);
    check_rows(s, ROWS);
    CHECK(atomic_load(&s->rows_max) >= ROWS && warnings.n == 1);
    infer_session_close(s);
    infer_destroy(in);
}

static void few_runs_are_the_cpus(void)
{
    NEED_ORT();
    setenv("FAKE_EP", "good", 1);
    const struct infer_provider_options plugin = { .ep_library = getenv("FOVEA_FAKE_PLUGIN") };
    struct infer_provider_options cpu = plugin;
    cpu.name = "cpu";
    const struct infer_options o[] = { { .provider = plugin, .runs = INFER_RUNS_FEW },
                                       { .provider = cpu } };
    for (int i = 0; i < 2; i++) {
        struct infer *in = engine(o[i]);
        struct infer_session *s = open_rows(in);
        check_rows(s, 2);
        CHECK_STR(infer_provider(in), "cpu");
        CHECK(!warnings.n);
        infer_session_close(s);
        infer_destroy(in);
    }
}

/* ---- the providers that a library has built in ---- */

/* What the false library was told when rows.onnx was opened there. */
static const char *told(const char *offers, struct infer_provider_options p, const char *cache_dir)
{
    static char text[4096];
    char log[300];
    snprintf(log, sizeof log, "%s/told", scratch);
    unlink(log);
    setenv("FAKE_ORT_REAL", getenv("FOVEA_ORT_LIBRARY"), 1);
    setenv("FAKE_ORT_PROVIDERS", offers, 1);
    setenv("FAKE_ORT_LOG", log, 1);
    struct infer *in = engine((struct infer_options){
        .ort_library = getenv("FOVEA_GPU_ORT"), .cache_dir = cache_dir, .provider = p });
    struct infer_session *s = open_rows(in);
    check_rows(s, 2);
    infer_session_close(s);
    infer_destroy(in);
    FILE *f = fopen(log, "r");
    size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;
    if (f)
        fclose(f);
    text[n] = '\0';
    return text;
}

static void providers_are_tried_in_the_reference_s_order(void)
{
    NEED_ORT();
    const struct infer_provider_options any = { 0 };
    CHECK_STR(told("CPUExecutionProvider", any, NULL), "");
    CHECK_STR(told("TensorrtExecutionProvider,CPUExecutionProvider", any, NULL), "");
    CHECK_STR(told("OpenVINOExecutionProvider,MIGraphXExecutionProvider,CUDAExecutionProvider,"
                   "TensorrtExecutionProvider,CPUExecutionProvider",
                   any, NULL),
              "CUDA device_id=0 arena_extend_strategy=kSameAsRequested\n");
    CHECK_STR(told("OpenVINOExecutionProvider,MIGraphXExecutionProvider", any, NULL),
              "MIGraphX device_id=0 migraphx_fp16_enable=0\n");
    CHECK_STR(told("OpenVINOExecutionProvider,ROCMExecutionProvider", any, NULL),
              "ROCm device_id=0 arena_extend_strategy=kSameAsRequested\n");
    CHECK_STR(told("OpenVINOExecutionProvider", any, NULL),
              "OpenVINO device_type=GPU.0 precision=FP32\n");
}

static void settings_reach_the_provider(void)
{
    NEED_ORT();
    const char all[] = "OpenVINOExecutionProvider,MIGraphXExecutionProvider,CUDAExecutionProvider,"
                       "TensorrtExecutionProvider";
    struct infer_provider_options p = {
        .name = "openvino", .device_id = 2, .half_openvino = true, .half_rocm = true
    };
    CHECK_STR(told(all, p, NULL), "OpenVINO device_type=GPU.2 precision=FP16\n");
    p.name = "openvino-cpu";
    CHECK_STR(told(all, p, NULL), "OpenVINO device_type=CPU precision=FP32\n");
    p.name = "migraphx";
    CHECK_STR(told(all, p, NULL), "MIGraphX device_id=2 migraphx_fp16_enable=1\n");
    p.name = "tensorrt";
    CHECK_STR(told(all, p, NULL), "TensorRT device_id=2\n"
                                  "CUDA device_id=2 arena_extend_strategy=kSameAsRequested\n");
    p.name = "rocm";
    CHECK_STR(told(all, p, NULL), "");
    CHECK(warnings.n == 1 && strstr(warnings.last, "rocm: this ONNX Runtime library does not"));
}

/* Of its own for each network, made before the provider is told; our own cache has no part. */
static void what_providers_compile_is_kept(void)
{
    NEED_ORT();
    char cache[300];
    snprintf(cache, sizeof cache, "%s/compiled", scratch);
    const struct infer_provider_options p = { .name = "openvino" };
    const char *text = told("OpenVINOExecutionProvider", p, cache);
    const char *dir = strstr(text, " cache_dir=");
    REQUIRE(dir);
    char path[512];
    snprintf(path, sizeof path, "%.*s", (int)strcspn(dir + 11, "\n"), dir + 11);
    CHECK(strstr(path, "/compiled/openvino-") && !rmdir(path) && !rmdir(cache));
    CHECK_STR(told("OpenVINOExecutionProvider", p, "/proc/no/such"),
              "OpenVINO device_type=GPU.0 precision=FP32\n");
}

static void a_library_may_be_too_old_for_a_plugin(void)
{
    NEED_ORT();
    char why[ERR_MSG_MAX];
    setenv("FAKE_ORT_REAL", getenv("FOVEA_ORT_LIBRARY"), 1);
    setenv("FAKE_ORT_PROVIDERS", "CPUExecutionProvider", 1);
    struct infer *in =
        engine((struct infer_options){ .ort_library = getenv("FOVEA_GPU_ORT"),
                                       .provider = { .ep_library = getenv("FOVEA_FAKE_PLUGIN") } });
    CHECK_STR(infer_provider_decide(in, why, sizeof why), "cpu");
    CHECK_STR(why, "plugin: ONNX Runtime 1.16.0 is too old, 1.22 is needed");
    infer_destroy(in);
}

static const struct tap_case cases[] = {
    CASE(a_plugin_runs_networks),
    CASE(a_plugin_that_does_not_load_leaves_the_cpu),
    CASE(a_device_that_is_not_there_is_told),
    CASE(a_network_that_a_provider_fails_goes_to_the_cpu),
    CASE(a_broken_network_blames_nobody),
    CASE(threads_lose_a_provider_together),
    CASE(too_little_memory_makes_batches_smaller),
    CASE(what_fits_is_forgotten_with_the_provider),
    CASE(few_runs_are_the_cpus),
    CASE(providers_are_tried_in_the_reference_s_order),
    CASE(settings_reach_the_provider),
    CASE(what_providers_compile_is_kept),
    CASE(a_library_may_be_too_old_for_a_plugin),
};

int main(void)
{
    scratch_make();
    log_init(LOG_WARN, keep_warning, NULL);
    int rc = tap_run(cases, sizeof cases / sizeof *cases);
    scratch_remove();
    return rc;
}
