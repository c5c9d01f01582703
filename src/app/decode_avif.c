/* AVIF by libavif, as in Pillow. It leaves turning to us. */
#include "app/decode.h"

#include <avif/avif.h>
#include <stdlib.h>
#include <string.h>

static enum err_code failed(avifResult result, struct err *err)
{
    enum err_code code = result == AVIF_RESULT_OUT_OF_MEMORY       ? ERR_NOMEM
                         : result == AVIF_RESULT_UNSUPPORTED_DEPTH ? ERR_UNSUPPORTED
                                                                   : ERR_INVALID;
    if (result == AVIF_RESULT_TRUNCATED_DATA)
        return err_set(err, code, "image file is truncated");
    return err_set(err, code, "broken AVIF: %s", avifResultToString(result));
}

/* EXIF's number for turning anticlockwise by quarters and then mirroring (HEIF amendment 2). */
static int orientation_of(const avifImage *im)
{
    static const uint8_t turned[] = { 1, 8, 3, 6 }, then_top_down[] = { 4, 5, 2, 7 },
                         then_left_right[] = { 2, 7, 4, 5 };
    unsigned angle = im->transformFlags & AVIF_TRANSFORM_IROT ? im->irot.angle & 3u : 0;
    if (!(im->transformFlags & AVIF_TRANSFORM_IMIR))
        return turned[angle];
    return im->imir.mode ? then_left_right[angle] : then_top_down[angle];
}

/* px: [height, width, n_bands] of im, which is not turned yet. */
static enum err_code convert(const avifImage *im, uint8_t *px, uint32_t n_bands, struct err *err)
{
    avifRGBImage rgb;
    avifRGBImageSetDefaults(&rgb, im);
    rgb.depth = 8;
    rgb.format = n_bands == 4 ? AVIF_RGB_FORMAT_RGBA : AVIF_RGB_FORMAT_RGB;
    rgb.pixels = px;
    rgb.rowBytes = im->width * n_bands;
    avifResult result = avifImageYUVToRGB(im, &rgb);
    return result == AVIF_RESULT_OK ? ERR_NONE : failed(result, err);
}

/* Turn what job->rgb holds, [height, width, 3] before turning. */
static enum err_code turn(struct decode_job *job, const avifImage *im, struct err *err)
{
    size_t n = (size_t)im->width * im->height * 3;
    struct image turned = { malloc(n), im->width, im->height };
    if (!turned.px)
        return err_set(err, ERR_NOMEM, "%u x %u pixels", im->width, im->height);
    memcpy(turned.px, job->rgb, n);
    enum err_code rc = image_orient(&turned, orientation_of(im), err);
    if (rc == ERR_NONE) {
        memcpy(job->rgb, turned.px, n);
        job->width_px = turned.width_px;
        job->height_px = turned.height_px;
    }
    image_clear(&turned);
    return rc;
}

static enum err_code write_image(struct decode_job *job, const avifImage *im, struct err *err)
{
    uint32_t n_bands = im->alphaPlane && job->contract == IMAGE_VIEW ? 4 : 3;
    if (im->width != job->width_px || im->height != job->height_px)
        return err_set(err, ERR_INVALID, "broken AVIF: %u x %u pixels instead of %u x %u",
                       im->width, im->height, job->width_px, job->height_px);
    if (n_bands == 3)
        return convert(im, job->rgb, 3, err);
    uint8_t *rgba = malloc((size_t)im->width * im->height * 4);
    if (!rgba)
        return err_set(err, ERR_NOMEM, "%u x %u pixels", im->width, im->height);
    enum err_code rc = convert(im, rgba, 4, err);
    for (uint32_t y = 0; rc == ERR_NONE && y < im->height; y++)
        decode_put_row(job, y, rgba + (size_t)y * im->width * 4, 4);
    free(rgba);
    return rc;
}

static enum err_code decode_first(struct decode_job *job, avifDecoder *decoder, struct err *err)
{
    const avifImage *im = decoder->image;
    enum err_code rc = decode_begin(job, im->width, im->height, err);
    if (rc != ERR_NONE)
        return rc;
    avifResult result = avifDecoderNextImage(decoder);
    rc = result == AVIF_RESULT_OK ? write_image(job, im, err) : failed(result, err);
    if (rc != ERR_NONE || job->contract != IMAGE_VIEW)
        return rc;
    if (im->icc.size)
        decode_to_srgb(job, im->icc.data, im->icc.size);
    return orientation_of(im) == 1 ? ERR_NONE : turn(job, im, err);
}

enum err_code decode_avif(struct decode_job *job, struct err *err)
{
    avifDecoder *decoder = avifDecoderCreate();
    if (!decoder)
        return err_set(err, ERR_NOMEM, "libavif's decoder");
    decoder->ignoreExif = decoder->ignoreXMP = AVIF_TRUE;
    decoder->strictFlags &= ~(avifStrictFlags)AVIF_STRICT_PIXI_REQUIRED; /* as Pillow */
    avifResult result = avifDecoderSetIOMemory(decoder, job->bytes, job->n);
    if (result == AVIF_RESULT_OK)
        result = avifDecoderParse(decoder);
    enum err_code rc =
        result == AVIF_RESULT_OK ? decode_first(job, decoder, err) : failed(result, err);
    avifDecoderDestroy(decoder);
    return rc;
}
