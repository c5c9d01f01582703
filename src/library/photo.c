#include "library/photo.h"

#include <math.h>
#include <stdlib.h>

#include "sys/file.h"

struct photo_limits photo_limits(uint64_t max_bytes, uint64_t max_pixels, uint32_t target_side_px)
{
    return (struct photo_limits){ .max_bytes = max_bytes ? max_bytes : IMAGE_MAX_BYTES,
                                  .max_pixels = max_pixels ? max_pixels : IMAGE_MAX_PIXELS,
                                  .target_side_px = target_side_px };
}

static void note_facts(struct photo_facts *f, const struct meta *m, enum image_format format,
                       size_t n, const struct image *img)
{
    /* A raw file's own size; what was decoded is its preview. */
    bool turned = m->orientation >= 5, is_raw = format == IMAGE_RAW && m->width_px && m->height_px;
    uint32_t w = turned ? m->height_px : m->width_px, h = turned ? m->width_px : m->height_px;
    snprintf(f->camera, sizeof f->camera, "%s%s%s", m->make, *m->make && *m->model ? " " : "",
             m->model);
    f->photo.size_bytes = (int64_t)n;
    f->photo.format = image_format_name(format);
    f->photo.width_px = is_raw ? w : img->full_width_px;
    f->photo.height_px = is_raw ? h : img->full_height_px;
    f->photo.has_taken = m->has_time;
    f->photo.taken_ns = m->taken_ns;
    f->photo.has_place = m->has_place;
    f->photo.latitude = m->lat_deg;
    f->photo.longitude = m->lon_deg;
    f->photo.camera = *f->camera ? f->camera : NULL;
}

enum err_code photo_decode(struct image_decoder *d, const uint8_t *bytes, size_t n,
                           const struct meta *m, const char *name,
                           const struct photo_limits *limits, struct photo_facts *facts,
                           struct image *out, struct err *err)
{
    struct image_decode_opts o = { .contract = IMAGE_VIEW,
                                   .orientation = m->orientation,
                                   .target_side_px = limits->target_side_px,
                                   .max_bytes = limits->max_bytes,
                                   .max_pixels = limits->max_pixels };
    enum err_code rc = image_decode(d, bytes, n, name, &o, out, err);
    if (rc == ERR_NONE && facts)
        note_facts(facts, m, image_sniff(bytes, n, name), n, out);
    return rc;
}

uint64_t photo_decode_bytes(const struct meta *m, size_t n)
{
    enum { BYTES_A_PIXEL = 3, BYTES_OF_ONE_STORED = 16 };
    uint64_t pixels = (uint64_t)m->width_px * m->height_px;
    return pixels ? pixels * BYTES_A_PIXEL : (uint64_t)n * BYTES_OF_ONE_STORED;
}

enum err_code library_embed_file(struct image_decoder *d, const struct task_clip_visual *v,
                                 const char *path, enum image_contract contract, float *out,
                                 struct err *err)
{
    struct photo_limits limits = photo_limits(0, 0, task_clip_visual_side_px(v));
    struct image img = { 0 };
    uint8_t *bytes = NULL;
    size_t n = 0;
    struct err why = { 0 };
    enum err_code rc = file_read(path, (size_t)limits.max_bytes, &bytes, &n, NULL, err);
    if (rc != ERR_NONE)
        return rc;
    if (contract == IMAGE_VIEW) {
        struct meta m;
        meta_read(bytes, n, &m);
        rc = photo_decode(d, bytes, n, &m, path, &limits, NULL, &img, &why);
    } else {
        rc = image_decode(d, bytes, n, path, &(struct image_decode_opts){ .contract = contract },
                          &img, &why);
    }
    if (rc != ERR_NONE)
        err_set(err, rc, "%s: %s", path, why.msg);
    else
        rc = task_clip_visual_embed_image(v, &img, contract, out, err);
    image_clear(&img);
    free(bytes);
    return rc;
}

static double length_of(const float *v, size_t dim)
{
    double sum = 0;
    for (size_t i = 0; i < dim; i++)
        sum += (double)v[i] * v[i];
    return sqrt(sum);
}

bool library_is_unit(const float *v, size_t dim)
{
    return fabs(length_of(v, dim) - 1) < 0.02; /* sqrt(dim) * 2^-11 is far below; not for a NaN */
}

float library_normalise(float *v, size_t dim)
{
    double length = length_of(v, dim);
    for (size_t i = 0; i < dim && length > 0; i++)
        v[i] = (float)(v[i] / length);
    return (float)length;
}
