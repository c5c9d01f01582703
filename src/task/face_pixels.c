#include <math.h>

#include "task/face.h"

/* A byte has 256 values, so the arithmetic is done once for each. */
static void fed_values(float out[256], const struct face_feed *feed)
{
    const float gain = (float)(1.0 / feed->std), offset = (float)(feed->mean / feed->std);
    for (int v = 0; v < 256; v++) {
        float x = (float)v * gain;
        out[v] = x - offset;
    }
}

/* im into the top left of [3, side, side], which it fits; the rest is black. */
static void write_planes(const struct image *im, uint32_t side, const struct face_feed *feed,
                         float *out)
{
    const size_t plane = (size_t)side * side, first = feed->bgr ? 2 * plane : 0;
    const uint8_t *px = im->px;
    float value[256];
    fed_values(value, feed);
    for (uint32_t y = 0; y < side; y++, out += side) {
        float *r = out + first, *g = out + plane, *b = out + (2 * plane - first);
        const uint32_t n = y < im->height_px ? im->width_px : 0;
        for (uint32_t x = 0; x < n; x++, px += 3) {
            r[x] = value[px[0]];
            g[x] = value[px[1]];
            b[x] = value[px[2]];
        }
        for (uint32_t x = n; x < side; x++)
            r[x] = g[x] = b[x] = value[0];
    }
}

/* letterbox() of Immich's transforms.py: the longer side to the size, the shorter truncated. A
 * sliver that truncates to nothing, which the reference fails on, keeps one pixel. */
enum err_code task_face_letterbox(const struct image *im, const struct face_feed *feed,
                                  float *tensor, float *scale, struct err *err)
{
    const double side = FACE_DETECT_PX;
    uint32_t w = FACE_DETECT_PX, h = FACE_DETECT_PX;
    if (!im->width_px || !im->height_px)
        return err_set(err, ERR_INVALID, "image of %u x %u pixels", im->width_px, im->height_px);
    if (im->height_px > im->width_px)
        w = (uint32_t)(side * im->width_px / im->height_px);
    else
        h = (uint32_t)(side * im->height_px / im->width_px);
    struct image seen;
    enum err_code rc = image_resize_linear(im, w ? w : 1, h ? h : 1, &seen, err);
    if (rc != ERR_NONE)
        return rc;
    write_planes(&seen, FACE_DETECT_PX, feed, tensor);
    *scale = (float)((double)seen.height_px / im->height_px);
    image_clear(&seen);
    return ERR_NONE;
}

/* Where the points of an upright face are in a crop (InsightFace's arcface_dst). */
static const double upright[TASK_FACE_POINTS][2] = {
    { 38.2946f, 51.6963f }, { 73.5318f, 51.5014f }, { 56.0252f, 71.7366f },
    { 41.5493f, 92.3655f }, { 70.7299f, 92.2041f },
};

/* The turn, scale and shift that bring the points nearest to where they should be, by least
 * squares: Umeyama (1991), which has this closed form in the plane. Rounded to float as the
 * reference's. Points that are all in one place give NaN, and so a black crop. */
static void align(const struct task_face *face, double m[6])
{
    double from[2] = { 0 }, to[2] = { 0 }, along = 0, across = 0, spread = 0;
    for (int i = 0; i < TASK_FACE_POINTS; i++)
        for (int k = 0; k < 2; k++) {
            from[k] += face->points[i][k] / TASK_FACE_POINTS;
            to[k] += upright[i][k] / TASK_FACE_POINTS;
        }
    for (int i = 0; i < TASK_FACE_POINTS; i++) {
        double x = face->points[i][0] - from[0], y = face->points[i][1] - from[1];
        double u = upright[i][0] - to[0], v = upright[i][1] - to[1];
        along += x * u + y * v;
        across += x * v - y * u;
        spread += x * x + y * y;
    }
    const double c = along / spread, s = across / spread;
    m[0] = (float)c;
    m[1] = (float)-s;
    m[2] = (float)(to[0] - c * from[0] + s * from[1]);
    m[3] = (float)s;
    m[4] = (float)c;
    m[5] = (float)(to[1] - s * from[0] - c * from[1]);
}

void task_face_crop(const struct image *im, const struct task_face *face,
                    const struct face_feed *feed, float *tensor)
{
    uint8_t px[FACE_CROP_PX * FACE_CROP_PX * 3];
    const struct image crop = { .px = px, .width_px = FACE_CROP_PX, .height_px = FACE_CROP_PX };
    double m[6];
    align(face, m);
    image_warp_affine(im, m, FACE_CROP_PX, FACE_CROP_PX, px);
    write_planes(&crop, FACE_CROP_PX, feed, tensor);
}
