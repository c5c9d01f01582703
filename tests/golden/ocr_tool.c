/* ocr_tool - task/'s reading of text at the end of a pipe, for test_ocr.py to compare.
 *
 *   ocr_tool read MODELS NAME HELPER MAX_RESOLUTION DETECT_SCORE READ_SCORE FILE...
 *                                             each file's size and lines, an object a line
 *   ocr_tool boxes WIDTH HEIGHT WIDTH_PX HEIGHT_PX MIN_SCORE fast|slow
 *                                             a map [HEIGHT, WIDTH] f32 on stdin -> boxes
 *   ocr_tool feed FILE MAX_RESOLUTION         what a detector sees, f32: height, width, tensor
 *   ocr_tool crop FILE X0 Y0 ... X3 Y3        what a recogniser sees of a box, f32: width, tensor
 *   ocr_tool time MODELS NAME FILE REPEATS    least milliseconds: detect, read
 *   ocr_tool soak MODELS NAME N FILE...        N pictures, the files in turn, a line each: KiB
 * resident after it, and the most during it
 *
 * HELPER: the decode helper, "" for none. FOVEA_ORT_LIBRARY names the library. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "sys/clock.h"
#include "task/ocr.h"
#include "tool.h"

struct models {
    struct infer *engine;
    struct task_ocr_detector *detector;
    struct task_ocr_recognizer *recognizer;
};

static struct models open_models(const char *dir, const char *name)
{
    struct models m = { 0 };
    struct model_folder f;
    const struct infer_options o = { .ort_library = getenv("FOVEA_ORT_LIBRARY") };
    need(infer_create(&m.engine, &o, &err) == ERR_NONE);
    need(model_find(dir, MODEL_OCR, name, &f, &err) == ERR_NONE);
    need(task_ocr_detector_open(&m.detector, m.engine, &f, &err) == ERR_NONE);
    need(task_ocr_recognizer_open(&m.recognizer, m.engine, &f, 0, &err) == ERR_NONE);
    return m;
}

static void close_models(struct models *m)
{
    task_ocr_detector_close(m->detector);
    task_ocr_recognizer_close(m->recognizer);
    infer_destroy(m->engine);
}

/* lines: NULL for none */
static void print_boxes(const struct image *im, const struct task_ocr_box *boxes, size_t n,
                        const struct task_ocr_line *lines, double min_score)
{
    struct buf out = { 0 };
    const char *comma = "";
    need(buf_printf(&out, &err, "{\"size\": [%u, %u], \"lines\": [", im->width_px, im->height_px) ==
         ERR_NONE);
    for (size_t i = 0; i < n; i++) {
        if (lines && !(lines[i].score > min_score))
            continue;
        need(buf_printf(&out, &err, "%s{\"box\": ", comma) == ERR_NONE);
        need(json_put_floats(&out, &boxes[i].points[0][0], 8, &err) == ERR_NONE);
        need(buf_printf(&out, &err, ", \"boxScore\": %.9g", (double)boxes[i].score) == ERR_NONE);
        if (lines) {
            need(buf_printf(&out, &err, ", \"textScore\": %.9g, \"text\": ", lines[i].score) ==
                 ERR_NONE);
            need(json_put_string(&out, lines[i].text, strlen(lines[i].text), &err) == ERR_NONE);
        }
        need(buf_puts(&out, "}", &err) == ERR_NONE);
        comma = ", ";
    }
    printf("%s]}\n", out.data);
    buf_clear(&out);
}

static void read_file(const struct models *m, struct image_decoder *d, char **args,
                      const char *path)
{
    struct image im = read_image(d, path);
    struct arena arena = { 0 };
    const struct task_ocr_search how = { strtod(args[0], NULL), strtod(args[1], NULL), false };
    struct task_ocr_box *boxes;
    size_t n;
    need(task_ocr_detect(m->detector, &im, &how, &boxes, &n, &err) == ERR_NONE);
    struct task_ocr_line *lines = calloc(n + 1, sizeof *lines);
    need(lines &&
         task_ocr_read(m->recognizer, &im, boxes, n, lines, &arena, NULL, &err) == ERR_NONE);
    print_boxes(&im, boxes, n, lines, strtod(args[2], NULL));
    free(lines);
    free(boxes);
    arena_clear(&arena);
    image_clear(&im);
}

static void find_boxes(char **args)
{
    const struct image im = { .width_px = (uint32_t)atoi(args[2]),
                              .height_px = (uint32_t)atoi(args[3]) };
    struct ocr_map map = { .width = (uint32_t)atoi(args[0]), .height = (uint32_t)atoi(args[1]) };
    const struct task_ocr_search how = { 1, strtod(args[4], NULL), !strcmp(args[5], "slow") };
    const size_t len = (size_t)map.width * map.height;
    float *p = malloc(len * sizeof *p);
    struct task_ocr_box *boxes;
    size_t n;
    need(p && fread(p, sizeof *p, len, stdin) == len);
    map.p = p;
    need(task_ocr_boxes(&map, im.width_px, im.height_px, &how, &boxes, &n, &err) == ERR_NONE);
    print_boxes(&im, boxes, n, NULL, 0);
    free(boxes);
    free(p);
}

static void feed(struct image_decoder *d, char **args)
{
    struct image im = read_image(d, args[0]);
    uint32_t w, h;
    task_ocr_seen_size(&im, strtod(args[1], NULL), &w, &h);
    float *tensor = malloc(sizeof *tensor * 3 * w * h);
    need(tensor && task_ocr_feed(&im, w, h, tensor, &err) == ERR_NONE);
    const float size[] = { (float)h, (float)w };
    fwrite(size, sizeof size, 1, stdout);
    fwrite(tensor, sizeof *tensor, 3 * (size_t)w * h, stdout);
    free(tensor);
    image_clear(&im);
}

static void crop(struct image_decoder *d, char **args)
{
    static float tensor[3 * OCR_LINE_PX * OCR_LINE_MAX_PX];
    struct image im = read_image(d, args[0]);
    struct task_ocr_box box = { 0 };
    for (int i = 0; i < 8; i++)
        box.points[i / 2][i % 2] = strtof(args[1 + i], NULL);
    const struct ocr_crop c = task_ocr_crop(&box);
    const double wide = ceil(OCR_LINE_PX * task_ocr_crop_ratio(&c));
    const float width = (float)fmin(fmax(wide, OCR_LINE_MIN_PX), OCR_LINE_MAX_PX);
    need(task_ocr_crop_feed(&im, &c, (uint32_t)width, tensor, &err) == ERR_NONE);
    fwrite(&width, sizeof width, 1, stdout);
    fwrite(tensor, sizeof *tensor, 3 * OCR_LINE_PX * (size_t)width, stdout);
    image_clear(&im);
}

static const struct task_ocr_search usual = { 736, 0.5, false };

static void time_it(const struct models *m, struct image_decoder *d, const char *path, int repeats)
{
    struct image im = read_image(d, path);
    struct task_ocr_box *boxes = NULL;
    double best[2] = { 1e9, 1e9 };
    size_t n;
    while (repeats--) {
        struct arena arena = { 0 };
        free(boxes);
        int64_t t0 = clock_mono_ns();
        need(task_ocr_detect(m->detector, &im, &usual, &boxes, &n, &err) == ERR_NONE);
        double ms = clock_ms_since(t0);
        best[0] = ms < best[0] ? ms : best[0];
        struct task_ocr_line *lines = calloc(n + 1, sizeof *lines);
        t0 = clock_mono_ns();
        need(task_ocr_read(m->recognizer, &im, boxes, n, lines, &arena, NULL, &err) == ERR_NONE);
        ms = clock_ms_since(t0);
        best[1] = ms < best[1] ? ms : best[1];
        free(lines);
        arena_clear(&arena);
    }
    printf("%zu lines: %.2f ms, %.2f ms\n", n, best[0], best[1]);
    free(boxes);
    image_clear(&im);
}

/* What /proc/self/status says under name, in KiB. */
static long status_kib(const char *name)
{
    char line[128];
    long kib = -1;
    FILE *f = fopen("/proc/self/status", "re");
    need(f != NULL);
    while (kib < 0 && fgets(line, sizeof line, f))
        if (!strncmp(line, name, strlen(name)))
            kib = atol(line + strlen(name));
    fclose(f);
    return kib;
}

/* So that VmHWM counts from here on. */
static void forget_peak(void)
{
    FILE *f = fopen("/proc/self/clear_refs", "we");
    need(f && fputs("5", f) >= 0);
    fclose(f);
}

static void soak(const struct models *m, struct image_decoder *d, long n, char **files, int n_files)
{
    for (long i = 0; i < n; i++) {
        struct image im = read_image(d, files[i % n_files]);
        struct arena arena = { 0 };
        struct task_ocr_box *boxes;
        size_t n_boxes;
        forget_peak();
        need(task_ocr_detect(m->detector, &im, &usual, &boxes, &n_boxes, &err) == ERR_NONE);
        struct task_ocr_line *lines = calloc(n_boxes + 1, sizeof *lines);
        need(task_ocr_read(m->recognizer, &im, boxes, n_boxes, lines, &arena, NULL, &err) ==
             ERR_NONE);
        free(lines);
        free(boxes);
        arena_clear(&arena);
        image_clear(&im);
        printf("%ld %ld\n", status_kib("VmRSS:"), status_kib("VmHWM:"));
    }
}

int main(int argc, char **argv)
{
    const char *op = argc > 1 ? argv[1] : "";
    const bool reads = !strcmp(op, "read") && argc > 8;
    struct image_decoder *d = NULL;
    need(image_decoder_create(&d, reads && *argv[4] ? argv[4] : NULL, &err) == ERR_NONE);
    if (reads) {
        struct models m = open_models(argv[2], argv[3]);
        for (int i = 8; i < argc; i++)
            read_file(&m, d, argv + 5, argv[i]);
        close_models(&m);
    } else if (!strcmp(op, "boxes") && argc == 8) {
        find_boxes(argv + 2);
    } else if (!strcmp(op, "feed") && argc == 4) {
        feed(d, argv + 2);
    } else if (!strcmp(op, "crop") && argc == 11) {
        crop(d, argv + 2);
    } else if (!strcmp(op, "time") && argc == 6) {
        struct models m = open_models(argv[2], argv[3]);
        time_it(&m, d, argv[4], atoi(argv[5]));
        close_models(&m);
    } else if (!strcmp(op, "soak") && argc > 5) {
        struct models m = open_models(argv[2], argv[3]);
        soak(&m, d, atol(argv[4]), argv + 5, argc - 5);
        close_models(&m);
    } else {
        fprintf(stderr, "usage: see the top of ocr_tool.c\n");
        return 2;
    }
    image_decoder_destroy(d);
    return 0;
}
