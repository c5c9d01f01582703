/* pixels.h - memory for an image. Inside image/ only. */
#ifndef FOVEA_IMAGE_PIXELS_H
#define FOVEA_IMAGE_PIXELS_H

#include <stdint.h>

/* Room for [height_px, width_px, 3] bytes, not cleared; NULL when out of memory. */
uint8_t *image_pixels(uint32_t width_px, uint32_t height_px);

/* For a row or an image of that, and for one from malloc(); NULL is fine. */
void image_pixels_free(uint8_t *px, uint32_t width_px, uint32_t height_px);

#endif
