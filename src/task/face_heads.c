#include <math.h>
#include <string.h>

#include "task/face.h"

/* SCRFD: Guo et al. 2021, as InsightFace feeds and reads it. YuNet: Wu et al. 2023, as OpenCV's
 * FaceDetectorYN does. */
static const struct face_family insight = {
    .detector = "SCRFD with key points",
    .recognizer = "ArcFace",
    .detect = { 127.5, 128, false },
    .recognize = { 127.5, 127.5, false },
    .anchors = 2,
    .kinds = 3,
    .widths = { 1, 4, 10 },
    .max_overlap = 0.4f,
};
static const struct face_family zoo = {
    .detector = "YuNet",
    .recognizer = "SFace",
    .detect = { 0, 1, true },
    .recognize = { 0, 1, false },
    .anchors = 1,
    .kinds = 4,
    .widths = { 1, 1, 4, 10 },
    .max_overlap = 0.3f,
};

const struct face_family *task_face_family(const char *model_name)
{
    return strcasestr(model_name, "yunet") || strcasestr(model_name, "sface") ? &zoo : &insight;
}

static uint32_t stride_px(int level)
{
    return 8u << level;
}

static size_t level_len(const struct face_family *fam, int level)
{
    const size_t cells = FACE_DETECT_PX / stride_px(level);
    return cells * cells * fam->anchors;
}

size_t task_face_max_candidates(const struct face_family *fam)
{
    size_t n = 0;
    for (int l = 0; l < FACE_LEVELS; l++)
        n += level_len(fam, l);
    return n;
}

enum err_code task_face_levels(const struct face_family *fam, const struct infer_tensor *heads,
                               struct face_level levels[FACE_LEVELS], struct err *err)
{
    for (int l = 0; l < FACE_LEVELS; l++) {
        const float *kind[FACE_HEADS_MAX / FACE_LEVELS] = { 0 };
        for (size_t k = 0; k < fam->kinds; k++) {
            const struct infer_tensor *t = &heads[k * FACE_LEVELS + (size_t)l];
            const size_t width = fam->widths[k], len = level_len(fam, l);
            size_t n;
            enum err_code rc = infer_count(t, &n, err);
            if (rc != ERR_NONE)
                return rc;
            if (t->type != INFER_F32 || n != len * width || !t->n_dims ||
                t->dims[t->n_dims - 1] != (int64_t)width)
                return err_set(err, ERR_CORRUPT,
                               "output %zu of a %s network has %zu values, not f32 [%zu, %zu]",
                               k * FACE_LEVELS + (size_t)l, fam->detector, n, len, width);
            kind[k] = t->data;
        }
        levels[l] = (struct face_level){ kind[0], fam->kinds == 4 ? kind[1] : NULL,
                                         kind[fam->kinds - 2], kind[fam->kinds - 1] };
    }
    return ERR_NONE;
}

static float to_unit(float v)
{
    return v < 0 ? 0 : v > 1 ? 1 : v;
}

static float score_at(const struct face_level *l, size_t i)
{
    return l->objectness ? sqrtf(to_unit(l->score[i]) * to_unit(l->objectness[i])) : l->score[i];
}

/* SCRFD: distances from a cell's corner to the four sides, and offsets of the points, in strides.
 */
static void read_distances(const struct face_level *l, size_t i, const float at[2], float stride,
                           struct task_face *f)
{
    const float *box = l->box + i * 4, *p = l->points + i * 2 * TASK_FACE_POINTS;
    f->x1 = at[0] - box[0] * stride;
    f->y1 = at[1] - box[1] * stride;
    f->x2 = at[0] + box[2] * stride;
    f->y2 = at[1] + box[3] * stride;
    for (int k = 0; k < 2 * TASK_FACE_POINTS; k++)
        f->points[k / 2][k % 2] = at[k % 2] + p[k] * stride;
}

/* YuNet: the box's centre from the corner and the logarithm of its size, in strides. */
static void read_centre(const struct face_level *l, size_t i, const float at[2], float stride,
                        struct task_face *f)
{
    const float *box = l->box + i * 4, *p = l->points + i * 2 * TASK_FACE_POINTS;
    const float w = expf(box[2]) * stride, h = expf(box[3]) * stride;
    f->x1 = at[0] + box[0] * stride - w / 2;
    f->y1 = at[1] + box[1] * stride - h / 2;
    f->x2 = f->x1 + w;
    f->y2 = f->y1 + h;
    for (int k = 0; k < 2 * TASK_FACE_POINTS; k++)
        f->points[k / 2][k % 2] = at[k % 2] + p[k] * stride;
}

static void unscale(struct task_face *f, float scale)
{
    f->x1 /= scale;
    f->y1 /= scale;
    f->x2 /= scale;
    f->y2 /= scale;
    for (int k = 0; k < 2 * TASK_FACE_POINTS; k++)
        f->points[k / 2][k % 2] /= scale;
}

static bool is_finite(const struct task_face *f)
{
    bool ok = isfinite(f->score) && isfinite(f->x1) && isfinite(f->y1) && isfinite(f->x2) &&
              isfinite(f->y2);
    for (int k = 0; k < 2 * TASK_FACE_POINTS; k++)
        ok = ok && isfinite(f->points[k / 2][k % 2]);
    return ok;
}

/* A score of 0 is none, whatever is asked for (OpenCV's NMSBoxes drops it). */
static size_t read_level(const struct face_family *fam, const struct face_level *l, int level,
                         float scale, float min_score, struct task_face *out)
{
    const uint32_t stride = stride_px(level), cells = FACE_DETECT_PX / stride;
    const size_t len = level_len(fam, level);
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        struct task_face *f = &out[n];
        f->score = score_at(l, i);
        if (!(f->score >= min_score && f->score > 0))
            continue;
        const size_t cell = i / fam->anchors;
        const float at[2] = { (float)(cell % cells * stride), (float)(cell / cells * stride) };
        (l->objectness ? read_centre : read_distances)(l, i, at, (float)stride, f);
        unscale(f, scale);
        n += is_finite(f);
    }
    return n;
}

size_t task_face_candidates(const struct face_family *fam,
                            const struct face_level levels[FACE_LEVELS], float scale,
                            float min_score, struct task_face *out)
{
    size_t n = 0;
    for (int l = 0; l < FACE_LEVELS; l++)
        n += read_level(fam, &levels[l], l, scale, min_score, out + n);
    return n;
}
