/* Any probabilities as a text detector's map, and as a recogniser's steps; and the crops of what is
 * found.
 *
 * Input: width and height of the map, of the picture, the least score, then the map's values: a
 * byte each (255: the next four bytes, as a float), the last repeated. The same bytes are steps of
 * an alphabet of 7. */
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "task/ocr.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SIDE_MAX = 96, HEAD = 8, LETTERS = 7 };

static size_t read_values(const uint8_t *data, size_t size, float *out, size_t n)
{
    size_t k = 0;
    for (size_t i = 0; i < size && k < n; i++) {
        out[k] = (float)data[i] / 254;
        if (data[i] == 255 && size - i > 4) {
            memcpy(&out[k], data + i + 1, sizeof *out);
            i += 4;
        }
        k++;
    }
    const size_t given = k;
    for (; k < n; k++)
        out[k] = given ? out[k % given] : 0;
    return given;
}

static void use(const struct task_ocr_box *boxes, size_t n, uint32_t w, uint32_t h)
{
    static uint8_t px[3 * 40 * 40];
    static float tensor[3 * OCR_LINE_PX * OCR_LINE_MIN_PX];
    const struct image im = { .px = px, .width_px = 40, .height_px = 40 };
    if (n > TASK_OCR_BOXES_MAX)
        __builtin_trap();
    for (size_t i = 0; i < n; i++) {
        for (int k = 0; k < 4; k++)
            if (!(boxes[i].points[k][0] >= 0 && boxes[i].points[k][0] <= (float)w - 1 &&
                  boxes[i].points[k][1] >= 0 && boxes[i].points[k][1] <= (float)h - 1))
                __builtin_trap();
        const struct ocr_crop c = task_ocr_crop(&boxes[i]);
        if (i < 4)
            (void)task_ocr_crop_feed(&im, &c, OCR_LINE_MIN_PX, tensor, NULL);
    }
}

static void spell(const float *steps, size_t n)
{
    struct ocr_alphabet a;
    struct arena arena = { .limit = 1 << 20 };
    struct task_ocr_line line;
    if (task_ocr_alphabet_init(&a, strdup("a\nb\n\xe2\x82\xac\n\nzz"), NULL) == ERR_NONE) {
        if (a.n != LETTERS)
            __builtin_trap();
        if (task_ocr_spell(&a, steps, n, &line, &arena, NULL) == ERR_NONE && isnan(line.score) &&
            !*line.text)
            __builtin_trap();
    }
    task_ocr_alphabet_clear(&a);
    arena_clear(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static float p[SIDE_MAX * SIDE_MAX];
    struct task_ocr_box *boxes;
    size_t n;
    if (size < HEAD)
        return 0;
    const struct ocr_map map = { p, 1 + data[0] % SIDE_MAX, 1 + data[1] % SIDE_MAX };
    const uint32_t w = 1 + (uint32_t)(data[2] | data[3] << 8),
                   h = 1 + (uint32_t)(data[4] | data[5] << 8);
    const struct task_ocr_search how = { 736, data[6] / 255.0, data[6] & 1 };
    read_values(data + HEAD, size - HEAD, p, (size_t)map.width * map.height);
    if (task_ocr_boxes(&map, w, h, &how, &boxes, &n, NULL) == ERR_NONE)
        use(boxes, n, w, h);
    free(boxes);
    spell(p, (size_t)map.width * map.height / LETTERS);
    return 0;
}
