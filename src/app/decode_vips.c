/* The formats that libvips reads. The loader is named by the format: libvips' own search would try
 * ImageMagick and a dozen others. Rows are pulled in strips, so a file that can be read from top to
 * bottom is never whole in memory. */
#include "app/decode.h"

#include <vips/vips.h>

#define STRIP_ROWS 64

/* Its first line says which loader met what. */
static enum err_code vips_failed(enum err_code code, struct err *err)
{
    const char *text = vips_error_buffer();
    size_t n = strcspn(text, "\n");
    err_set(err, code, "%.*s", n ? (int)n : 11, n ? text : "broken file");
    vips_error_clear();
    return code;
}

enum err_code decode_vips_init(struct err *err)
{
    /* Where modules lie below its home; there are none. What they would load (ImageMagick, PDF,
     * slides) must not be here at all, and took half of the start. */
    setenv("VIPSHOME", "/nonexistent", 1);
    if (vips_init("fovea-decode"))
        return vips_failed(ERR_INTERNAL, err);
    vips_concurrency_set(1); /* the engine runs as many helpers as it wants cores used */
    vips_cache_set_max(0);
    return ERR_NONE;
}

static int load(const struct decode_job *job, VipsImage **out)
{
#define LOADER(name)                                                                               \
    name((void *)(uintptr_t)job->bytes, job->n, out, "access", VIPS_ACCESS_SEQUENTIAL, "fail_on",  \
         VIPS_FAIL_ON_TRUNCATED, NULL)
    switch (job->format) {
    case IMAGE_PNG: return LOADER(vips_pngload_buffer);
    case IMAGE_WEBP: return LOADER(vips_webpload_buffer);
    default: return LOADER(vips_tiffload_buffer);
    }
#undef LOADER
}

/* libwebp can shrink as it decodes: of 24 MP at 1/4 it then holds 15 MB instead of 185. Not all the
 * way, for it is rougher at that than we are: the worst cosine of embeddings was 0.993, and is
 * 0.998 with the last halving ours. */
static enum err_code load_small_webp(struct decode_job *job, VipsImage **im, struct err *err)
{
    g_clear_object(im);
    if (vips_webpload_buffer((void *)(uintptr_t)job->bytes, job->n, im, "access",
                             VIPS_ACCESS_SEQUENTIAL, "fail_on", VIPS_FAIL_ON_TRUNCATED, "scale",
                             1.0 / (job->shrink / 2), NULL))
        return vips_failed(ERR_INVALID, err);
    decode_is_smaller(job, (uint32_t)(*im)->Xsize, (uint32_t)(*im)->Ysize, 2);
    return ERR_NONE;
}

/* Pillow's cmyk2rgb: each ink's absence, darkened by black, rounded. */
static uint8_t without_ink(unsigned ink, unsigned black)
{
    unsigned t = ink * (255 - black) + 128;
    return (uint8_t)(255 - black - ((t + (t >> 8)) >> 8));
}

static void put_grey(uint8_t *rgb, double v)
{
    rgb[0] = rgb[1] = rgb[2] = v <= 0 ? 0 : v >= 255 ? 255 : (uint8_t)v;
}

/* How Pillow's convert("RGB") sees the samples of an image. */
enum kind { KIND_U8, KIND_U16, KIND_U16_GREY, KIND_I32, KIND_U32, KIND_F32, KIND_UNKNOWN };

/* Grey of 16 bits without alpha is Pillow's mode I;16, which is clipped at 255, as are I and F.
 * libvips makes alpha of a PNG's transparent grey, so ask the file: byte 25 is the colour type. */
static enum kind kind_of(const struct decode_job *job, const VipsImage *im)
{
    bool is_grey = im->Bands == 1 || (job->format == IMAGE_PNG && job->bytes[25] == 0);
    switch (im->BandFmt) {
    case VIPS_FORMAT_UCHAR: return KIND_U8;
    case VIPS_FORMAT_USHORT: return is_grey ? KIND_U16_GREY : KIND_U16;
    case VIPS_FORMAT_INT: return is_grey ? KIND_I32 : KIND_UNKNOWN;
    case VIPS_FORMAT_UINT: return is_grey ? KIND_U32 : KIND_UNKNOWN;
    case VIPS_FORMAT_FLOAT: return is_grey ? KIND_F32 : KIND_UNKNOWN;
    default: return KIND_UNKNOWN;
    }
}

/* Sample i of a row, of colours as 8 bits. */
static unsigned sample_u8(const void *row, enum kind kind, size_t i)
{
    return kind == KIND_U8 ? ((const uint8_t *)row)[i] : ((const uint16_t *)row)[i] >> 8;
}

static void write_colours(const VipsImage *im, enum kind kind, const void *row, uint8_t *rgb)
{
    bool is_cmyk = im->Type == VIPS_INTERPRETATION_CMYK && im->Bands >= 4;
    size_t i = 0;
    for (int x = 0; x < im->Xsize; x++, rgb += 3, i += (size_t)im->Bands)
        for (unsigned c = 0; c < 3; c++) {
            unsigned v = sample_u8(row, kind, i + (im->Bands >= 3 ? c : 0));
            rgb[c] = is_cmyk ? without_ink(v, sample_u8(row, kind, i + 3)) : (uint8_t)v;
        }
}

static void write_row(const VipsImage *im, enum kind kind, const void *row, uint8_t *rgb)
{
    int n = im->Xsize, step = im->Bands;
    switch (kind) {
    case KIND_U8:
    case KIND_U16: write_colours(im, kind, row, rgb); break;
    case KIND_U16_GREY:
        for (int x = 0; x < n; x++)
            put_grey(rgb + x * 3, ((const uint16_t *)row)[x * step]);
        break;
    case KIND_I32:
        for (int x = 0; x < n; x++)
            put_grey(rgb + x * 3, ((const int32_t *)row)[x]);
        break;
    case KIND_U32:
        for (int x = 0; x < n; x++)
            put_grey(rgb + x * 3, ((const uint32_t *)row)[x]);
        break;
    case KIND_F32:
        for (int x = 0; x < n; x++)
            put_grey(rgb + x * 3, (double)((const float *)row)[x]);
        break;
    case KIND_UNKNOWN: break; /* refused before */
    }
}

static enum err_code write_rows(struct decode_job *job, VipsImage *im, struct err *err)
{
    enum kind kind = kind_of(job, im);
    if (kind == KIND_UNKNOWN)
        return err_set(err, ERR_UNSUPPORTED, "%d samples of %s a pixel", im->Bands,
                       vips_enum_nick(VIPS_TYPE_BAND_FORMAT, im->BandFmt));
    VipsRegion *region = vips_region_new(im);
    uint8_t *rgb = malloc((size_t)im->Xsize * 3);
    enum err_code rc = rgb ? ERR_NONE : err_set(err, ERR_NOMEM, "a row of %d pixels", im->Xsize);
    for (int y = 0; rc == ERR_NONE && y < im->Ysize; y += STRIP_ROWS) {
        VipsRect r = { 0, y, im->Xsize, VIPS_MIN(STRIP_ROWS, im->Ysize - y) };
        if (vips_region_prepare(region, &r)) {
            rc = vips_failed(ERR_INVALID, err);
            break;
        }
        for (int i = 0; i < r.height; i++) {
            write_row(im, kind, VIPS_REGION_ADDR(region, 0, y + i), rgb);
            decode_put_row(job, (uint32_t)(y + i), rgb, 3);
        }
    }
    free(rgb);
    g_object_unref(region);
    return rc;
}

/* Their profile is applied to what is left after shrinking; others are made such by theirs. */
static bool is_rgb_u8(const VipsImage *im)
{
    return im->Type == VIPS_INTERPRETATION_sRGB && im->BandFmt == VIPS_FORMAT_UCHAR;
}

/* Upright is the engine's business or was the loader's; here: colours to sRGB, alpha over black. */
static int to_view(VipsImage *in, VipsImage **out)
{
    VipsImage **t = (VipsImage **)vips_object_local_array(VIPS_OBJECT(in), 3);
    VipsImage *im = in;
    if (!is_rgb_u8(im) && vips_image_get_typeof(im, VIPS_META_ICC_NAME)) {
        if (!vips_icc_transform(im, &t[0], "srgb", "embedded", TRUE, NULL))
            im = t[0];
        vips_error_clear(); /* a broken profile: the colours as they are */
    }
    if (vips_image_hasalpha(im)) {
        if (vips_flatten(im, &t[1], NULL))
            return -1;
        im = t[1];
    }
    if (vips_colourspace(im, &t[2], VIPS_INTERPRETATION_sRGB, NULL))
        return -1;
    return vips_cast(t[2], out, VIPS_FORMAT_UCHAR, NULL);
}

static bool names_srgb(const void *icc, size_t n)
{
    static const char utf16[] = { 's', 0, 'R', 0, 'G', 0, 'B' };
    return memmem(icc, n, "sRGB", 4) || memmem(icc, n, utf16, sizeof utf16);
}

/* In place: a transform of colours reads each strip before it is written. */
void decode_to_srgb(struct decode_job *job, const void *icc, size_t n)
{
    VipsImage *out = NULL, *in;
    if (names_srgb(icc, n))
        return;
    in = vips_image_new_from_memory(job->im.px, (size_t)job->im.width_px * job->im.height_px * 3,
                                    (int)job->im.width_px, (int)job->im.height_px, 3,
                                    VIPS_FORMAT_UCHAR);
    if (!in)
        return;
    in->Type = VIPS_INTERPRETATION_sRGB;
    vips_image_set_blob_copy(in, VIPS_META_ICC_NAME, icc, n);
    if (!vips_icc_transform(in, &out, "srgb", "embedded", TRUE, NULL) && out->Bands == 3)
        (void)write_rows(job, out, NULL);
    g_clear_object(&out);
    g_object_unref(in);
    vips_error_clear();
}

static void apply_profile(struct decode_job *job, VipsImage *loaded)
{
    const void *icc;
    size_t n;
    if (vips_image_get_typeof(loaded, VIPS_META_ICC_NAME) &&
        !vips_image_get_blob(loaded, VIPS_META_ICC_NAME, &icc, &n))
        decode_to_srgb(job, icc, n);
}

enum err_code decode_vips(struct decode_job *job, struct err *err)
{
    VipsImage *loaded = NULL, *view = NULL, *im;
    enum err_code rc;
    vips_error_clear();
    if (load(job, &loaded)) {
        rc = vips_failed(ERR_INVALID, err);
        goto out;
    }
    rc = decode_begin(job, (uint64_t)loaded->Xsize, (uint64_t)loaded->Ysize, err);
    if (rc == ERR_NONE && job->format == IMAGE_WEBP && job->shrink >= 4)
        rc = load_small_webp(job, &loaded, err);
    if (rc != ERR_NONE)
        goto out;
    im = loaded;
    if (job->contract == IMAGE_VIEW) {
        if (to_view(loaded, &view)) {
            rc = vips_failed(ERR_INVALID, err);
            goto out;
        }
        im = view;
    }
    rc = write_rows(job, im, err);
    if (rc == ERR_NONE && im == view && is_rgb_u8(loaded))
        apply_profile(job, loaded);
    /* Pillow turns TIFF, and no other format, as it loads. */
    if (rc == ERR_NONE && job->format == IMAGE_TIFF && job->contract == IMAGE_REFERENCE)
        rc = decode_turn(job, vips_image_get_orientation(loaded), err);
out:
    g_clear_object(&view);
    g_clear_object(&loaded);
    return rc;
}
