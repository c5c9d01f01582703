/* Text, with every allocation failing in turn: ERR_NOMEM, a message, nothing leaked. */
#include "fault.h"
#include "tap.h"

#include <stdlib.h>

#include "scratch.h"
#include "sys/file.h"
#include "task/ocr.h"

static struct model_folder folder;

static void write_network(const char *type, const char *text)
{
    char path[256];
    snprintf(path, sizeof path, "%s/ocr/toy/%s", scratch, type);
    CHECK(file_make_dirs(path, NULL) == ERR_NONE);
    strcat(path, "/model.onnx");
    CHECK(file_replace(path, text, strlen(text), NULL) == ERR_NONE);
}

static const struct task_ocr_search how = { 736, 0.5, true };

/* A map with something on it, which a toy's would not have. */
static enum err_code choose(struct err *err)
{
    static float p[32 * 32];
    const struct ocr_map map = { p, 32, 32 };
    struct task_ocr_box *boxes;
    size_t n;
    for (int i = 0; i < 8 * 20; i++)
        p[(8 + i / 20) * 32 + 5 + i % 20] = 1;
    enum err_code rc = task_ocr_boxes(&map, 100, 100, &how, &boxes, &n, err);
    CHECK(rc == ERR_NONE ? n == 1 : !n && !boxes);
    free(boxes);
    return rc;
}

static enum err_code use(struct err *err)
{
    uint8_t px[3 * 32 * 32] = { 0 };
    const struct image im = { .px = px, .width_px = 32, .height_px = 32 };
    const struct task_ocr_box some[3] = { { .points = {
                                                { 0, 0 }, { 30, 0 }, { 30, 9 }, { 0, 9 } } } };
    struct infer *engine = NULL;
    struct task_ocr_detector *d = NULL;
    struct task_ocr_recognizer *r = NULL;
    struct task_ocr_box *boxes = NULL;
    struct task_ocr_line lines[3];
    struct arena arena = { 0 };
    size_t n;
    enum err_code rc = infer_create(&engine, &(struct infer_options){ .n_threads = 1 }, err);
    if (rc == ERR_NONE)
        rc = task_ocr_detector_open(&d, engine, &folder, err);
    if (rc == ERR_NONE)
        rc = task_ocr_recognizer_open(&r, engine, &folder, 2, err);
    if (rc == ERR_NONE)
        rc = task_ocr_detect(d, &im, &how, &boxes, &n, err);
    if (rc == ERR_NONE)
        rc = choose(err);
    if (rc == ERR_NONE)
        rc = task_ocr_read(r, &im, some, 3, lines, &arena, NULL, err);
    arena_clear(&arena);
    free(boxes);
    task_ocr_recognizer_close(r);
    task_ocr_detector_close(d);
    infer_destroy(engine);
    return rc;
}

static void every_allocation_may_fail(void)
{
    CHECK(fault_each(use) >= 30);
}

static const struct tap_case cases[] = { CASE(every_allocation_may_fail) };

int main(void)
{
    scratch_make();
    write_network("detection", "fovea-fake 1\ninput x f32 1 3 -1 -1\noutput map f32 1 1 -1 -1\n");
    write_network("recognition", "fovea-fake 1\ninput x f32 -1 3 48 -1\noutput y f32 -1 4 5\n"
                                 "metadata character a b c\n");
    int rc = model_find(scratch, MODEL_OCR, "toy", &folder, NULL) != ERR_NONE ||
             tap_run(cases, sizeof cases / sizeof *cases);
    scratch_remove();
    return rc;
}
