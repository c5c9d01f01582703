/* HEIC by libheif, upright as the file says in either contract: Pillow has no HEIC of its own, and
 * its plugin turns as well. libheif repeats chroma samples instead of interpolating them, and 1.15
 * shows no way to its planes; that is why AVIF is not read by it. */
#include "app/decode.h"

#include <libheif/heif.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static enum err_code failed(const struct heif_error *e, struct err *err)
{
    bool unknown =
        e->code == heif_error_Unsupported_filetype || e->code == heif_error_Unsupported_feature;
    enum err_code code = e->code == heif_error_Memory_allocation_error ? ERR_NOMEM
                         : unknown                                     ? ERR_UNSUPPORTED
                                                                       : ERR_INVALID;
    return err_set(err, code, "%s", e->message ? e->message : "broken HEIC");
}

static void apply_profile(const struct heif_image_handle *handle, struct decode_job *job)
{
    size_t n = heif_image_handle_get_raw_color_profile_size(handle);
    void *icc = n ? malloc(n) : NULL;
    if (icc && !heif_image_handle_get_raw_color_profile(handle, icc).code)
        decode_to_srgb(job, icc, n);
    free(icc);
}

/* n_bands bytes a pixel; the size must be the one that memory was taken for. */
static enum err_code write_image(struct decode_job *job, const struct heif_image *im, int n_bands,
                                 struct err *err)
{
    int stride, w = heif_image_get_primary_width(im), h = heif_image_get_primary_height(im);
    const uint8_t *p = heif_image_get_plane_readonly(im, heif_channel_interleaved, &stride);
    if (!p || w != (int)job->im.width_px || h != (int)job->im.height_px)
        return err_set(err, ERR_INVALID, "broken HEIC: %d x %d pixels instead of %u x %u", w, h,
                       job->im.width_px, job->im.height_px);
    for (int y = 0; y < h; y++)
        decode_put_row(job, (uint32_t)y, p + (size_t)y * stride, n_bands);
    return ERR_NONE;
}

static enum err_code decode_primary(struct decode_job *job, const struct heif_image_handle *handle,
                                    struct err *err)
{
    struct heif_image *im = NULL;
    bool has_alpha = heif_image_handle_has_alpha_channel(handle);
    int w = heif_image_handle_get_width(handle), h = heif_image_handle_get_height(handle);
    enum err_code rc = decode_begin(job, (uint64_t)(w > 0 ? w : 0), (uint64_t)(h > 0 ? h : 0), err);
    if (rc != ERR_NONE)
        return rc;
    struct heif_decoding_options *options = heif_decoding_options_alloc();
    if (!options)
        return err_set(err, ERR_NOMEM, "libheif's options");
    options->convert_hdr_to_8bit = 1;
    options->strict_decoding = 1;
    struct heif_error e = heif_decode_image(
        handle, &im, heif_colorspace_RGB,
        has_alpha ? heif_chroma_interleaved_RGBA : heif_chroma_interleaved_RGB, options);
    heif_decoding_options_free(options);
    rc = e.code ? failed(&e, err) : write_image(job, im, has_alpha ? 4 : 3, err);
    heif_image_release(im);
    if (rc == ERR_NONE && job->contract == IMAGE_VIEW)
        apply_profile(handle, job);
    return rc;
}

enum err_code decode_heif(struct decode_job *job, struct err *err)
{
    struct heif_context *context = heif_context_alloc();
    struct heif_image_handle *handle = NULL;
    if (!context)
        return err_set(err, ERR_NOMEM, "libheif's context");
    heif_context_set_max_decoding_threads(context, 0);
    struct heif_error e =
        heif_context_read_from_memory_without_copy(context, job->bytes, job->n, NULL);
    if (!e.code)
        e = heif_context_get_primary_image_handle(context, &handle);
    enum err_code rc = e.code ? failed(&e, err) : decode_primary(job, handle, err);
    heif_image_handle_release(handle);
    heif_context_free(context);
    return rc;
}
