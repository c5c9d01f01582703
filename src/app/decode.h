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

/* Decode by job->format. On success rgb holds the image. */
enum err_code decode_run(struct decode_job *job, struct err *err);
/* Refuse the size (ERR_LIMIT, ERR_INVALID for 0) or map rgb. Before anything is allocated for the
 * pixels. */
enum err_code decode_begin(struct decode_job *job, uint64_t width_px, uint64_t height_px,
                           struct err *err);
void decode_end(struct decode_job *job); /* unmaps */

/* The decoders. */
enum err_code decode_vips(struct decode_job *job, struct err *err);

/* Once, before decode_sandbox(): load what will be needed, for no file can be opened later. */
enum err_code decode_vips_init(struct err *err);

/* Take from this process whatever decoding does not need, for good. */
enum err_code decode_sandbox(struct err *err);
/* End this process after so many more seconds of processor time (all threads). */
void decode_limit_cpu(uint32_t seconds);

#endif
