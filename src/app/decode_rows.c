/* From a decoder to the engine's memory file: row by row, so that a picture of which a small copy
 * is wanted is nowhere whole. Shrinking is by whole numbers, each pixel the mean of n x n; the
 * engine's resize does the rest. 20 MP take 17 ms, less than it takes to hand them over. */
#include "app/decode.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define MAX_SHRINK 256 /* so many rows of bytes can be summed in 16 bits */

static uint32_t shrink_of(const struct decode_job *job, uint64_t width_px, uint64_t height_px)
{
    uint64_t least = (uint64_t)job->target_side_px * IMAGE_OVERSAMPLE;
    uint64_t n = least ? (width_px < height_px ? width_px : height_px) / least : 1;
    return n < 1 || job->contract != IMAGE_VIEW ? 1 : n > MAX_SHRINK ? MAX_SHRINK : (uint32_t)n;
}

enum err_code decode_begin(struct decode_job *job, uint64_t width_px, uint64_t height_px,
                           struct err *err)
{
    unsigned long long w = width_px, h = height_px;
    uint64_t n_pixels;
    if (!width_px || !height_px)
        return err_set(err, ERR_INVALID, "no pixels (%llu x %llu)", w, h);
    if (__builtin_mul_overflow(width_px, height_px, &n_pixels) || n_pixels > job->max_pixels ||
        width_px > UINT32_MAX || height_px > UINT32_MAX)
        return err_set(err, ERR_LIMIT, "%llu x %llu pixels, the limit is %llu", w, h,
                       (unsigned long long)job->max_pixels);
    void *p = mmap(NULL, n_pixels * 3, PROT_READ | PROT_WRITE, MAP_SHARED, job->out_fd, 0);
    if (p == MAP_FAILED)
        return err_set(err, ERR_NOMEM, "%llu x %llu pixels", w, h);
    job->im = (struct image){ .px = p,
                              .width_px = (uint32_t)width_px,
                              .height_px = (uint32_t)height_px,
                              .full_width_px = (uint32_t)width_px,
                              .full_height_px = (uint32_t)height_px };
    job->shrink = shrink_of(job, width_px, height_px);
    if (job->shrink == 1)
        return ERR_NONE;
    job->row = malloc(width_px * 3);
    job->sums = calloc(width_px * 3, sizeof *job->sums);
    return job->row && job->sums ? ERR_NONE : err_set(err, ERR_NOMEM, "rows of %llu pixels", w);
}

void decode_end(struct decode_job *job)
{
    if (job->im.px)
        munmap(job->im.px, (size_t)job->im.full_width_px * job->im.full_height_px * 3);
    free(job->row);
    free(job->sums);
    job->im.px = job->row = NULL;
    job->sums = NULL;
}

static void drop_alpha(const struct decode_job *job, const uint8_t *from, uint8_t *rgb)
{
    bool over_black = job->contract == IMAGE_VIEW;
    for (uint32_t x = 0; x < job->im.width_px; x++, from += 4, rgb += 3)
        for (int c = 0; c < 3; c++)
            rgb[c] = over_black ? (uint8_t)((from[c] * from[3] + 127) / 255) : from[c];
}

/* Of n_rows rows, added up in job->sums. */
static void write_means(struct decode_job *job, uint32_t n_rows, uint8_t *out)
{
    uint32_t n = job->shrink, width = job->im.width_px;
    const uint16_t *sums = job->sums;
    for (uint32_t x = 0; x < width; x += n) {
        uint32_t n_columns = width - x < n ? width - x : n, rgb[3] = { 0 };
        for (uint32_t i = 0; i < n_columns; i++, sums += 3)
            for (int c = 0; c < 3; c++)
                rgb[c] += sums[c];
        float share = 1 / (float)(n_rows * n_columns);
        for (int c = 0; c < 3; c++)
            *out++ = (uint8_t)((float)rgb[c] * share + 0.5f);
    }
    memset(job->sums, 0, (size_t)width * 3 * sizeof *job->sums);
}

/* The means of the last column and row are of what was left for them. */
static void become_small(struct decode_job *job)
{
    struct image *im = &job->im;
    uint32_t n = job->shrink, w = im->width_px, h = im->height_px;
    im->width_px = (w + n - 1) / n;
    im->height_px = (h + n - 1) / n;
    im->margin.right = (float)(im->width_px * n - w) / (float)n;
    im->margin.bottom = (float)(im->height_px * n - h) / (float)n;
    job->shrink = 1;
}

static void add_row(struct decode_job *job, uint32_t y, const uint8_t *rgb)
{
    uint32_t n = job->shrink;
    size_t n_bytes = (size_t)job->im.width_px * 3;
    bool is_last = y + 1 == job->im.height_px;
    for (size_t i = 0; i < n_bytes; i++)
        job->sums[i] = (uint16_t)(job->sums[i] + rgb[i]);
    if (is_last || y % n == n - 1)
        write_means(job, y % n + 1,
                    job->im.px + (size_t)(y / n) * ((job->im.width_px + n - 1) / n) * 3);
    if (is_last)
        become_small(job);
}

void decode_put_row(struct decode_job *job, uint32_t y, const uint8_t *from, int n_bands)
{
    size_t n_bytes = (size_t)job->im.width_px * 3;
    bool is_whole = job->shrink == 1;
    uint8_t *rgb = is_whole ? job->im.px + y * n_bytes : job->row;
    if (n_bands == 4)
        drop_alpha(job, from, rgb);
    else if (is_whole)
        memcpy(rgb, from, n_bytes);
    if (!is_whole)
        add_row(job, y, n_bands == 4 ? rgb : from);
}

void decode_is_smaller(struct decode_job *job, uint32_t width_px, uint32_t height_px,
                       uint32_t shrink)
{
    job->im.width_px = width_px;
    job->im.height_px = height_px;
    job->shrink = shrink;
}

void decode_put_image(struct decode_job *job, const struct image *im)
{
    uint8_t *px = job->im.px;
    memcpy(px, im->px, (size_t)im->width_px * im->height_px * 3);
    job->im = *im;
    job->im.px = px;
    job->shrink = 1;
}

/* In place: no row of the small picture reaches beyond those of the large one that it is made of.
 */
void decode_shrink(struct decode_job *job)
{
    size_t stride = (size_t)job->im.width_px * 3;
    for (uint32_t y = 0; job->shrink > 1; y++)
        decode_put_row(job, y, job->im.px + y * stride, 3);
}

enum err_code decode_turn(struct decode_job *job, int orientation, struct err *err)
{
    struct image im = job->im;
    size_t n = (size_t)im.width_px * im.height_px * 3;
    if (orientation < 2 || orientation > 8)
        return ERR_NONE;
    im.px = malloc(n);
    if (!im.px)
        return err_set(err, ERR_NOMEM, "%u x %u pixels", im.width_px, im.height_px);
    memcpy(im.px, job->im.px, n);
    enum err_code rc = image_orient(&im, orientation, err);
    if (rc == ERR_NONE)
        decode_put_image(job, &im);
    image_clear(&im);
    return rc;
}
