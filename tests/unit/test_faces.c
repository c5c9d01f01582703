/* Faces on hand-made heads, hostile ones too, and on the toy networks of tests/models. */
#include "tap.h"

#include <stdlib.h>

#include "scratch.h"
#include "sys/file.h"
#include "task/face.h"

/* Heads of a whole detector, all zero, and their tensors. */
struct heads {
    const struct face_family *family;
    struct infer_tensor t[FACE_HEADS_MAX];
};

static size_t level_len(const struct heads *h, size_t level)
{
    const size_t cells = 80u >> level;
    return cells * cells * h->family->anchors;
}

static struct heads make_heads(const char *model_name)
{
    struct heads h = { .family = task_face_family(model_name) };
    for (size_t i = 0; i < h.family->kinds * FACE_LEVELS; i++) {
        const size_t len = level_len(&h, i % FACE_LEVELS),
                     width = h.family->widths[i / FACE_LEVELS];
        h.t[i] = (struct infer_tensor){ .type = INFER_F32,
                                        .n_dims = 2,
                                        .dims = { (int64_t)len, (int64_t)width },
                                        .data = calloc(len * width, sizeof(float)) };
    }
    return h;
}

static void free_heads(struct heads *h)
{
    for (size_t i = 0; i < FACE_HEADS_MAX; i++)
        free(h->t[i].data);
}

/* The floats of box i of a level, by kind. */
static float *head(const struct heads *h, size_t kind, size_t level, size_t i)
{
    return (float *)h->t[kind * FACE_LEVELS + level].data + i * h->family->widths[kind];
}

/* SCRFD: a box that reaches `reach` strides to each side. */
static void put(const struct heads *h, size_t level, size_t i, float score, float reach)
{
    *head(h, 0, level, i) = score;
    for (int k = 0; k < 4; k++)
        head(h, 1, level, i)[k] = reach;
    for (int k = 0; k < 10; k++)
        head(h, 2, level, i)[k] = (float)k;
}

/* The faces are in *faces, whose last content is freed. */
static size_t find(const struct heads *h, float scale, float min_score, struct task_face **faces)
{
    struct face_level levels[FACE_LEVELS];
    size_t n = 0;
    free(*faces);
    *faces = NULL;
    CHECK(task_face_levels(h->family, h->t, levels, NULL) == ERR_NONE);
    CHECK(task_face_boxes(h->family, levels, scale, min_score, faces, &n, NULL) == ERR_NONE);
    CHECK((n > 0) == (*faces != NULL));
    return n;
}

static void a_box_is_read(void)
{
    struct heads h = make_heads("buffalo_l");
    struct task_face *f = NULL;
    CHECK(find(&h, 1, 0, &f) == 0); /* a score of 0 is no face */
    put(&h, 1, 2 * (40 * 3 + 5) + 1, .75f, 1.5f);
    REQUIRE(find(&h, .5f, .75f, &f) == 1); /* at least, not more than */
    CHECK(f->score == .75f);
    CHECK(f->x1 == (5 - 1.5f) * 32 && f->y1 == (3 - 1.5f) * 32);
    CHECK(f->x2 == (5 + 1.5f) * 32 && f->y2 == (3 + 1.5f) * 32);
    CHECK(f->points[0][0] == 5 * 32 && f->points[0][1] == (3 + 1) * 32);
    CHECK(f->points[4][0] == (5 + 8) * 32 && f->points[4][1] == (3 + 9) * 32);
    CHECK(find(&h, .5f, .7501f, &f) == 0);
    CHECK(find(&h, .5f, NAN, &f) == 0);
    CHECK(find(&h, 3, .1f, &f) == 1 && f->x1 == rintf((5 - 1.5f) * 16 / 3));
    free(f);
    free_heads(&h);
}

static void a_yunet_box_is_read(void)
{
    struct heads h = make_heads("face_detection_YuNet_2023mar");
    struct task_face *f = NULL;
    const size_t i = 20 * 2 + 7;
    *head(&h, 0, 2, i) = .81f;
    *head(&h, 1, 2, i) = 4; /* counts as 1 */
    memcpy(head(&h, 2, 2, i), (float[]){ .5f, .25f, logf(2), 0 }, 4 * sizeof(float));
    head(&h, 3, 2, i)[9] = 1;
    REQUIRE(find(&h, 1, .5f, &f) == 1);
    CHECK_NEAR(f->score, .9, 1e-6);
    CHECK(f->x1 == (7.5f - 1) * 32 && f->x2 == (7.5f + 1) * 32);
    CHECK(f->y1 == (2.25f - .5f) * 32 && f->y2 == (2.25f + .5f) * 32);
    CHECK(f->points[4][0] == 7 * 32 && f->points[4][1] == 3 * 32);
    free(f);
    free_heads(&h);
}

static void the_surest_of_those_that_overlap_stays(void)
{
    struct heads h = make_heads("buffalo_l");
    struct task_face *f = NULL;
    put(&h, 0, 2 * 80 * 20 + 40, .6f, 4);
    put(&h, 0, 2 * 80 * 20 + 41, .9f, 4); /* the same place */
    put(&h, 0, 2 * 80 * 20 + 44, .7f, 4); /* 2 cells on: 6 of 10 in common */
    put(&h, 0, 2 * 80 * 20 + 48, .5f, 4); /* 4 cells on: 4 of 12 */
    REQUIRE(find(&h, 1, .1f, &f) == 2);
    CHECK(f[0].score == .9f && f[1].score == .5f);
    put(&h, 2, 0, .9f, 2); /* as sure, later */
    REQUIRE(find(&h, 1, .1f, &f) == 3);
    CHECK(f[0].x1 == 128 && f[1].x1 == -64 && f[1].score == .9f);
    put(&h, 2, 0, .9f, -2); /* inside out */
    put(&h, 2, 1, .9f, 0);
    CHECK(find(&h, 1, .1f, &f) == 4);
    free(f);
    free_heads(&h);
}

static void what_is_no_number_is_no_face(void)
{
    static const float bad[] = { NAN, INFINITY, -INFINITY, 3e38f };
    struct heads h = make_heads("");
    struct task_face *f = NULL;
    for (size_t b = 0; b < sizeof bad / sizeof *bad; b++)
        for (size_t kind = 0; kind < 3; kind++) {
            put(&h, 0, 7, .9f, 1);
            CHECK(find(&h, .25f, .1f, &f) == 1);
            head(&h, kind, 0, 7)[h.family->widths[kind] - 1] = bad[b];
            const bool just_high = !kind && bad[b] == 3e38f;
            CHECK(find(&h, .25f, .1f, &f) == (just_high ? 1 : 0));
        }
    free(f);
    free_heads(&h);
}

static void thousands_are_bounded(void)
{
    struct heads h = make_heads("");
    struct task_face *f = NULL;
    for (size_t l = 0; l < FACE_LEVELS; l++)
        for (size_t i = 0; i < level_len(&h, l); i++)
            put(&h, l, i, 1e-3f * (float)(i % 997), l ? 1e37f : 1e-3f);
    CHECK(find(&h, 1, 0, &f) == TASK_FACES_MAX);
    for (size_t i = 1; f && i < TASK_FACES_MAX; i++)
        CHECK(f[i].score <= f[i - 1].score);
    free(f);
    free_heads(&h);
}

static void heads_of_another_shape_are_refused(void)
{
    struct heads h = make_heads("");
    struct face_level levels[FACE_LEVELS];
    for (size_t i = 0; i < 9; i++) {
        const struct infer_tensor was = h.t[i];
        const struct infer_tensor wrong[] = {
            { .type = INFER_F32, .n_dims = 2, .dims = { was.dims[0] - 1, was.dims[1] } },
            { .type = INFER_F32, .n_dims = 2, .dims = { was.dims[0], was.dims[1] + 1 } },
            { .type = INFER_F32, .n_dims = 2, .dims = { was.dims[1], was.dims[0] } },
            { .type = INFER_F32, .n_dims = 2, .dims = { 0, was.dims[1] } },
            { .type = INFER_F32, .n_dims = 2, .dims = { -1, was.dims[1] } },
            { .type = INFER_F32, .n_dims = 0 },
            { .type = INFER_I32, .n_dims = 2, .dims = { was.dims[0], was.dims[1] } },
        };
        for (size_t k = 0; k < sizeof wrong / sizeof *wrong; k++) {
            struct err e = { 0 };
            h.t[i] = wrong[k];
            h.t[i].data = was.data;
            CHECK(task_face_levels(h.family, h.t, levels, &e) != ERR_NONE && e.msg[0]);
        }
        h.t[i] = was;
        h.t[i].n_dims = 3; /* a batch of one in front, as some exports have */
        memcpy(h.t[i].dims, (int64_t[]){ 1, was.dims[0], was.dims[1] }, 3 * sizeof(int64_t));
        CHECK(task_face_levels(h.family, h.t, levels, NULL) == ERR_NONE);
    }
    free_heads(&h);
}

static const float upright[10] = { 38.2946f, 51.6963f, 73.5318f, 51.5014f, 56.0252f,
                                   71.7366f, 41.5493f, 92.3655f, 70.7299f, 92.2041f };

static struct image grey(uint32_t w, uint32_t h)
{
    struct image im = { .px = malloc((size_t)3 * w * h), .width_px = w, .height_px = h };
    for (size_t i = 0; im.px && i < (size_t)3 * w * h; i++)
        im.px[i] = (uint8_t)(i * 7);
    return im;
}

static float crop[3 * FACE_CROP_PX * FACE_CROP_PX];

static void an_upright_face_is_cut_out(void)
{
    static const struct face_feed as_is = { 0, 1, true };
    struct image im = grey(150, 130);
    struct task_face f = { 0 };
    for (int i = 0; i < 10; i++)
        f.points[i / 2][i % 2] = upright[i] + (i % 2 ? 9 : 20);
    REQUIRE(im.px);
    task_face_crop(&im, &f, &as_is, crop);
    int wrong = 0;
    for (int y = 0; y < FACE_CROP_PX; y++)
        for (int x = 0; x < FACE_CROP_PX; x++)
            for (int c = 0; c < 3; c++)
                wrong += crop[(c * FACE_CROP_PX + y) * FACE_CROP_PX + x] !=
                         im.px[((y + 9) * 150 + x + 20) * 3 + 2 - c];
    CHECK(wrong == 0);
    image_clear(&im);
}

/* Out of the picture, all in one place, and of no size: black, or some pixels; never a fault. */
static void points_anywhere_are_cut_out(void)
{
    static const struct face_feed as_is = { 0, 1, false };
    static const float values[] = { 0, 5, 1e6f, -1e9f, 3e38f, -3e38f, 1e-38f };
    struct image im = grey(30, 20);
    const size_t n = sizeof values / sizeof *values;
    REQUIRE(im.px);
    for (size_t seed = 0; seed < 500; seed++) {
        struct task_face f = { 0 };
        for (size_t i = 0; i < 10; i++)
            f.points[i / 2][i % 2] = values[(seed * 2654435761u + i * i * (seed >> 3)) % n];
        task_face_crop(&im, &f, &as_is, crop);
        for (size_t i = 0; i < sizeof crop / sizeof *crop; i++)
            if (!(crop[i] >= 0 && crop[i] <= 255)) {
                CHECK(!"a value that no byte has");
                break;
            }
    }
    image_clear(&im);
}

static void slivers_are_seen(void)
{
    static const uint32_t sizes[][2] = {
        { 1, 1 }, { 1, 5000 }, { 5000, 1 }, { 640, 640 }, { 3, 2 }
    };
    static const struct face_feed as_is = { 0, 1, false };
    float *seen = malloc(sizeof *seen * 3 * FACE_DETECT_PX * FACE_DETECT_PX), scale = 0;
    REQUIRE(seen);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct image im = grey(sizes[i][0], sizes[i][1]);
        CHECK(task_face_letterbox(&im, &as_is, seen, &scale, NULL) == ERR_NONE && scale > 0);
        CHECK(seen[0] >= 0 && seen[0] <= 255);
        CHECK(sizes[i][0] == sizes[i][1] || seen[3 * FACE_DETECT_PX * FACE_DETECT_PX - 1] == 0);
        image_clear(&im);
    }
    CHECK(task_face_letterbox(&(struct image){ 0 }, &as_is, seen, &scale, NULL) == ERR_INVALID);
    free(seen);
}

static struct infer *engine;

static struct model_folder network(const char *name, const char *type, const char *text)
{
    struct model_folder f = { 0 };
    char cmd[256], path[256];
    snprintf(cmd, sizeof cmd, "mkdir -p %s/facial-recognition/%s/%s", scratch, name, type);
    CHECK(!system(cmd));
    snprintf(path, sizeof path, "%s/facial-recognition/%s/%s/model.onnx", scratch, name, type);
    CHECK(file_replace(path, text, strlen(text), NULL) == ERR_NONE);
    CHECK(model_find(scratch, MODEL_FACES, name, &f, NULL) == ERR_NONE);
    return f;
}

/* "fovea-fake 1", an input line, then n outputs of these widths. */
static const char *fake(const char *input, const size_t *widths, size_t n)
{
    static char text[2048];
    size_t at = (size_t)snprintf(text, sizeof text, "fovea-fake 1\n%s\n", input);
    for (size_t i = 0; i < n; i++)
        at += (size_t)snprintf(text + at, sizeof text - at, "output o%zu f32 -1 %zu\n", i,
                               widths[i / 3]);
    return text;
}

static void detectors_of_another_signature_are_refused(void)
{
    static const size_t scrfd[] = { 1, 4, 10 }, yunet[] = { 1, 1, 4, 10 }, other[] = { 1, 4, 8 };
    const char *input = "input x f32 1 3 640 640";
    const struct {
        const char *name, *input, *says;
        const size_t *widths;
        size_t n;
    } t[] = {
        { "a", input, NULL, scrfd, 9 },
        { "b", "input x f32 1 3 -1 -1", NULL, scrfd, 9 },
        { "c", input, "SCRFD", yunet, 12 },
        { "my_YuNet", input, NULL, yunet, 12 },
        { "sface2", input, "YuNet", scrfd, 9 },
        { "e", input, "SCRFD", other, 9 },
        { "f", input, "9 f32", scrfd, 6 },
        { "g", "input x f32 1 3 320 320", "640", scrfd, 9 },
        { "h", "input x u8 1 3 640 640", "f32 [1, 3, 640, 640]", scrfd, 9 },
        { "i", "input x f32 1 3 640 640\ninput y f32 1", "2 inputs", scrfd, 9 },
    };
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        struct err e = { 0 };
        struct task_face_detector *d;
        struct model_folder f =
            network(t[i].name, "detection", fake(t[i].input, t[i].widths, t[i].n));
        enum err_code rc = task_face_detector_open(&d, engine, &f, &e);
        CHECK(rc == (t[i].says ? ERR_UNSUPPORTED : ERR_NONE) && !d == !!t[i].says);
        if (t[i].says && !CHECK(strstr(e.msg, t[i].says) && strstr(e.msg, f.dir)))
            printf("# %s\n", e.msg);
        task_face_detector_close(d);
    }
}

static void recognizers_of_another_signature_are_refused(void)
{
    static const struct {
        const char *name, *text, *says;
    } t[] = {
        { "ra", "input x f32 -1 3 112 112\noutput v f32 -1 8\n", NULL },
        { "rb", "input x f32 1 3 112 112\noutput v f32 1 8\n", NULL },
        { "rc", "input x f32 4 3 112 112\noutput v f32 4 8\n", "[n or 1, 3, 112, 112]" },
        { "rd", "input x f32 -1 3 224 224\noutput v f32 -1 8\n", "ArcFace" },
        { "sface3", "input x f32 -1 112 112 3\noutput v f32 -1 8\n", "SFace" },
        { "re", "input x f32 -1 3 112 112\noutput v i64 -1 8\n", "f32 [n, length" },
        { "rf", "input x f32 -1 3 112 112\noutput v f32 -1 -1\n", "length" },
    };
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        struct err e = { 0 };
        struct task_face_recognizer *r;
        char text[256];
        snprintf(text, sizeof text, "fovea-fake 1\n%s", t[i].text);
        struct model_folder f = network(t[i].name, "recognition", text);
        enum err_code rc = task_face_recognizer_open(&r, engine, &f, 0, &e);
        CHECK(rc == (t[i].says ? ERR_UNSUPPORTED : ERR_NONE) && !r == !!t[i].says);
        if (t[i].says && !CHECK(strstr(e.msg, t[i].says) && strstr(e.msg, f.dir)))
            printf("# %s\n", e.msg);
        task_face_recognizer_close(r);
    }
}

/* In batches of any size, one by one where the network says so: the same vectors. */
static void faces_are_embedded_in_batches(void)
{
    enum { N = 7, DIM = 8 };
    static float want[N * DIM], got[N * DIM];
    const atomic_bool cancel = true;
    struct image im = grey(200, 160);
    struct task_face faces[N] = { 0 };
    for (int i = 0; i < 10 * N; i++)
        faces[i / 10].points[i % 10 / 2][i % 2] = upright[i % 10] + (float)(i / 10 * 5);
    for (size_t batch = 0; batch < 10; batch++) {
        struct task_face_recognizer *r = NULL;
        char text[128];
        snprintf(text, sizeof text, "fovea-fake 1\ninput x f32 %d 3 112 112\noutput v f32 -1 %d\n",
                 batch == 9 ? 1 : -1, DIM);
        struct model_folder f = network("batches", "recognition", text);
        REQUIRE(task_face_recognizer_open(&r, engine, &f, batch, NULL) == ERR_NONE);
        CHECK(task_face_recognizer_dim(r) == DIM);
        CHECK(task_face_embed(r, &im, faces, N, got, NULL, NULL) == ERR_NONE);
        if (!batch)
            memcpy(want, got, sizeof want);
        CHECK(!memcmp(want, got, sizeof want));
        CHECK(memcmp(got, got + DIM, DIM * sizeof *got) != 0);
        CHECK(task_face_embed(r, &im, faces, 0, NULL, NULL, NULL) == ERR_NONE);
        CHECK(task_face_embed(r, &im, faces, N, got, &cancel, NULL) == ERR_CANCELLED);
        task_face_recognizer_close(r);
    }
    image_clear(&im);
}

static void toy_models_find_light(void)
{
    static const char *const names[] = { "toy", "toy_yunet_sface" };
    char models[1024];
    if (infer_describe(engine, models, sizeof models, NULL) != ERR_NONE)
        SKIP("no ONNX Runtime library");
    const char *tests = getenv("FOVEA_TESTS");
    struct image im = grey(320, 240);
    REQUIRE(im.px);
    memset(im.px, 10, (size_t)3 * 320 * 240);
    for (int y = 80; y < 150; y++)
        memset(im.px + (y * 320 + 100) * 3, 250, (size_t)3 * 60);
    snprintf(models, sizeof models, "%s/models", tests ? tests : "tests");
    for (size_t i = 0; i < 2; i++) {
        struct model_folder f;
        struct task_face_detector *d = NULL;
        struct task_face *faces = NULL;
        struct err e = { 0 };
        size_t n = 0;
        CHECK(model_find(models, MODEL_FACES, names[i], &f, &e) == ERR_NONE);
        REQUIRE(task_face_detector_open(&d, engine, &f, &e) == ERR_NONE);
        CHECK(task_face_detect(d, &im, .5f, &faces, &n, &e) == ERR_NONE && n > 0);
        CHECK(faces && faces->x1 > 60 && faces->x2 < 200 && faces->y1 > 40 && faces->y2 < 190);
        free(faces);
        CHECK(task_face_detect(d, &im, .99999f, &faces, &n, &e) == ERR_NONE && !n && !faces);
        CHECK(task_face_detect(d, &(struct image){ 0 }, .5f, &faces, &n, &e) == ERR_INVALID &&
              !faces);
        task_face_detector_close(d);
    }
    image_clear(&im);
    task_face_detector_close(NULL);
    task_face_recognizer_close(NULL);
}

static const struct tap_case cases[] = {
    CASE(a_box_is_read),
    CASE(a_yunet_box_is_read),
    CASE(the_surest_of_those_that_overlap_stays),
    CASE(what_is_no_number_is_no_face),
    CASE(thousands_are_bounded),
    CASE(heads_of_another_shape_are_refused),
    CASE(an_upright_face_is_cut_out),
    CASE(points_anywhere_are_cut_out),
    CASE(slivers_are_seen),
    CASE(detectors_of_another_signature_are_refused),
    CASE(recognizers_of_another_signature_are_refused),
    CASE(faces_are_embedded_in_batches),
    CASE(toy_models_find_light),
};

int main(void)
{
    scratch_make();
    const struct infer_options o = { .ort_library = getenv("FOVEA_ORT_LIBRARY"), .n_threads = 1 };
    int rc =
        infer_create(&engine, &o, NULL) != ERR_NONE || tap_run(cases, sizeof cases / sizeof *cases);
    infer_destroy(engine);
    scratch_remove();
    return rc;
}
