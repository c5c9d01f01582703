/* jpeg.h - JPEG in this process, by libjpeg-turbo. Inside image/ only. */
#ifndef FOVEA_IMAGE_JPEG_H
#define FOVEA_IMAGE_JPEG_H

#include "image/image.h"

/* As image_decode(), for bytes that are JPEG; opts is complete (no limit is 0). Not turned. */
enum err_code image_jpeg_decode(const uint8_t *bytes, size_t n,
                                const struct image_decode_opts *opts, struct image *out,
                                struct err *err);

#endif
