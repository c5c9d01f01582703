#include <stdlib.h>

#include "base/str.h"
#include "image/helper.h"
#include "image/image.h"
#include "image/jpeg.h"

struct image_decoder {
    struct image_helper *helper; /* NULL: JPEG only */
};

enum err_code image_decoder_create(struct image_decoder **out, const char *helper_path,
                                   struct err *err)
{
    *out = NULL;
    struct image_decoder *d = calloc(1, sizeof *d);
    if (!d)
        return err_set(err, ERR_NOMEM, "image decoder");
    if (helper_path) {
        const struct image_helper_opts opts = { .path = helper_path };
        enum err_code rc = image_helper_create(&d->helper, &opts, err);
        if (rc != ERR_NONE) {
            free(d);
            return rc;
        }
    }
    *out = d;
    return ERR_NONE;
}

void image_decoder_destroy(struct image_decoder *d)
{
    if (!d)
        return;
    image_helper_destroy(d->helper);
    free(d);
}

uint64_t image_decoder_helper_peak(struct image_decoder *d)
{
    return d->helper ? image_helper_peak(d->helper) : 0;
}

/* HEIF and JPEG XL state the turning beside the pixels and their decoders apply it; EXIF's copy of
 * it must not turn the picture a second time. */
static bool turns_itself(enum image_format f)
{
    return f == IMAGE_HEIC || f == IMAGE_AVIF || f == IMAGE_JXL;
}

static enum err_code decode_as(struct image_decoder *d, enum image_format f, const uint8_t *bytes,
                               size_t n, const struct image_decode_opts *opts, struct image *out,
                               struct err *err)
{
    if (f == IMAGE_UNKNOWN)
        return err_set(err, ERR_UNSUPPORTED, "cannot identify image file");
    if (f == IMAGE_JPEG)
        return image_jpeg_decode(bytes, n, opts, out, err);
    if (!d->helper)
        return err_set(err, ERR_UNSUPPORTED, "%s: no decode helper was given",
                       image_format_name(f));
    return image_helper_decode(d->helper, f, bytes, n, opts, out, err);
}

enum err_code image_decode(struct image_decoder *d, const uint8_t *bytes, size_t n,
                           const char *name_hint, const struct image_decode_opts *opts,
                           struct image *out, struct err *err)
{
    *out = (struct image){ 0 };
    struct image_decode_opts o = opts ? *opts : (struct image_decode_opts){ 0 };
    o.max_bytes = o.max_bytes ? o.max_bytes : IMAGE_MAX_BYTES;
    o.max_pixels = o.max_pixels ? o.max_pixels : IMAGE_MAX_PIXELS;
    if (n > o.max_bytes) {
        char got[16], most[16];
        return err_set(err, ERR_LIMIT, "image of %s, the limit is %s", str_bytes(n, got),
                       str_bytes(o.max_bytes, most));
    }
    enum image_format f = image_sniff(bytes, n, name_hint);
    enum err_code rc = decode_as(d, f, bytes, n, &o, out, err);
    if (rc == ERR_NONE && o.contract == IMAGE_VIEW && !turns_itself(f))
        rc = image_orient(out, o.orientation, err);
    if (rc != ERR_NONE)
        image_clear(out);
    return rc;
}
