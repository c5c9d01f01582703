#include <math.h>
#include <stdlib.h>

#include "task/ocr.h"

/* The nearest multiple that the detector takes, ties to the even one as Python rounds. */
static uint32_t whole_cells(uint32_t px)
{
    const uint32_t cells = (uint32_t)rint((double)px / OCR_CELL_PX);
    return (cells ? cells : 1) * OCR_CELL_PX;
}

/* The reference sees any size; here what is larger than the limit is scaled to it. */
static void limit(uint32_t *width_px, uint32_t *height_px)
{
    const double size = (double)*width_px * *height_px;
    if (size <= OCR_SEEN_MAX_PX)
        return;
    const double ratio = sqrt(OCR_SEEN_MAX_PX / size);
    const uint32_t longest = OCR_SEEN_MAX_PX / OCR_CELL_PX;
    uint32_t w = (uint32_t)(*width_px * ratio) / OCR_CELL_PX * OCR_CELL_PX;
    uint32_t h = (uint32_t)(*height_px * ratio) / OCR_CELL_PX * OCR_CELL_PX;
    w = w ? w : OCR_CELL_PX;
    h = h ? h : OCR_CELL_PX;
    *width_px = w < longest ? w : longest;
    *height_px = h < longest ? h : longest;
}

void task_ocr_seen_size(const struct image *im, double max_side_px, uint32_t *width_px,
                        uint32_t *height_px)
{
    const uint32_t shorter = im->width_px < im->height_px ? im->width_px : im->height_px;
    const double ratio = max_side_px < shorter ? max_side_px / shorter : 1;
    *width_px = whole_cells((uint32_t)(im->width_px * ratio));
    *height_px = whole_cells((uint32_t)(im->height_px * ratio));
    limit(width_px, height_px);
}

/* The reference subtracts half a level, not half the range, before it divides. */
static void fed_values(float out[256])
{
    const float gain = 1.0f / (0.5f * 255.0f);
    for (int v = 0; v < 256; v++)
        out[v] = ((float)v - 0.5f) * gain;
}

enum err_code task_ocr_feed(const struct image *im, uint32_t width_px, uint32_t height_px,
                            float *tensor, struct err *err)
{
    const size_t plane = (size_t)width_px * height_px;
    struct image seen;
    float value[256];
    enum err_code rc = image_resize(im, width_px, height_px, IMAGE_LANCZOS, &seen, err);
    if (rc != ERR_NONE)
        return rc;
    fed_values(value);
    const uint8_t *px = seen.px;
    for (size_t i = 0; i < plane; i++, px += 3) {
        tensor[i] = value[px[2]];
        tensor[plane + i] = value[px[1]];
        tensor[2 * plane + i] = value[px[0]];
    }
    image_clear(&seen);
    return ERR_NONE;
}
