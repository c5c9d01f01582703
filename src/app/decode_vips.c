/* The formats that libvips reads. The loader is named by the format: libvips' own search would try
 * ImageMagick and a dozen others. Rows are pulled in strips, so a file that can be read from top to
 * bottom is never whole in memory. */
#include "app/decode.h"

#include <vips/vips.h>

#define STRIP_ROWS 64

static enum err_code vips_failed(enum err_code code, struct err *err)
{
    char *text = vips_error_buffer_copy();
    size_t n = strcspn(text, "\n");
    err_set(err, code, "%.*s", (int)n, text);
    g_free(text);
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
    vips_leak_set(FALSE);
    g_log_set_default_handler(g_log_default_handler, NULL);
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
    case IMAGE_JPEG: return LOADER(vips_jpegload_buffer);
    default: return LOADER(vips_tiffload_buffer);
    }
#undef LOADER
}

/* Pillow's Convert.c, cmyk2rgb. */
static uint8_t cmyk_to_rgb(unsigned ink, unsigned black)
{
    unsigned t = ink * (255 - black) + 128;
    unsigned v = (t + (t >> 8)) >> 8;
    return (uint8_t)(255 - black - v);
}

/* One row of 8-bit samples as Pillow's convert("RGB"). */
static void row_u8(const uint8_t *p, uint8_t *rgb, int n, int bands, bool cmyk)
{
    for (int i = 0; i < n; i++, p += bands, rgb += 3) {
        if (cmyk)
            for (int c = 0; c < 3; c++)
                rgb[c] = cmyk_to_rgb(p[c], p[3]);
        else
            for (int c = 0; c < 3; c++)
                rgb[c] = p[bands >= 3 ? c : 0];
    }
}

/* 16-bit samples: colours lose their low byte, but a lone grey is Pillow's mode I;16, which is
 * clipped. */
static void row_u16(const uint16_t *p, uint8_t *rgb, int n, int bands)
{
    for (int i = 0; i < n; i++, p += bands, rgb += 3)
        for (int c = 0; c < 3; c++)
            rgb[c] = bands == 1 ? (uint8_t)(p[0] < 255 ? p[0] : 255)
                                : (uint8_t)(p[bands >= 3 ? c : 0] >> 8);
}

static void write_row(const VipsImage *im, const VipsPel *p, uint8_t *rgb)
{
    if (im->BandFmt == VIPS_FORMAT_USHORT)
        row_u16((const uint16_t *)(const void *)p, rgb, im->Xsize, im->Bands);
    else
        row_u8(p, rgb, im->Xsize, im->Bands, im->Type == VIPS_INTERPRETATION_CMYK);
}

static enum err_code write_rows(struct decode_job *job, VipsImage *im, struct err *err)
{
    VipsRegion *region = vips_region_new(im);
    enum err_code rc = ERR_NONE;
    for (int y = 0; y < im->Ysize; y += STRIP_ROWS) {
        VipsRect r = { 0, y, im->Xsize, VIPS_MIN(STRIP_ROWS, im->Ysize - y) };
        if (vips_region_prepare(region, &r)) {
            rc = vips_failed(ERR_INVALID, err);
            break;
        }
        for (int i = 0; i < r.height; i++)
            write_row(im, VIPS_REGION_ADDR(region, 0, y + i),
                      job->rgb + (size_t)(y + i) * job->width_px * 3);
    }
    g_object_unref(region);
    return rc;
}

/* Upright is the engine's business or was the loader's; here: colours to sRGB, alpha over black. */
static int to_view(VipsImage *in, VipsImage **out)
{
    VipsImage **t = (VipsImage **)vips_object_local_array(VIPS_OBJECT(in), 2);
    VipsImage *im = in;
    if (vips_image_get_typeof(im, VIPS_META_ICC_NAME)) {
        if (!vips_icc_transform(im, &t[0], "srgb", "embedded", TRUE, NULL))
            im = t[0];
        vips_error_clear(); /* a broken profile: the colours as they are */
    }
    if (vips_image_hasalpha(im)) {
        if (vips_flatten(im, &t[1], NULL))
            return -1;
        im = t[1];
    }
    return vips_colourspace(im, out, VIPS_INTERPRETATION_sRGB, NULL);
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
    in = vips_image_new_from_memory(job->rgb, (size_t)job->width_px * job->height_px * 3,
                                    (int)job->width_px, (int)job->height_px, 3, VIPS_FORMAT_UCHAR);
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
out:
    g_clear_object(&view);
    g_clear_object(&loaded);
    return rc;
}
