/* image.h - from the bytes of a file to pixels, and from pixels to what a network reads.
 *
 * Two contracts say what "the pixels of a file" are:
 *   reference  what Pillow's Image.open().convert("RGB") gives, byte for byte for JPEG: as stored,
 *              not turned, no colour profile, alpha dropped, the first frame, full size. The
 *              service answers from these, as the one it stands in for does.
 *   view       what a person sees: turned upright, alpha over black, colours as sRGB has them
 *              (docs/formats.md says which profiles are understood); may be decoded smaller where
 *              the caller needs less.
 *
 * JPEG is decoded in this process by libjpeg-turbo. Every other format is decoded by a helper
 * process (helper.h), so that what is wrong in a rare decoder cannot reach this one's memory.
 *
 * All functions may be called from any thread; an image belongs to one thread at a time. */
#ifndef FOVEA_IMAGE_IMAGE_H
#define FOVEA_IMAGE_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define IMAGE_MAX_BYTES ((uint64_t)512 << 20)  /* of a file, unless the caller says less */
#define IMAGE_MAX_PIXELS ((uint64_t)400000000) /* of an image: 1.2 GB of RGB */

enum image_format {
    IMAGE_UNKNOWN,
    IMAGE_JPEG,
    IMAGE_PNG,
    IMAGE_WEBP,
    IMAGE_GIF,
    IMAGE_TIFF,
    IMAGE_HEIC,
    IMAGE_AVIF,
    IMAGE_JXL,
    IMAGE_BMP,
    IMAGE_RAW, /* a camera's own: CR2, CR3, NEF, DNG, ARW, RAF, ORF, RW2, ... */
};

/* What the first bytes say. The name decides only where content cannot: most RAW formats are TIFF
 * files, told apart by their extension. name_hint is a path or a bare name, or NULL. */
enum image_format image_sniff(const uint8_t *bytes, size_t n, const char *name_hint);
const char *image_format_name(enum image_format f); /* "JPEG", ...; "unknown" */
/* Does the name end as a format above does? For walking folders without opening every file. */
bool image_is_photo_name(const char *path);

/* How much of the outermost columns and rows lies beyond the edge of the picture, in pixels. */
struct image_margin {
    float left, top, right, bottom;
};

/* px is [height_px, width_px, 3] u8, red first, rows packed; on the heap, owned by who holds the
 * struct. `{0}` is a valid empty one. */
struct image {
    uint8_t *px;
    uint32_t width_px, height_px;
    /* Of the picture before it was decoded smaller, turned as px is; 0: it was not decoded. A JPEG
     * of 1001 pixels is 125.125 wide at 1/8: px has 126 columns, of the last 0.875 are margin. */
    uint32_t full_width_px, full_height_px;
    struct image_margin margin;
};
void image_clear(struct image *im); /* frees and empties; NULL is fine */

enum image_contract { IMAGE_REFERENCE, IMAGE_VIEW };

/* `{0}` asks for the reference contract with the limits above. */
struct image_decode_opts {
    enum image_contract contract;
    /* EXIF's 1-8 (0: 1), found by the meta module. Read in VIEW only, and not for HEIC, AVIF and
     * JPEG XL, where turning is the container's business and the decoder does it. */
    int orientation;
    /* VIEW only: the side that the caller will scale the shorter side to; 0 for full size. A JPEG
     * may then come out at 1/2, 1/4 or 1/8, other formats at any 1/n, the shorter side at least
     * IMAGE_OVERSAMPLE times this. */
    uint32_t target_side_px;
    uint64_t max_bytes, max_pixels; /* 0: IMAGE_MAX_BYTES, IMAGE_MAX_PIXELS */
};
/* Tensors of 224 px from such an image against those of the whole, 80 files at 1/2 to 1/8, all
 * residues of 8 and chroma layouts: worst cosine of photos and pages 0.9928 at 1, 0.9992 at 1.5,
 * 0.9998 at 2, 0.99995 at 3; of dithered and half-toned pictures 0.9988 at 2. Embeddings of photos
 * and pages by EfficientNet-Lite0: 0.9985 at 1.5, 0.9987 at 2 (noise of one level: 0.9983); by ViTs
 * of random weights 0.99995 at 2. A baseline file of 12 to 24 MP then takes 20 ms instead of 32 to
 * 46, and 8 MB instead of 42 to 77; a progressive one a tenth less time and half the memory, the
 * rest being its coefficients. */
#define IMAGE_OVERSAMPLE 2

/* Holds the client of the decode helper, which is started when the first file needs it. helper_path
 * is the helper's binary; NULL: JPEG only. ERR_NOMEM. */
struct image_decoder;
enum err_code image_decoder_create(struct image_decoder **out, const char *helper_path,
                                   struct err *err);
void image_decoder_destroy(struct image_decoder *d); /* no decode may be running; NULL is fine */
/* The most memory that one decode helper has had resident so far, in bytes. */
uint64_t image_decoder_helper_peak(struct image_decoder *d);

/* Decode n bytes; opts may be NULL for `{0}`. On failure *out is empty.
 * ERR_LIMIT (bytes, pixels or time; the sizes are checked before memory is taken for them),
 * ERR_INVALID (damaged or cut short: whatever Pillow refuses, with its words "image file is
 * truncated"; a header that claims more than its bytes can hold), ERR_UNSUPPORTED (unknown format,
 * or one whose decoder is not there), ERR_NOMEM; ERR_IO and ERR_INTERNAL when the helper could not
 * be run or died. */
enum err_code image_decode(struct image_decoder *d, const uint8_t *bytes, size_t n,
                           const char *name_hint, const struct image_decode_opts *opts,
                           struct image *out, struct err *err);

/* Turn upright by EXIF orientation 1-8 (another number: left as it is), replacing im's pixels.
 * ERR_NOMEM, im as before. */
enum err_code image_orient(struct image *im, int orientation, struct err *err);

/* The filters of Pillow's Image.Resampling. */
enum image_filter {
    IMAGE_NEAREST,
    IMAGE_BOX,
    IMAGE_BILINEAR,
    IMAGE_HAMMING,
    IMAGE_BICUBIC,
    IMAGE_LANCZOS,
};
/* "nearest", "bicubic", ... as in preprocess_cfg.json, any case; false for another word. */
bool image_filter_parse(const char *name, enum image_filter *out);

/* src, less its margins, scaled to width_px x height_px into *out: every byte as Pillow 12.3's
 * Image.resize(), its box being what the margins leave. ERR_INVALID (a side is 0), ERR_LIMIT
 * (IMAGE_MAX_PIXELS), ERR_NOMEM; then *out is empty. */
enum err_code image_resize(const struct image *src, uint32_t width_px, uint32_t height_px,
                           enum image_filter filter, struct image *out, struct err *err);

/* The bilinear scaling of OpenCV, which networks of its world are fed through: between the two
 * nearest pixels a side, however much it shrinks. Every byte as OpenCV 4.14's cv::resize() with
 * INTER_LINEAR; margins are not looked at. Errors as image_resize(). */
enum err_code image_resize_linear(const struct image *src, uint32_t width_px, uint32_t height_px,
                                  struct image *out, struct err *err);

/* The same of a picture that is made row by row: row_fn writes row y, [width_px, 3], of it. Rows
 * are asked for in order, those that count for nothing not at all. */
typedef void (*image_row_fn)(void *ctx, uint32_t y, uint8_t *row);
enum err_code image_resize_rows(uint32_t from_width_px, uint32_t from_height_px,
                                image_row_fn row_fn, void *ctx, uint32_t width_px,
                                uint32_t height_px, struct image *out, struct err *err);

/* n pixels of src seen in perspective, along a row (down: a column) from (x, y) on, into px [n, 3]:
 * the point (x, y) of the result shows ((a0 x + a1 y + a2) / w, (a3 x + a4 y + a5) / w) of src,
 * w = a6 x + a7 y + 1. Every byte as Pillow 12.3's Image.transform() with PERSPECTIVE and BICUBIC:
 * black around src. */
void image_perspective(const struct image *src, const double a[8], uint32_t x, uint32_t y,
                       bool down, uint32_t n, uint8_t *px);

/* src moved by the 2 x 3 matrix m, row by row, of points in src to points in the result, into px
 * [height_px, width_px, 3]: every byte as OpenCV 4.14's cv::warpAffine() with INTER_LINEAR and
 * black around src. */
void image_warp_affine(const struct image *src, const double m[6], uint32_t width_px,
                       uint32_t height_px, uint8_t *px);

/* How an image becomes a network's input, in the terms of a CLIP model's preprocess_cfg.json. */
enum image_fit {
    IMAGE_SHORTEST, /* shorter side to the size, truncating the longer; crop the centre */
    IMAGE_SQUASH,   /* both sides to the size, whatever the shape */
    IMAGE_LONGEST,  /* whole image within the size, rounding; the rest is fill */
};
struct image_preprocess {
    uint32_t width_px, height_px;
    enum image_filter filter;
    enum image_fit fit;
    float mean[3], std[3]; /* of the 0..1 range, red first */
    uint8_t fill[3];       /* IMAGE_LONGEST only */
};

/* out: [3, height_px, width_px] f32. Each float is (x / 255) * (1 / std) - mean / std, rounded
 * after each step, which is numpy's arithmetic in Immich's transforms.py; IMAGE_SHORTEST is its
 * resize_pil + crop_pil, the other two are open_clip's. Sizes are worked out from the full
 * ones, so a picture decoded smaller is placed as the whole. Only pixels that end up in out are
 * computed. ERR_INVALID (empty image, zero size or std), ERR_LIMIT, ERR_NOMEM. */
enum err_code image_to_tensor(const struct image *im, const struct image_preprocess *pre,
                              float *out, struct err *err);

#endif
