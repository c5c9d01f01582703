/* decode.h - the inside of fovea-decode, the process that turns the bytes of a file into pixels.
 *
 * One job at a time, one thread of ours. A decoder finds the size, asks decode_begin() whether it
 * may go on, and gives rows from top to bottom, or all of them and then decode_shrink(); what is
 * wrong with a file is said by struct err and ends the job, not the process. Every decoder assumes
 * that the file was made to harm it. */
#ifndef FOVEA_APP_DECODE_H
#define FOVEA_APP_DECODE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "image/image.h"

struct decode_job {
    const uint8_t *bytes; /* [n], the file */
    size_t n;
    enum image_format format;
    enum image_contract contract;
    uint32_t target_side_px; /* as image_decode_opts has it */
    uint64_t max_pixels;
    int out_fd; /* memory file of max_pixels * 3 bytes */
    /* px is mapped from it, NULL until decode_begin(). The size is the file's until the last row is
     * there, then what the rows were shrunk to. */
    struct image im;
    uint32_t shrink; /* still to be done; 1: none */
    uint8_t *row;    /* [full_width_px, 3], for a row whose alpha is dropped before it is shrunk */
    uint16_t *sums;  /* [full_width_px, 3], of the rows that one of the small picture is made of */
};

/* Refuse the size (ERR_LIMIT, ERR_INVALID for 0) or map im.px, with room for the whole picture.
 * Before anything is allocated for the pixels. */
enum err_code decode_begin(struct decode_job *job, uint64_t width_px, uint64_t height_px,
                           struct err *err);
void decode_end(struct decode_job *job); /* unmaps, frees */

/* The decoders. */
enum err_code decode_avif(struct decode_job *job, struct err *err);
enum err_code decode_heif(struct decode_job *job, struct err *err);
enum err_code decode_jxl(struct decode_job *job, struct err *err);
enum err_code decode_raw(struct decode_job *job, struct err *err);
/* PNG, WebP, TIFF. */
enum err_code decode_vips(struct decode_job *job, struct err *err);

/* Row y, from 0 to the last, of RGB (n_bands 3) or RGBA (4), alpha as the contract says. */
void decode_put_row(struct decode_job *job, uint32_t y, const uint8_t *from, int n_bands);
/* For a decoder that shrinks by itself: its rows are of this size, from the picture's edge to its
 * edge, and still to be shrunk by so much. */
void decode_is_smaller(struct decode_job *job, uint32_t width_px, uint32_t height_px,
                       uint32_t shrink);
/* All rows at once, shrunk already perhaps; its full size is what decode_begin() was told. */
void decode_put_image(struct decode_job *job, const struct image *im);
/* For who wrote all rows to im.px: shrink them as decode_put_row() would have. */
void decode_shrink(struct decode_job *job);

/* Both after the last row. */

/* Turn the picture by EXIF orientation; the sides may change places. ERR_NOMEM. */
enum err_code decode_turn(struct decode_job *job, int orientation, struct err *err);
/* Change it from the colours of an ICC profile to sRGB. A profile that is sRGB, broken or of
 * another kind of colours changes nothing. */
void decode_to_srgb(struct decode_job *job, const void *icc, size_t n);

/* Once, before decode_sandbox(): load what will be needed, for no file can be opened later. */
enum err_code decode_vips_init(struct err *err);

/* Take from this process whatever decoding does not need, for good. */
enum err_code decode_sandbox(struct err *err);
/* End this process after so many more seconds of processor time (all threads). */
void decode_limit_cpu(uint32_t seconds);

#endif
