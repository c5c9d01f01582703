/* face.h - the stages of finding and telling apart faces. Private to task/ (and to its tests).
 *
 *   pixels  letterbox ► [3, 640, 640] ► detector ► heads ► boxes ► faces
 *   pixels  + a face's points ► crop of 112 x 112 ► recogniser ► vector */
#ifndef FOVEA_TASK_FACE_H
#define FOVEA_TASK_FACE_H

#include "task/task.h"

enum {
    FACE_DETECT_PX = 640, /* side of what a detector sees */
    FACE_CROP_PX = 112,   /* side of what a recogniser sees */
    FACE_LEVELS = 3,      /* a detector answers for cells of 8, 16 and 32 pixels */
    FACE_HEADS_MAX = 4 * FACE_LEVELS,
};

/* What a network takes pixels as: x * (1 / std) - mean / std, rounded after each step as numpy
 * does, red or blue first. */
struct face_feed {
    double mean, std;
    bool bgr;
};

/* What the two families differ in. */
struct face_family {
    const char *detector, *recognizer; /* their names, for messages */
    struct face_feed detect, recognize;
    size_t anchors; /* boxes a cell */
    size_t kinds;   /* of heads; n_heads = kinds * FACE_LEVELS: those of a kind in order of level */
    size_t widths[FACE_HEADS_MAX / FACE_LEVELS]; /* floats a box, by kind */
    float max_overlap;                           /* of two faces, intersection over union */
};
/* By the model's name, as task.h says. */
const struct face_family *task_face_family(const char *model_name);

/* One level's heads: [cells * cells * anchors, width] f32 each. */
struct face_level {
    const float *score;      /* 1 */
    const float *objectness; /* 1; NULL where the score says all */
    const float *box;        /* 4 */
    const float *points;     /* 10 */
};
/* A detector's outputs as levels, which borrow them. ERR_CORRUPT when one has another shape. */
enum err_code task_face_levels(const struct face_family *fam, const struct infer_tensor *heads,
                               struct face_level levels[FACE_LEVELS], struct err *err);
/* Boxes of at least min_score whose numbers are all finite, in pixels of the picture that was
 * scaled by scale to be seen, into out, which has room for task_face_max_candidates(); returns how
 * many. */
size_t task_face_max_candidates(const struct face_family *fam);
size_t task_face_candidates(const struct face_family *fam,
                            const struct face_level levels[FACE_LEVELS], float scale,
                            float min_score, struct task_face *out);
/* Of those the ones that overlap no surer one: what task_face_detect() answers. ERR_NOMEM. */
enum err_code task_face_boxes(const struct face_family *fam,
                              const struct face_level levels[FACE_LEVELS], float scale,
                              float min_score, struct task_face **faces, size_t *n,
                              struct err *err);

/* im scaled to fit the top left of [3, FACE_DETECT_PX, FACE_DETECT_PX] f32, the rest black; *scale
 * gets pixels seen a pixel of im. ERR_INVALID (empty), ERR_NOMEM. */
enum err_code task_face_letterbox(const struct image *im, const struct face_feed *feed,
                                  float *tensor, float *scale, struct err *err);
/* The face by its points, turned, scaled and moved upright into [3, FACE_CROP_PX, FACE_CROP_PX]
 * f32; black where im does not reach. */
void task_face_crop(const struct image *im, const struct task_face *face,
                    const struct face_feed *feed, float *tensor);

#endif
