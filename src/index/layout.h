/* layout.h - the bytes of a sidecar file. Inside index/ only.
 *
 *   header   128 bytes
 *   ids      int64 [n_rows]
 *   scales   f32 [n_rows]
 *   sums     int32 [n_rows]
 *   rows     int8 [n_rows, stride], from a multiple of 64
 *
 * The sections lie apart so that a filtered search reads the ids and then only the pages of its
 * candidates. Host byte order (little-endian on all that we build for; on another the version
 * differs). The header is a pure function of the stamp: the reader makes the one it wants and
 * compares all of it, so no number from the file is ever used. */
#ifndef FOVEA_INDEX_LAYOUT_H
#define FOVEA_INDEX_LAYOUT_H

#include "index/index.h"

#define LAYOUT_MAGIC "fovea i8" /* 8 bytes, no NUL */
#define LAYOUT_VERSION 2

struct layout_header {
    char magic[8];
    uint32_t version, dim;
    uint64_t n_rows, generation;
    uint8_t space[INDEX_SPACE_BYTES];
    uint64_t ids_at, scales_at, sums_at, rows_at, stride,
        file_bytes; /* bytes from the start of the file */
    uint8_t zero[16];
};
_Static_assert(sizeof(struct layout_header) == 128, "the header has no padding");

/* ERR_LIMIT: the stamp asks for more than a sidecar can be. */
enum err_code layout_make(struct layout_header *h, const struct index_stamp *stamp,
                          struct err *err);

#endif
