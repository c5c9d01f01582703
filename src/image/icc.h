/* icc.h - a photo's colours to sRGB, from the profiles that cameras and phones write. Inside image/
 * only.
 *
 * A profile comes with the photo, so from anyone. What is understood is the simplest kind, three
 * curves and a matrix: Display P3, Adobe RGB, ProPhoto RGB, sRGB itself. That needs no colour
 * engine in this process. Profiles that are tables (of printers and scanners, and the v4 sRGB that
 * prefers a look) are for the decode helper, which has one; here they change nothing.
 *
 * Within two levels of LittleCMS on 99.9 % of the colours, see tests/golden/test_icc.py. Pure
 * functions; any thread. */
#ifndef FOVEA_IMAGE_ICC_H
#define FOVEA_IMAGE_ICC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

#define ICC_MAX_BYTES                                                                              \
    ((size_t)4 << 20) /* of a profile; of those understood, 80 kB is a large one */

/* Change px, [n_px, 3] of the colours that profile [n] describes, to sRGB. False, px untouched:
 * the profile is sRGB to within a level, or broken, or of another kind. */
bool image_icc_to_srgb(const uint8_t *profile, size_t n, uint8_t *px, size_t n_px);

/* The profile in the APP2 segments of a JPEG (ICC.1:2010, B.4), put together into *out, which the
 * caller clears; empty where there is none, a piece is missing or it is over ICC_MAX_BYTES.
 * ERR_NOMEM. */
enum err_code image_icc_of_jpeg(const uint8_t *bytes, size_t n, struct buf *out, struct err *err);

#endif
