/* Text on hand-made maps, outlines and probabilities, hostile ones too, and on the toy networks of
 * tests/models. */
#include "tap.h"

#include <math.h>
#include <stdlib.h>

#include "scratch.h"
#include "sys/file.h"
#include "task/ocr.h"

static struct image make_image(uint32_t w, uint32_t h)
{
    return (struct image){ .px = calloc(h, (size_t)w * 3), .width_px = w, .height_px = h };
}

static void paint(struct image *im, uint32_t x0, uint32_t y0, uint32_t x1, uint32_t y1,
                  const uint8_t rgb[3])
{
    for (uint32_t y = y0; y < y1; y++)
        for (uint32_t x = x0; x < x1; x++)
            memcpy(im->px + ((size_t)y * im->width_px + x) * 3, rgb, 3);
}

static const uint8_t red[3] = { 255, 0, 0 }, green[3] = { 0, 255, 0 }, blue[3] = { 0, 0, 255 };
static const uint8_t white[3] = { 255, 255, 255 };

static void check_seen(uint32_t w, uint32_t h, double max, uint32_t want_w, uint32_t want_h)
{
    const struct image im = { .width_px = w, .height_px = h };
    uint32_t got_w, got_h;
    task_ocr_seen_size(&im, max, &got_w, &got_h);
    if (!CHECK(got_w == want_w && got_h == want_h))
        printf("# %u x %u at %g: %u x %u\n", w, h, max, got_w, got_h);
}

static const struct task_ocr_search usual = { 736, 0.5, false };

static void sizes_are_multiples_within_the_limit(void)
{
    check_seen(640, 480, 736, 640, 480);
    check_seen(1000, 1000, 736, 736, 736);
    check_seen(3000, 2000, 736, 1088, 736); /* 1104 is 34.5 cells, and 34 is even; 736 is 23 */
    check_seen(48, 80, 736, 64, 64);        /* 1.5 and 2.5 cells: to the even ones */
    check_seen(40, 33, 736, 32, 32);
    check_seen(500, 300, 1, 32, 32);
    check_seen(3840, 2160, 2160, 3840, 2176);
    const uint32_t odd[][2] = { { 20000, 20000 }, { 400000000, 1 },   { 33, 12000000 },
                                { 100000, 740 },  { 262144, 262144 }, { 4000, 4000 } };
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        const struct image im = { .width_px = odd[i][0], .height_px = odd[i][1] };
        uint32_t w, h;
        task_ocr_seen_size(&im, 16384, &w, &h);
        CHECK(w % 32 == 0 && h % 32 == 0 && w && h && (uint64_t)w * h <= OCR_SEEN_MAX_PX);
    }
}

static void pixels_are_fed_blue_first(void)
{
    struct image im = make_image(32, 32);
    float tensor[3 * 32 * 32];
    paint(&im, 0, 0, 32, 32, (const uint8_t[]){ 10, 20, 200 });
    CHECK(task_ocr_feed(&im, 32, 32, tensor, NULL) == ERR_NONE);
    CHECK_NEAR(tensor[5], 199.5 / 127.5, 1e-6);
    CHECK_NEAR(tensor[1024 + 5], 19.5 / 127.5, 1e-6);
    CHECK_NEAR(tensor[2048 + 5], 9.5 / 127.5, 1e-6);
    image_clear(&im);
}

/* A map of W x H from a picture of it: '#' is text. */
enum { W = 12, H = 8 };
struct drawn {
    float p[W * H];
    struct ocr_map map;
};

static void draw(struct drawn *d, const char *const rows[H])
{
    for (int i = 0; i < W * H; i++)
        d->p[i] = rows[i / W][i % W] == '#' ? 0.9f : 0.1f;
    d->map = (struct ocr_map){ d->p, W, H };
}

/* Outlines as text: "o2-4 1-3" for each, outer or hole, its rows, and the columns of the first. */
static void describe(const struct ocr_outline *o, void *ctx)
{
    char *out = ctx;
    sprintf(out + strlen(out), "%c%d-%d %d-%d ", o->hole ? 'h' : 'o', o->top, o->bottom,
            o->left[o->top], o->right[o->top]);
}

static void outlines_are_followed(void)
{
    static const struct {
        const char *rows[H];
        const char *want;
    } maps[] = {
        /* each pixel counts for one more to its right and below */
        { { "............", ".#..........", "............", "............", "............",
            "............", "............", "............" },
          "o1-2 1-2 " },
        { { "............", ".#####......", ".#...#......", ".#...#......", ".#...#......",
            ".#####......", "............", "............" },
          "o1-6 1-6 h2-5 3-4 " },
        { { "#..........#", "............", "............", "............", "............",
            "............", "............", "#..........#" },
          "o0-1 0-1 o0-1 11-11 o7-7 0-1 o7-7 11-11 " },
        { { "#...........", "............", "..#.........", "............", "....#.......",
            "............", "............", "............" },
          "o0-5 0-1 " }, /* corners that touch */
        { { "............", "............", "............", "............", "............",
            "............", "............", "............" },
          "" },
        { { "############", "############", "############", "############", "############",
            "############", "############", "############" },
          "o0-7 0-11 " },
    };
    for (size_t i = 0; i < sizeof maps / sizeof *maps; i++) {
        struct drawn d;
        char got[256] = "";
        draw(&d, maps[i].rows);
        CHECK(task_ocr_outlines(&d.map, false, describe, got, NULL) == ERR_NONE);
        CHECK_STR(got, maps[i].want);
    }
}

static bool is_quad(const struct ocr_quad *q, const float want[8], float off)
{
    bool is = true;
    for (int i = 0; i < 4; i++)
        is = is && fabsf(q->x[i] - want[2 * i]) <= off && fabsf(q->y[i] - want[2 * i + 1]) <= off;
    if (!is)
        printf("# (%g %g) (%g %g) (%g %g) (%g %g)\n", (double)q->x[0], (double)q->y[0],
               (double)q->x[1], (double)q->y[1], (double)q->x[2], (double)q->y[2], (double)q->x[3],
               (double)q->y[3]);
    return is;
}

static void hulls_leave_out_what_is_within(void)
{
    static const struct ocr_point points[] = { { 2, 0 }, { 5, 0 }, { 8, 0 }, { 0, 2 }, { 5, 2 },
                                               { 9, 3 }, { 1, 5 }, { 2, 5 }, { 8, 5 } };
    struct ocr_point hull[10];
    CHECK(task_ocr_hull(points, 9, hull) == 6);
    static const struct ocr_point want[] = { { 2, 0 }, { 8, 0 }, { 9, 3 },
                                             { 8, 5 }, { 1, 5 }, { 0, 2 } };
    CHECK(!memcmp(hull, want, sizeof want));
    static const struct ocr_point line[] = { { 0, 0 }, { 1, 1 }, { 2, 2 } };
    CHECK(task_ocr_hull(line, 3, hull) == 2);
    CHECK(task_ocr_hull(line, 1, hull) == 1);
}

static void rectangles_are_the_smallest(void)
{
    struct ocr_quad q;
    static const struct ocr_point upright[] = { { 1, 2 }, { 21, 2 }, { 21, 12 }, { 1, 12 } };
    CHECK_NEAR(task_ocr_rect(upright, 4, 1, &q), 10, 1e-5);
    CHECK(is_quad(&q, (const float[]){ 1, 2, 21, 2, 21, 12, 1, 12 }, 1e-5f));
    /* a line that falls to the right: (0, 10) + (40, 30) * 2, and 5 across */
    static const struct ocr_point tilted[] = { { 3, 6 }, { 83, 66 }, { 80, 70 }, { 0, 10 } };
    CHECK_NEAR(task_ocr_rect(tilted, 4, 1, &q), 5, 1e-4);
    CHECK(is_quad(&q, (const float[]){ 3, 6, 83, 66, 80, 70, 0, 10 }, 1e-3f));
    static const struct ocr_point triangle[] = { { 5, 0 }, { 10, 4 }, { 0, 4 } };
    CHECK_NEAR(task_ocr_rect(triangle, 3, 1, &q), 4, 1e-5);
}

static void rectangles_grow_by_their_distance(void)
{
    const struct ocr_quad q = { { 10, 110, 110, 10 }, { 10, 10, 30, 30 } };
    const double distance = 100 * 20 * 1.6 / 240;
    struct ocr_point at[OCR_ROUND_MAX];
    const size_t n = task_ocr_grow(&q, at);
    REQUIRE(n > 12 && n < 100);
    int32_t left = 999, right = 0, top = 999, bottom = 0;
    for (size_t i = 0; i < n; i++) {
        const double dx = fmax(fmax(10 - at[i].x, at[i].x - 110), 0);
        const double dy = fmax(fmax(10 - at[i].y, at[i].y - 30), 0);
        CHECK(fabs(hypot(dx, dy) - distance) < 1);
        left = at[i].x < left ? at[i].x : left;
        right = at[i].x > right ? at[i].x : right;
        top = at[i].y < top ? at[i].y : top;
        bottom = at[i].y > bottom ? at[i].y : bottom;
    }
    CHECK(left == -3 && right == 123 && top == -3 && bottom == 43);
    const struct ocr_quad nothing = { { 1.2f, 1.9f, 1.9f, 1.2f }, { 1, 1, 1.5f, 1.5f } };
    CHECK(task_ocr_grow(&nothing, at) == 0);
}

static void scores_are_means_within(void)
{
    float p[20 * 10] = { 0 };
    const struct ocr_map map = { p, 20, 10 };
    int32_t rows[20];
    for (int y = 2; y <= 5; y++)
        for (int x = 3; x <= 12; x++)
            p[y * 20 + x] = x < 8 ? 1.0f : 0.5f;
    const struct ocr_quad inside = { { 3, 12, 12, 3 }, { 2, 2, 5, 5 } };
    CHECK_NEAR(task_ocr_score(&map, &inside, rows), 0.75, 1e-9);
    const struct ocr_quad beyond = { { -5, 30, 30, -5 }, { -5, -5, 30, 30 } };
    CHECK_NEAR(task_ocr_score(&map, &beyond, rows), 30.0 / 200, 1e-9);
    const struct ocr_quad tilted = { { 6, 9, 6, 3 }, { 2, 5, 8, 5 } }; /* a square on its corner */
    CHECK_NEAR(task_ocr_score(&map, &tilted, rows), 14.5 / 25, 1e-9);
}

static size_t find(const struct ocr_map *map, uint32_t w, uint32_t h, struct task_ocr_box **boxes)
{
    size_t n = 0;
    free(*boxes);
    *boxes = NULL;
    CHECK(task_ocr_boxes(map, w, h, &usual, boxes, &n, NULL) == ERR_NONE);
    CHECK(n <= TASK_OCR_BOXES_MAX && (n > 0) == (*boxes != NULL));
    for (size_t i = 0; i < n; i++) {
        CHECK((*boxes)[i].score >= 0.5f);
        for (int k = 0; k < 4; k++) {
            const float x = (*boxes)[i].points[k][0], y = (*boxes)[i].points[k][1];
            CHECK(x >= 0 && x <= (float)w - 1 && y >= 0 && y <= (float)h - 1);
        }
    }
    return n;
}

static void bars_become_boxes(void)
{
    static float p[64 * 96];
    const struct ocr_map map = { p, 96, 64 };
    struct task_ocr_box *b = NULL;
    for (int y = 20; y < 29; y++)
        for (int x = 10; x < 59; x++)
            p[y * 96 + x] = 0.8f;
    for (int x = 70; x < 90; x++)
        p[50 * 96 + x] = 0.9f; /* too thin: 2 rows with what is added */
    for (int y = 50; y < 60; y++)
        for (int x = 5; x < 30; x++)
            p[y * 96 + x] = 0.4f; /* too unsure */
    REQUIRE(find(&map, 192, 128, &b) == 1);
    /* 49 x 9 on the map, of which 50 x 10 pixels are seen; 1.6 * 441 / 116 = 6.1 is added around */
    static const float want[] = { 8, 28, 130, 28, 130, 70, 8, 70 };
    for (int i = 0; i < 8; i++)
        CHECK_NEAR(b->points[i / 2][i % 2], want[i], 2);
    CHECK_NEAR(b->score, 0.8 * 49 * 9 / 500, 1e-6);
    free(b);
}

static void hostile_maps_are_bounded(void)
{
    enum { SIDE = 256 };
    static float p[SIDE * SIDE];
    const struct ocr_map map = { p, SIDE, SIDE };
    struct task_ocr_box *b = NULL;
    uint32_t noise = 1;
    for (int kind = 0; kind < 7; kind++) {
        for (int i = 0; i < SIDE * SIDE; i++) {
            noise = noise * 1664525 + 1013904223;
            const int x = i % SIDE, y = i / SIDE;
            const float kinds[] = { NAN,
                                    1,
                                    (float)(noise >> 8) / (1 << 24),
                                    x % 7 < 5 && y % 7 < 5, /* 1369 squares */
                                    (float)((x + y) % 2),
                                    INFINITY,
                                    x % 9 < 6 && y % 9 < 6 ? (x % 9 == 2 ? NAN : 1e30f) : -1e30f };
            p[i] = kinds[kind];
        }
        find(&map, 5000, 3, &b);
        const size_t n = find(&map, 1000, 1000, &b);
        if (!CHECK(kind != 3 || n == TASK_OCR_BOXES_MAX))
            printf("# %zu boxes\n", n);
    }
    free(b);
    for (uint32_t w = 1; w < 4; w++) {
        const struct ocr_map small = { p, w, 4 - w };
        b = NULL;
        find(&small, 100, 100, &b);
        free(b);
    }
}

static struct ocr_crop crop_of(float x0, float y0, float x1, float y1, float x2, float y2, float x3,
                               float y3)
{
    const struct task_ocr_box box = { .points = {
                                          { x0, y0 }, { x1, y1 }, { x2, y2 }, { x3, y3 } } };
    return task_ocr_crop(&box);
}

/* Where a place of the crop lies in the picture. */
static void check_place(const struct ocr_crop *c, double x, double y, double want_x, double want_y)
{
    const double *a = c->perspective, w = a[6] * x + a[7] * y + 1;
    CHECK_NEAR((a[0] * x + a[1] * y + a[2]) / w, want_x, 1e-4);
    CHECK_NEAR((a[3] * x + a[4] * y + a[5]) / w, want_y, 1e-4);
}

static void crops_map_corners_to_corners(void)
{
    struct ocr_crop c = crop_of(10, 20, 110, 20, 110, 50, 10, 50);
    CHECK(c.width_px == 100 && c.height_px == 30 && !c.turned);
    check_place(&c, 0, 0, 10, 20);
    check_place(&c, 50, 15, 60, 35);
    c = crop_of(10, 10, 90, 70, 84, 78, 4, 18);
    CHECK(c.width_px == 100 && c.height_px == 10);
    check_place(&c, 100, 0, 90, 70);
    check_place(&c, 0, 10, 4, 18);
    c = crop_of(0, 0, 100, 10, 90, 60, 5, 40); /* any four */
    check_place(&c, 0, 0, 0, 0);
    check_place(&c, c.width_px, 0, 100, 10);
    check_place(&c, c.width_px, c.height_px, 90, 60);
    check_place(&c, 0, c.height_px, 5, 40);
    c = crop_of(0, 0, 10, 0, 10, 15, 0, 15);
    CHECK(c.turned && task_ocr_crop_ratio(&c) == 1.5);
}

static void crops_of_any_corners_are_fed(void)
{
    struct image im = make_image(50, 40);
    static const float odd[][8] = {
        { 0 },
        { 5, 5, 5, 5, 5, 5, 5, 5 },
        { 0, 0, 49, 39, 0, 0, 49, 39 },
        { 0, 0, 49, 0, 0, 39, 49, 39 },
        { 0, 0, 10, 0, 20, 0, 30, 0 },
        { 49, 39, 0, 39, 0, 0, 49, 0 },
    };
    float *tensor = malloc(sizeof *tensor * 3 * OCR_LINE_PX * OCR_LINE_MIN_PX);
    REQUIRE(tensor);
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        struct task_ocr_box box = { 0 };
        memcpy(box.points, odd[i], sizeof odd[i]);
        const struct ocr_crop c = task_ocr_crop(&box);
        CHECK(task_ocr_crop_feed(&im, &c, OCR_LINE_MIN_PX, tensor, NULL) == ERR_NONE);
    }
    free(tensor);
    image_clear(&im);
}

/* steps: a letter's number and its probability in percent, turn by turn */
static void check_spelled(const struct ocr_alphabet *a, const int *steps, size_t n,
                          const char *want, double want_score)
{
    float p[32][6] = { 0 };
    struct arena arena = { 0 };
    struct task_ocr_line line;
    for (size_t i = 0; i < n; i++)
        p[i][steps[2 * i]] = (float)steps[2 * i + 1] / 100;
    CHECK(task_ocr_spell(a, p[0], n, &line, &arena, NULL) == ERR_NONE);
    CHECK_STR(line.text, want);
    CHECK_NEAR(line.score, want_score, 1e-9);
    arena_clear(&arena);
}

static void steps_are_spelled(void)
{
    struct ocr_alphabet a;
    REQUIRE(task_ocr_alphabet_init(&a, strdup("a\r\n\xe4\xb8\x80\n\nz\n"), NULL) == ERR_NONE);
    REQUIRE(a.n == 6); /* none, a, one, an empty line, z, the space */
    static const int one[] = { 1, 90, 1, 80, 0, 99, 1, 70, 5, 60, 4, 50 };
    check_spelled(&a, one, 6, "aa z", 0.675);
    static const int two[] = { 2, 99, 3, 97, 2, 98 };
    check_spelled(&a, two, 3, "\xe4\xb8\x80\xe4\xb8\x80", 0.98);
    static const int none[] = { 0, 90, 0, 90 };
    check_spelled(&a, none, 2, "", 0);
    check_spelled(&a, none, 0, "", 0);

    float odd[4][6];
    struct arena arena = { 0 };
    struct task_ocr_line line;
    for (int k = 0; k < 6; k++) {
        odd[0][k] = NAN;
        odd[1][k] = INFINITY;
        odd[2][k] = -INFINITY;
        odd[3][k] = k == 4 ? 0.5f : NAN;
    }
    CHECK(task_ocr_spell(&a, odd[0], 4, &line, &arena, NULL) == ERR_NONE);
    CHECK_STR(line.text, "z");
    arena_clear(&arena);
    task_ocr_alphabet_clear(&a);
}

static struct model_folder toy_folder(const char *name)
{
    struct model_folder f;
    char models[512];
    snprintf(models, sizeof models, "%s/models", getenv("FOVEA_TESTS"));
    CHECK(model_find(models, MODEL_OCR, name, &f, NULL) == ERR_NONE);
    return f;
}

struct reader {
    struct infer *engine;
    struct task_ocr_detector *d;
    struct task_ocr_recognizer *r;
};

static void open_reader(struct reader *r, const char *language)
{
    struct model_folder f = toy_folder("toy"), g = toy_folder(language);
    struct err err = { 0 };
    *r = (struct reader){ 0 };
    CHECK(infer_create(
              &r->engine,
              &(struct infer_options){ .n_threads = 1, .ort_library = getenv("FOVEA_ORT_LIBRARY") },
              &err) == ERR_NONE);
    CHECK(task_ocr_detector_open(&r->d, r->engine, &f, &err) == ERR_NONE);
    if (!CHECK(task_ocr_recognizer_open(&r->r, r->engine, &g, 2, &err) == ERR_NONE))
        printf("# %s\n", err.msg);
}

static void close_reader(struct reader *r)
{
    task_ocr_detector_close(r->d);
    task_ocr_recognizer_close(r->r);
    infer_destroy(r->engine);
}

/* The texts of im, each followed by a comma. */
static void read_all(const struct reader *r, const struct image *im, char *out, size_t n_out)
{
    struct task_ocr_box *boxes = NULL;
    struct arena arena = { 0 };
    size_t n = 0;
    *out = 0;
    CHECK(task_ocr_detect(r->d, im, &usual, &boxes, &n, NULL) == ERR_NONE);
    struct task_ocr_line *lines = calloc(n + 1, sizeof *lines);
    CHECK(task_ocr_read(r->r, im, boxes, n, lines, &arena, NULL, NULL) == ERR_NONE);
    const atomic_bool cancel = true;
    struct task_ocr_line none[1];
    CHECK(!n || task_ocr_read(r->r, im, boxes, 1, none, &arena, &cancel, NULL) == ERR_CANCELLED);
    for (size_t i = 0; i < n; i++)
        snprintf(out + strlen(out), n_out - strlen(out), "%s,", lines[i].text);
    free(lines);
    free(boxes);
    arena_clear(&arena);
}

static void toy_models_read_colours(void)
{
    struct reader r;
    struct image im = make_image(640, 480);
    char got[256];
    paint(&im, 50, 40, 150, 80, red);
    paint(&im, 150, 40, 250, 80, blue);
    paint(&im, 250, 40, 350, 80, green);
    paint(&im, 100, 200, 300, 260, white);
    paint(&im, 500, 150, 540, 250, green); /* stands: read downwards */
    paint(&im, 500, 250, 540, 400, red);
    open_reader(&r, "toy");
    read_all(&r, &im, got, sizeof got);
    CHECK_STR(got, "W,GR,RBG,");
    close_reader(&r);
    open_reader(&r, "XX__toy");
    read_all(&r, &im, got, sizeof got);
    CHECK_STR(got, "w,gr,rbg,");
    close_reader(&r);
    image_clear(&im);
}

static void odd_pictures_are_read(void)
{
    static const uint32_t sizes[][2] = { { 1, 1 },   { 3000, 7 }, { 31, 500 },
                                         { 32, 32 }, { 33, 33 },  { 12000, 40 } };
    struct reader r;
    char got[256];
    open_reader(&r, "toy");
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct image im = make_image(sizes[i][0], sizes[i][1]);
        read_all(&r, &im, got, sizeof got);
        CHECK_STR(got, "");
        paint(&im, 0, 0, im.width_px, im.height_px, white);
        read_all(&r, &im, got, sizeof got);
        CHECK_STR(got, im.width_px < 32 || im.height_px < 32 ? "" : "W,");
        image_clear(&im);
    }
    close_reader(&r);
}

static enum err_code open_fake(const char *detection, const char *recognition, struct err *err)
{
    *err = (struct err){ 0 };
    char path[128];
    struct model_folder f;
    struct reader r = { 0 };
    const char *const texts[] = { detection, recognition };
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/ocr/fake/%s", scratch, i ? "recognition" : "detection");
        CHECK(file_make_dirs(path, NULL) == ERR_NONE);
        strcat(path, "/model.onnx");
        CHECK(file_replace(path, texts[i], strlen(texts[i]), NULL) == ERR_NONE);
    }
    CHECK(model_find(scratch, MODEL_OCR, "fake", &f, NULL) == ERR_NONE);
    CHECK(infer_create(&r.engine, &(struct infer_options){ .n_threads = 1 }, NULL) == ERR_NONE);
    enum err_code rc = task_ocr_detector_open(&r.d, r.engine, &f, err);
    if (rc == ERR_NONE)
        rc = task_ocr_recognizer_open(&r.r, r.engine, &f, 0, err);
    close_reader(&r);
    return rc;
}

static void other_networks_are_refused(void)
{
    static const char detector[] =
        "fovea-fake 1\ninput x f32 -1 3 -1 -1\noutput y f32 -1 1 -1 -1\n";
    static const char reader[] = "fovea-fake 1\ninput x f32 -1 3 48 -1\noutput y f32 -1 40 5\n"
                                 "metadata character a b c\n";
    struct err err = { 0 };
    scratch_make();
    CHECK(open_fake(detector, reader, &err) == ERR_NONE);
    CHECK(open_fake("fovea-fake 1\ninput x f32 -1 3 640 640\noutput y f32 -1 1 -1 -1\n", reader,
                    &err) == ERR_UNSUPPORTED);
    CHECK(strstr(err.msg, "PP-OCR"));
    CHECK(open_fake(detector,
                    "fovea-fake 1\ninput x f32 -1 3 48 -1\noutput y f32 -1 40 6\n"
                    "metadata character a b c\n",
                    &err) == ERR_UNSUPPORTED);
    CHECK(strstr(err.msg, "[n, steps, 5]"));
    CHECK(open_fake(detector, "fovea-fake 1\ninput x f32 -1 3 48 -1\noutput y f32 -1 40 5\n",
                    &err) == ERR_UNSUPPORTED);
    CHECK(strstr(err.msg, "\"character\""));
    scratch_remove();
}

static const struct tap_case cases[] = {
    CASE(sizes_are_multiples_within_the_limit),
    CASE(pixels_are_fed_blue_first),
    CASE(outlines_are_followed),
    CASE(hulls_leave_out_what_is_within),
    CASE(rectangles_are_the_smallest),
    CASE(rectangles_grow_by_their_distance),
    CASE(scores_are_means_within),
    CASE(bars_become_boxes),
    CASE(hostile_maps_are_bounded),
    CASE(crops_map_corners_to_corners),
    CASE(crops_of_any_corners_are_fed),
    CASE(steps_are_spelled),
    CASE(toy_models_read_colours),
    CASE(odd_pictures_are_read),
    CASE(other_networks_are_refused),
};

int main(void)
{
    return tap_run(cases, sizeof cases / sizeof *cases);
}
