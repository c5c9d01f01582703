/* helper_proto.h - what the engine and the decode helper say to each other.
 *
 * The helper says hello once, when it is warm and locked in. Then, for each file, one request and
 * one reply, over the socket that is the helper's standard input (sys/process.h). Both sides are
 * built together; the hello only catches a stale binary.
 *
 * Pixels do not travel: the engine makes a memory file for the largest image it would accept and
 * the helper writes into it. So the helper makes no files, and what it says about sizes decides
 * only how much of the engine's own memory file is read. */
#ifndef FOVEA_IMAGE_HELPER_PROTO_H
#define FOVEA_IMAGE_HELPER_PROTO_H

#include <stdint.h>

#include "image/image.h"

#define HELPER_MAGIC 0x666f7602u /* the last byte counts changes of these structs */

/* A helper that cannot work says why and ends. */
struct helper_hello {
    uint32_t magic;
    int32_t code;  /* enum err_code */
    char msg[248]; /* NUL-terminated, when code is not ERR_NONE */
};

enum helper_fd {
    HELPER_FD_IN,  /* the file: size_bytes, sealed */
    HELPER_FD_OUT, /* max_pixels * 3 bytes of zeros, for [height_px, width_px, 3] u8 */
    HELPER_N_FDS,
};

/* Sent with HELPER_N_FDS descriptors. */
struct helper_request {
    uint64_t size_bytes, max_pixels;
    uint32_t format;   /* enum image_format */
    uint32_t contract; /* enum image_contract */
    uint32_t cpu_s;    /* processor seconds after which the kernel ends the helper */
    uint32_t number;   /* of this request; comes back */
    uint32_t target_side_px, zero;
};

struct helper_reply {
    int32_t code; /* enum err_code; the sizes count when it is ERR_NONE, msg otherwise */
    uint32_t number;
    uint32_t width_px, height_px, full_width_px, full_height_px; /* as struct image has them */
    struct image_margin margin;
    char msg[240]; /* NUL-terminated */
};

#endif
