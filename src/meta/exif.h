/* exif.h - EXIF: tags in the structure of a TIFF file (EXIF 3.0, TIFF 6.0). */
#ifndef FOVEA_META_EXIF_H
#define FOVEA_META_EXIF_H

#include "meta/bytes.h"
#include "meta/meta.h"

/* The first bytes of a TIFF structure, those of Olympus' and Panasonic's raw files included. */
bool exif_is_tiff(struct bytes b);
/* Canon's CR3 keeps the directories as TIFF structures of their own. */
enum exif_part {
    EXIF_WHOLE,   /* the first directory names those of the exposure and the place */
    EXIF_CAPTURE, /* the first directory is that of the exposure */
    EXIF_GPS,     /* ... of the place */
};

/* b begins at the TIFF header, or at "Exif\0\0" before it. Sets what it finds in m; a time that m
 * has already stays. */
void exif_read(struct bytes b, enum exif_part part, struct meta *m);
/* The size of the image that a TIFF file's first directory describes. */
void exif_read_size(struct bytes b, struct meta *m);

#endif
