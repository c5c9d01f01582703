#include <math.h>
#include <stdlib.h>

#include "image/resize.h"

/* What is computed of the scaled image, and where it lies in the tensor. */
struct placement {
    struct image_part part;
    uint32_t left, top;
};

struct size {
    uint32_t w, h;
};

static struct size full_size(const struct image *im)
{
    return im->full_width_px ? (struct size){ im->full_width_px, im->full_height_px }
                             : (struct size){ im->width_px, im->height_px };
}

static uint32_t to_side(double v)
{
    return v < 1 ? 1 : v > INT32_MAX ? INT32_MAX : (uint32_t)v;
}

/* resize_pil and crop_pil of Immich's transforms.py, in their order of operations. */
static struct placement shortest(struct size im, uint32_t w, uint32_t h)
{
    struct image_part p = { .width_px = w, .height_px = h, .w = w, .h = h };
    if ((uint64_t)im.w * h < (uint64_t)im.h * w)
        p.height_px = to_side((double)im.h / im.w * w);
    else
        p.width_px = to_side((double)im.w / im.h * h);
    p.x = (p.width_px - w) / 2;
    p.y = (p.height_px - h) / 2;
    return (struct placement){ .part = p };
}

/* ResizeKeepRatio(longest=1) and CenterCropOrPad of open_clip's transform.py. */
static struct placement longest(struct size im, uint32_t w, uint32_t h)
{
    double ratio_w = (double)im.w / w, ratio_h = (double)im.h / h;
    double ratio = ratio_w > ratio_h ? ratio_w : ratio_h;
    uint32_t pw = to_side(nearbyint(im.w / ratio)), ph = to_side(nearbyint(im.h / ratio));
    return (struct placement){ { pw, ph, 0, 0, pw, ph }, (w - pw) / 2, (h - ph) / 2 };
}

static struct placement place(struct size im, const struct image_preprocess *pre)
{
    uint32_t w = pre->width_px, h = pre->height_px;
    switch (pre->fit) {
    case IMAGE_SHORTEST: return shortest(im, w, h);
    case IMAGE_LONGEST: return longest(im, w, h);
    case IMAGE_SQUASH: break;
    }
    return (struct placement){ .part = { w, h, 0, 0, w, h } };
}

/* A byte has 256 values, so the arithmetic is done once for each. */
static void normalised(float out[256], float mean, float std)
{
    float gain = 1.0f / std, offset = mean / std;
    for (int v = 0; v < 256; v++) {
        float x = (float)v / 255.0f;
        x *= gain;
        out[v] = x - offset;
    }
}

static void write_plane(const struct image *part, const struct placement *at, int colour,
                        const struct image_preprocess *pre, float *plane)
{
    float value[256];
    normalised(value, pre->mean[colour], pre->std[colour]);
    size_t w = pre->width_px, n = w * pre->height_px;
    if (part->width_px < w || part->height_px < pre->height_px)
        for (size_t i = 0; i < n; i++)
            plane[i] = value[pre->fill[colour]];
    const uint8_t *px = part->px + colour;
    for (uint32_t y = 0; y < part->height_px; y++) {
        float *row = plane + (at->top + y) * w + at->left;
        for (uint32_t x = 0; x < part->width_px; x++, px += 3)
            row[x] = value[*px];
    }
}

enum err_code image_to_tensor(const struct image *im, const struct image_preprocess *pre,
                              float *out, struct err *err)
{
    if (!im->width_px || !im->height_px || !pre->width_px || !pre->height_px || pre->std[0] == 0 ||
        pre->std[1] == 0 || pre->std[2] == 0)
        return err_set(err, ERR_INVALID, "tensor of %u x %u from an image of %u x %u pixels",
                       pre->width_px, pre->height_px, im->width_px, im->height_px);
    const struct placement at = place(full_size(im), pre);
    struct image part = { 0 };
    enum err_code rc = image_resize_part(im, &at.part, pre->filter, &part, err);
    if (rc != ERR_NONE)
        return rc;
    for (int c = 0; c < 3; c++)
        write_plane(&part, &at, c, pre, out + (size_t)c * pre->width_px * pre->height_px);
    image_clear(&part);
    return ERR_NONE;
}
