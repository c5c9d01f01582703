/* helper.h - client of the decode helper, the process that decodes whatever is not JPEG.
 *
 * One client serves all threads of a process. It starts the helper binary on the first call, hands
 * it bytes and gets pixels back by memfd, starts it again after it died, and lets it go after it
 * was idle. Nothing the helper answers is trusted: sizes are checked against the limits before
 * anything is mapped or copied. Inside image/ only; others call image_decode(). */
#ifndef FOVEA_IMAGE_HELPER_H
#define FOVEA_IMAGE_HELPER_H

#include "image/image.h"

struct image_helper;

/* path: the helper's binary, copied. Starts nothing. ERR_NOMEM. */
enum err_code image_helper_create(struct image_helper **out, const char *path, struct err *err);
/* Ends the helper if it runs. No decode may be running. NULL is fine. */
void image_helper_destroy(struct image_helper *h);

/* Decode n bytes, of which the caller knows the format (neither IMAGE_UNKNOWN nor IMAGE_JPEG), by
 * opts->contract. opts is complete: max_bytes and max_pixels are not 0, n is within max_bytes.
 * The helper turns HEIC, AVIF and JPEG XL in VIEW as the container says, and in REFERENCE as Pillow
 * and its plugins do; opts->orientation is not its business, the caller applies it to the others.
 * opts->target_side_px it may use as it is documented, or not. out->px is malloc'ed and becomes the
 * caller's; on failure *out is untouched. Errors as image_decode() states them. Any thread. */
enum err_code image_helper_decode(struct image_helper *h, enum image_format format,
                                  const uint8_t *bytes, size_t n,
                                  const struct image_decode_opts *opts, struct image *out,
                                  struct err *err);

#endif
