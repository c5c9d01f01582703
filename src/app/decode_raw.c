/* A camera's raw file: the preview inside it, which the camera developed itself. As stored: the
 * engine turns it by the raw file's EXIF. */
#include "app/decode.h"

#include <errno.h>
#include <libraw/libraw.h>
#include <stdbool.h>

static enum err_code failed(int e, struct err *err)
{
    bool no_preview = e == LIBRAW_NO_THUMBNAIL || e == LIBRAW_UNSUPPORTED_THUMBNAIL;
    enum err_code code = no_preview || e == LIBRAW_FILE_UNSUPPORTED       ? ERR_UNSUPPORTED
                         : e == LIBRAW_UNSUFFICIENT_MEMORY || e == ENOMEM ? ERR_NOMEM
                                                                          : ERR_INVALID;
    return err_set(err, code, "%s", no_preview ? "no preview in it" : libraw_strerror(e));
}

/* By the engine's own decoder, so that a preview looks like any JPEG. */
static enum err_code write_jpeg(struct decode_job *job, const void *bytes, size_t n,
                                struct err *err)
{
    const struct image_decode_opts opts = { .contract = job->contract,
                                            .target_side_px = job->target_side_px,
                                            .max_pixels = job->max_pixels };
    struct image_decoder *d = NULL;
    struct image im = { 0 };
    enum err_code rc = image_decoder_create(&d, NULL, err);
    if (rc == ERR_NONE)
        rc = image_decode(d, bytes, n, NULL, &opts, &im, err);
    if (rc == ERR_NONE)
        rc = decode_begin(job, im.full_width_px, im.full_height_px, err);
    if (rc == ERR_NONE)
        decode_put_image(job, &im);
    image_clear(&im);
    image_decoder_destroy(d);
    return rc;
}

static enum err_code write_bitmap(struct decode_job *job, const libraw_thumbnail_t *t,
                                  struct err *err)
{
    size_t row_bytes = (size_t)t->twidth * 3;
    if (t->tlength < row_bytes * t->theight)
        return err_set(err, ERR_INVALID, "image file is truncated");
    enum err_code rc = decode_begin(job, t->twidth, t->theight, err);
    for (uint32_t y = 0; rc == ERR_NONE && y < t->theight; y++)
        decode_put_row(job, y, (const uint8_t *)t->thumb + y * row_bytes, 3);
    return rc;
}

static enum err_code write_preview(struct decode_job *job, const libraw_thumbnail_t *t,
                                   struct err *err)
{
    switch (t->tformat) {
    case LIBRAW_THUMBNAIL_JPEG: return write_jpeg(job, t->thumb, t->tlength, err);
    case LIBRAW_THUMBNAIL_BITMAP: return write_bitmap(job, t, err);
    default: return err_set(err, ERR_UNSUPPORTED, "a preview of kind %d", (int)t->tformat);
    }
}

enum err_code decode_raw(struct decode_job *job, struct err *err)
{
    libraw_data_t *raw = libraw_init(0);
    if (!raw)
        return err_set(err, ERR_NOMEM, "LibRaw");
    int e = libraw_open_buffer(raw, (void *)(uintptr_t)job->bytes, job->n);
    if (!e)
        e = libraw_unpack_thumb(raw);
    enum err_code rc = e ? failed(e, err) : write_preview(job, &raw->thumbnail, err);
    libraw_close(raw);
    return rc;
}
