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

static enum err_code write_preview(struct decode_job *job, const libraw_thumbnail_t *t,
                                   struct err *err)
{
    if (t->tformat == LIBRAW_THUMBNAIL_JPEG) {
        struct decode_job inner = *job;
        inner.bytes = (const uint8_t *)t->thumb;
        inner.n = t->tlength;
        inner.format = IMAGE_JPEG;
        enum err_code rc = decode_vips(&inner, err);
        inner.bytes = job->bytes;
        inner.n = job->n;
        *job = inner;
        return rc;
    }
    size_t row_bytes = (size_t)t->twidth * 3;
    if (t->tformat != LIBRAW_THUMBNAIL_BITMAP || t->tlength < row_bytes * t->theight)
        return err_set(err, ERR_UNSUPPORTED, "a preview of kind %d", (int)t->tformat);
    enum err_code rc = decode_begin(job, t->twidth, t->theight, err);
    for (uint32_t y = 0; rc == ERR_NONE && y < t->theight; y++)
        decode_put_row(job, y, (const uint8_t *)t->thumb + y * row_bytes, 3);
    return rc;
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
