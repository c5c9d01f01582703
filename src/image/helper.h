/* helper.h - client of the decode helper, the process that decodes whatever is not JPEG.
 *
 * One client serves all threads of an engine. A call takes an idle helper or starts one, up to
 * n_helpers, and waits for one otherwise. A helper that crashes or does not answer fails the file
 * it was given, is reaped, and the next call starts another; one that was idle for a while is let
 * go, so its 30 MB and more are held only while photos come. Nothing the helper says is trusted:
 * the pixels lie in a memory file of ours, and are copied from it. Inside image/ only; others call
 * image_decode(). */
#ifndef FOVEA_IMAGE_HELPER_H
#define FOVEA_IMAGE_HELPER_H

#include "image/image.h"

struct image_helper;

struct image_helper_opts {
    const char *path;   /* the helper's binary; copied */
    unsigned n_helpers; /* at once; 0: one a core, as many as indexing needs */
    int timeout_ms;     /* for one file; 0: 60,000 */
    int idle_ms;        /* until it is let go; 0: 30,000 */
};

/* Starts nothing. ERR_NOMEM. */
enum err_code image_helper_create(struct image_helper **out, const struct image_helper_opts *opts,
                                  struct err *err);
/* Ends the helpers that run. No decode may be running. NULL is fine. */
void image_helper_destroy(struct image_helper *h);

/* Decode n bytes, of which the caller knows the format (neither IMAGE_UNKNOWN nor IMAGE_JPEG), by
 * opts->contract. opts is complete: max_bytes and max_pixels are not 0, n is within max_bytes.
 * The helper turns HEIC, AVIF and JPEG XL in VIEW as the container says, and in REFERENCE as Pillow
 * and its plugins do; opts->orientation is not its business, the caller applies it to the others.
 * out->px is malloc'ed and becomes the caller's; on failure *out is untouched. Errors as
 * image_decode() states them: ERR_LIMIT also when the time was up, ERR_INTERNAL naming the signal
 * when the helper died. Any thread. */
enum err_code image_helper_decode(struct image_helper *h, enum image_format format,
                                  const uint8_t *bytes, size_t n,
                                  const struct image_decode_opts *opts, struct image *out,
                                  struct err *err);

/* The most memory that one helper has had resident so far, in bytes. */
uint64_t image_helper_peak(struct image_helper *h);

#endif
