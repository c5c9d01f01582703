/* containers.h - where each format keeps its EXIF and its size. Each sets what it finds in m. */
#ifndef FOVEA_META_CONTAINERS_H
#define FOVEA_META_CONTAINERS_H

#include "meta/bytes.h"
#include "meta/meta.h"

void meta_read_jpeg(struct bytes b, struct meta *m);
void meta_read_png(struct bytes b, struct meta *m);
void meta_read_webp(struct bytes b, struct meta *m);
void meta_read_raf(struct bytes b, struct meta *m);  /* Fujifilm */
void meta_read_bmff(struct bytes b, struct meta *m); /* HEIC, AVIF, JPEG XL, CR3 */

#endif
