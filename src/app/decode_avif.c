/* AVIF by libavif, as in Pillow. It leaves turning to us. */
#include "app/decode.h"

#include <avif/avif.h>
#include <stdlib.h>
#include <string.h>

#define STRIP_ROWS 64u /* even, for chroma that rows share */

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

static void cut_plane(const avifImage *from, avifImage *to, enum avifChannelIndex c, uint32_t w,
                      uint32_t h)
{
    const unsigned shift = from->depth - 8;
    for (uint32_t y = 0; y < h; y++) {
        const uint8_t *row = from->yuvPlanes[c] + (size_t)y * from->yuvRowBytes[c];
        uint8_t *out = to->yuvPlanes[c] + (size_t)y * to->yuvRowBytes[c];
        for (uint32_t x = 0; x < w; x++) {
            uint16_t v;
            memcpy(&v, row + 2 * (size_t)x, sizeof v);
            out[x] = (uint8_t)(v >> shift);
        }
    }
}

/* The libavif in Pillow (1.x) cuts colours of 10 and 12 bits to 8 before it makes RGB of them; ours
 * (0.11) rounds afterwards, which differs by up to 38 levels. NULL when out of memory. */
static avifImage *cut_to_8_bits(const avifImage *im)
{
    avifPixelFormatInfo format;
    avifGetPixelFormatInfo(im->yuvFormat, &format);
    avifImage *cut = avifImageCreate(im->width, im->height, 8, im->yuvFormat);
    if (!cut || avifImageAllocatePlanes(cut, AVIF_PLANES_YUV) != AVIF_RESULT_OK) {
        if (cut)
            avifImageDestroy(cut);
        return NULL;
    }
    cut->yuvRange = im->yuvRange;
    cut->matrixCoefficients = im->matrixCoefficients;
    cut->colorPrimaries = im->colorPrimaries;
    const uint32_t w = (im->width + (uint32_t)format.chromaShiftX) >> format.chromaShiftX,
                   h = (im->height + (uint32_t)format.chromaShiftY) >> format.chromaShiftY;
    cut_plane(im, cut, AVIF_CHAN_Y, im->width, im->height);
    cut_plane(im, cut, AVIF_CHAN_U, w, h);
    cut_plane(im, cut, AVIF_CHAN_V, w, h);
    return cut;
}

static enum err_code to_rgb(const avifImage *im, uint8_t *out, struct err *err)
{
    avifRGBImage rgb;
    avifRGBImageSetDefaults(&rgb, im);
    rgb.depth = 8;
    rgb.format = AVIF_RGB_FORMAT_RGB;
    rgb.pixels = out;
    rgb.rowBytes = im->width * 3;
    avifResult result = avifImageYUVToRGB(im, &rgb);
    return result == AVIF_RESULT_OK ? ERR_NONE : failed(result, err);
}

/* Row by row out of strips, so that the RGB is nowhere whole. Where strips meet, chroma is
 * interpolated without the other strip's, which the shrinking hides. */
static enum err_code shrink_strips(struct decode_job *job, const avifImage *im, struct err *err)
{
    size_t stride = (size_t)im->width * 3;
    uint8_t *px = malloc(stride * STRIP_ROWS);
    avifImage *strip = avifImageCreateEmpty();
    enum err_code rc = px && strip ? ERR_NONE : err_set(err, ERR_NOMEM, "a strip of AVIF");
    for (uint32_t y = 0; rc == ERR_NONE && y < im->height; y += STRIP_ROWS) {
        uint32_t left = im->height - y, n = left < STRIP_ROWS ? left : STRIP_ROWS;
        avifResult result = avifImageSetViewRect(strip, im, &(avifCropRect){ 0, y, im->width, n });
        rc = result == AVIF_RESULT_OK ? to_rgb(strip, px, err) : failed(result, err);
        for (uint32_t i = 0; rc == ERR_NONE && i < n; i++)
            decode_put_row(job, y + i, px + i * stride, 3);
    }
    if (strip)
        avifImageDestroy(strip);
    free(px);
    return rc;
}

/* Asked for RGB, libavif lays alpha over black: right for a view, and too much for the reference.
 */
static enum err_code write_image(struct decode_job *job, const avifImage *im, struct err *err)
{
    if (im->width != job->im.width_px || im->height != job->im.height_px)
        return err_set(err, ERR_INVALID, "broken AVIF: %u x %u pixels instead of %u x %u",
                       im->width, im->height, job->im.width_px, job->im.height_px);
    if (job->contract == IMAGE_VIEW)
        return job->shrink > 1 ? shrink_strips(job, im, err) : to_rgb(im, job->im.px, err);
    if (im->depth > 8 && im->yuvFormat != AVIF_PIXEL_FORMAT_YUV400) {
        avifImage *cut = cut_to_8_bits(im);
        if (!cut)
            return err_set(err, ERR_NOMEM, "AVIF of %u x %u pixels", im->width, im->height);
        enum err_code rc = to_rgb(cut, job->im.px, err);
        avifImageDestroy(cut);
        return rc;
    }
    avifImage opaque = *im; /* borrows the planes */
    opaque.alphaPlane = NULL;
    return to_rgb(&opaque, job->im.px, err);
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
