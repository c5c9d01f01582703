/* Any numbers as a face detector's outputs, of any shape: boxes, suppression, and the crops of what
 * is found.
 *
 * Input: family, a head's number and its first dimension (to be refused where it is wrong), least
 * score and scale as floats, then boxes: level, place, and all of its floats. */
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "task/face.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    const uint8_t *at;
    size_t left;
};

static void take(struct input *in, void *out, size_t n)
{
    size_t some = n < in->left ? n : in->left;
    memset(out, 0, n);
    if (some)
        memcpy(out, in->at, some);
    in->at += some;
    in->left -= some;
}

/* The tensors' own memory is of the right size, whatever dims will say. */
static void make_heads(const struct face_family *fam, struct infer_tensor *heads)
{
    for (size_t i = 0; i < fam->kinds * FACE_LEVELS; i++) {
        const size_t cells = 80u >> (i % FACE_LEVELS);
        const size_t len = cells * cells * fam->anchors, width = fam->widths[i / FACE_LEVELS];
        heads[i] = (struct infer_tensor){ .type = INFER_F32,
                                          .n_dims = 2,
                                          .dims = { (int64_t)len, (int64_t)width },
                                          .data = calloc(len * width, sizeof(float)) };
        if (!heads[i].data)
            abort();
    }
}

static void put_boxes(const struct face_family *fam, const struct infer_tensor *heads,
                      struct input *in)
{
    while (in->left) {
        uint8_t level;
        uint16_t place;
        take(in, &level, 1);
        take(in, &place, 2);
        level %= FACE_LEVELS;
        for (size_t k = 0; k < fam->kinds; k++) {
            const struct infer_tensor *t = &heads[k * FACE_LEVELS + level];
            const size_t width = fam->widths[k], i = place % (size_t)t->dims[0];
            take(in, (float *)t->data + i * width, width * sizeof(float));
        }
    }
}

static void use(const struct face_family *fam, const struct task_face *faces, size_t n)
{
    static uint8_t px[3 * 40 * 30];
    static float tensor[3 * FACE_CROP_PX * FACE_CROP_PX];
    const struct image im = { .px = px, .width_px = 40, .height_px = 30 };
    if (n > TASK_FACES_MAX)
        __builtin_trap();
    for (size_t i = 0; i < n; i++)
        if (!isfinite(faces[i].x1) || (i && faces[i].score > faces[i - 1].score))
            __builtin_trap();
    for (size_t i = 0; i < n && i < 4; i++)
        task_face_crop(&im, &faces[i], &fam->recognize, tensor);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = { data, size };
    uint8_t family, which;
    int64_t dim;
    float least_scale[2];
    struct infer_tensor heads[FACE_HEADS_MAX];
    struct face_level levels[FACE_LEVELS];
    struct task_face *faces = NULL;
    size_t n = 0;
    take(&in, &family, 1);
    take(&in, &which, 1);
    take(&in, &dim, sizeof dim);
    take(&in, least_scale, sizeof least_scale);
    const struct face_family *fam = task_face_family(family & 1 ? "yunet" : "");
    make_heads(fam, heads);
    put_boxes(fam, heads, &in);
    if (which)
        heads[which % (fam->kinds * FACE_LEVELS)].dims[0] = dim;
    if (task_face_levels(fam, heads, levels, NULL) == ERR_NONE &&
        task_face_boxes(fam, levels, least_scale[1], least_scale[0], &faces, &n, NULL) == ERR_NONE)
        use(fam, faces, n);
    free(faces);
    for (size_t i = 0; i < fam->kinds * FACE_LEVELS; i++)
        free(heads[i].data);
    return 0;
}
