/* decode.h - the inside of fovea-decode, the process that turns the bytes of a file into pixels.
 *
 * One job at a time, one thread of ours. A decoder finds the size, asks decode_begin() whether it
 * may go on, and writes packed RGB rows; what is wrong with a file is said by struct err and ends
 * the job, not the process. Every decoder assumes that the file was made to harm it. */
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
    uint64_t max_pixels;
    int out_fd;   /* memory file of max_pixels * 3 bytes */
    uint8_t *rgb; /* [height_px, width_px, 3], mapped from it; NULL until decode_begin() */
    uint32_t width_px, height_px;
};

/* Refuse the size (ERR_LIMIT, ERR_INVALID for 0) or map rgb. Before anything is allocated for the
 * pixels. */
enum err_code decode_begin(struct decode_job *job, uint64_t width_px, uint64_t height_px,
                           struct err *err);
void decode_end(struct decode_job *job); /* unmaps */

/* The decoders. */
enum err_code decode_avif(struct decode_job *job, struct err *err);
enum err_code decode_heif(struct decode_job *job, struct err *err);
enum err_code decode_jxl(struct decode_job *job, struct err *err);
enum err_code decode_raw(struct decode_job *job, struct err *err);
/* PNG, WebP, TIFF; JPEG where it is the preview of a raw file. */
enum err_code decode_vips(struct decode_job *job, struct err *err);

/* Write row y of job->rgb from RGB (n_bands 3) or RGBA (4), alpha as the contract says. */
void decode_put_row(struct decode_job *job, uint32_t y, const uint8_t *from, int n_bands);
/* Turn job->rgb by EXIF orientation; the sides may change places. ERR_NOMEM. */
enum err_code decode_turn(struct decode_job *job, int orientation, struct err *err);
/* Change job->rgb from the colours of an ICC profile to sRGB. A profile that is sRGB, broken or of
 * another kind of colours changes nothing. */
void decode_to_srgb(struct decode_job *job, const void *icc, size_t n);

/* Once, before decode_sandbox(): load what will be needed, for no file can be opened later. */
enum err_code decode_vips_init(struct err *err);

/* Take from this process whatever decoding does not need, for good. */
enum err_code decode_sandbox(struct err *err);
/* End this process after so many more seconds of processor time (all threads). */
void decode_limit_cpu(uint32_t seconds);

#endif
