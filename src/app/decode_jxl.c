/* JPEG XL by libjxl. Its decoder turns the image as the file says, in either contract: Pillow has
 * no JPEG XL to be equal to. */
#include "app/decode.h"

#include <jxl/decode.h>
#include <stdbool.h>
#include <stdlib.h>

struct jxl {
    JxlDecoder *decoder;
    JxlBasicInfo info;
    bool over_black;
    uint8_t *rgba; /* [height, width, 4] where alpha counts */
    uint8_t *icc;
    size_t n_icc;
};

/* Without the profile the colours are shown as they are. */
static void take_profile(struct jxl *x, const JxlPixelFormat *format)
{
    size_t n = 0;
    JxlColorProfileTarget of = JXL_COLOR_PROFILE_TARGET_DATA;
    if (JxlDecoderGetICCProfileSize(x->decoder, format, of, &n) != JXL_DEC_SUCCESS || !n)
        return;
    x->icc = malloc(n);
    if (x->icc &&
        JxlDecoderGetColorAsICCProfile(x->decoder, format, of, x->icc, n) == JXL_DEC_SUCCESS)
        x->n_icc = n;
}

static enum err_code give_buffer(struct jxl *x, struct decode_job *job,
                                 const JxlPixelFormat *format, struct err *err)
{
    uint32_t w = job->im.width_px, h = job->im.height_px;
    size_t n = (size_t)w * h * format->num_channels;
    void *to = job->im.px;
    if (x->over_black) {
        x->rgba = malloc(n);
        if (!x->rgba)
            return err_set(err, ERR_NOMEM, "%u x %u pixels", w, h);
        to = x->rgba;
    }
    if (!to || JxlDecoderSetImageOutBuffer(x->decoder, format, to, n) != JXL_DEC_SUCCESS)
        return err_set(err, ERR_INVALID, "broken JPEG XL");
    return ERR_NONE;
}

/* The decoder stops to tell what it knows; each stop is answered, the first whole frame ends it. */
static enum err_code run(struct jxl *x, struct decode_job *job, struct err *err)
{
    JxlPixelFormat format = { 3, JXL_TYPE_UINT8, JXL_NATIVE_ENDIAN, 0 };
    enum err_code rc = ERR_NONE;
    while (rc == ERR_NONE) {
        switch (JxlDecoderProcessInput(x->decoder)) {
        case JXL_DEC_BASIC_INFO:
            if (JxlDecoderGetBasicInfo(x->decoder, &x->info) != JXL_DEC_SUCCESS)
                return err_set(err, ERR_INVALID, "broken JPEG XL");
            x->over_black = x->info.alpha_bits && job->contract == IMAGE_VIEW;
            format.num_channels = x->over_black ? 4 : 3;
            rc = decode_begin(job, x->info.xsize, x->info.ysize, err);
            break;
        case JXL_DEC_COLOR_ENCODING: take_profile(x, &format); break;
        case JXL_DEC_NEED_IMAGE_OUT_BUFFER: rc = give_buffer(x, job, &format, err); break;
        case JXL_DEC_FULL_IMAGE: return ERR_NONE;
        case JXL_DEC_NEED_MORE_INPUT: return err_set(err, ERR_INVALID, "image file is truncated");
        default: return err_set(err, ERR_INVALID, "broken JPEG XL");
        }
    }
    return rc;
}

enum err_code decode_jxl(struct decode_job *job, struct err *err)
{
    struct jxl x = { .decoder = JxlDecoderCreate(NULL) };
    if (!x.decoder)
        return err_set(err, ERR_NOMEM, "libjxl's decoder");
    JxlDecoderSubscribeEvents(x.decoder,
                              JXL_DEC_BASIC_INFO | JXL_DEC_COLOR_ENCODING | JXL_DEC_FULL_IMAGE);
    JxlDecoderSetUnpremultiplyAlpha(x.decoder, JXL_TRUE);
    JxlDecoderSetInput(x.decoder, job->bytes, job->n);
    JxlDecoderCloseInput(x.decoder);
    enum err_code rc = run(&x, job, err);
    if (rc == ERR_NONE && !x.rgba)
        decode_shrink(job);
    for (uint32_t y = 0; rc == ERR_NONE && x.rgba && y < x.info.ysize; y++)
        decode_put_row(job, y, x.rgba + (size_t)y * x.info.xsize * 4, 4);
    if (rc == ERR_NONE && x.n_icc && job->contract == IMAGE_VIEW)
        decode_to_srgb(job, x.icc, x.n_icc);
    free(x.rgba);
    free(x.icc);
    JxlDecoderDestroy(x.decoder);
    return rc;
}
