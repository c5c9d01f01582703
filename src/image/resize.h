/* resize.h - a part of a scaled image, computed without the rest. Inside image/ only. */
#ifndef FOVEA_IMAGE_RESIZE_H
#define FOVEA_IMAGE_RESIZE_H

#include "image/image.h"

/* src scaled to width_px x height_px, of which only this part is wanted; it lies within. */
struct image_part {
    uint32_t width_px, height_px; /* of the whole scaled image, at most INT32_MAX */
    uint32_t x, y, w, h;          /* in its pixels */
};

/* As image_resize(), every byte as if the whole had been computed and then cropped. */
enum err_code image_resize_part(const struct image *src, const struct image_part *part,
                                enum image_filter filter, struct image *out, struct err *err);

#endif
