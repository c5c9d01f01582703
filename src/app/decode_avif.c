/* AVIF by libavif, as in Pillow. It leaves turning to us. */
#include "app/decode.h"

#include <avif/avif.h>

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

/* Asked for RGB, libavif lays alpha over black: right for a view, and too much for the reference.
 */
static enum err_code write_image(struct decode_job *job, const avifImage *im, struct err *err)
{
    avifRGBImage rgb;
    avifImage opaque = *im; /* borrows the planes */
    opaque.alphaPlane = NULL;
    if (im->width != job->width_px || im->height != job->height_px)
        return err_set(err, ERR_INVALID, "broken AVIF: %u x %u pixels instead of %u x %u",
                       im->width, im->height, job->width_px, job->height_px);
    avifRGBImageSetDefaults(&rgb, im);
    rgb.depth = 8;
    rgb.format = AVIF_RGB_FORMAT_RGB;
    rgb.pixels = job->rgb;
    rgb.rowBytes = im->width * 3;
    if (job->contract == IMAGE_REFERENCE)
        im = &opaque;
    avifResult result = avifImageYUVToRGB(im, &rgb);
    return result == AVIF_RESULT_OK ? ERR_NONE : failed(result, err);
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
    return decode_turn(job, orientation_of(im), err);
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
