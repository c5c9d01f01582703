/* task.h - loaded models and their work: pictures and words in; vectors, faces and lines of text
 * out.
 *
 * An opened model holds its session and what belongs before and after it, never changes, and may be
 * used by any number of threads at once. The engine must outlive it. Vectors are the network's
 * output as it is, not brought to length one: that is what Immich's service answers. Whoever
 * compares vectors normalises them.
 *
 * Every *_open() may give ERR_NOT_FOUND, ERR_CORRUPT, ERR_UNSUPPORTED (a network of other inputs or
 * outputs; the message says which are expected) and ERR_NOMEM. */
#ifndef FOVEA_TASK_TASK_H
#define FOVEA_TASK_TASK_H

#include <stdatomic.h>
#include <stddef.h>

#include "base/arena.h"
#include "image/image.h"
#include "infer/infer.h"
#include "model/model.h"

struct task_clip_visual;
struct task_clip_textual;
struct task_face_detector;
struct task_face_recognizer;
struct task_ocr_detector;
struct task_ocr_recognizer;

/* For work of several runs of a network: looked at between them. ERR_CANCELLED where *cancel is
 * true; cancel NULL: never. */
enum err_code task_check_cancel(const atomic_bool *cancel, struct err *err);

enum err_code task_clip_visual_open(struct task_clip_visual **out, struct infer *in,
                                    const struct model_folder *f, struct err *err);
void task_clip_visual_close(struct task_clip_visual *v);

size_t task_clip_visual_dim(const struct task_clip_visual *v); /* floats a vector */
/* Side of the square that a picture is scaled to, so that it need not be decoded larger than
 * useful. */
uint32_t task_clip_visual_side_px(const struct task_clip_visual *v);
size_t task_clip_visual_tensor_len(
    const struct task_clip_visual *v); /* floats a prepared picture */

/* Resize, crop and normalise one picture: tensor is [3, size, size] f32. For decode workers.
 * IMAGE_REFERENCE does it as Immich's service does for every model (bicubic, shorter side, centre
 * crop), IMAGE_VIEW as the model's preprocess_cfg.json says. */
enum err_code task_clip_visual_prepare(const struct task_clip_visual *v, const struct image *img,
                                       enum image_contract contract, float *tensor,
                                       struct err *err);
/* tensors [n, 3, size, size] -> out [n, dim] f32, in one run of the network where it takes a batch.
 */
enum err_code task_clip_visual_embed(const struct task_clip_visual *v, const float *tensors,
                                     size_t n, float *out, struct err *err);
/* Both of one picture: img -> out [dim] f32. */
enum err_code task_clip_visual_embed_image(const struct task_clip_visual *v,
                                           const struct image *img, enum image_contract contract,
                                           float *out, struct err *err);

enum err_code task_clip_textual_open(struct task_clip_textual **out, struct infer *in,
                                     const struct model_folder *f, struct err *err);
void task_clip_textual_close(struct task_clip_textual *t);

size_t task_clip_textual_dim(const struct task_clip_textual *t);
/* text: n bytes of UTF-8 (ill-formed parts read as U+FFFD), cut at the context's length in tokens
 * -> out [dim] f32. language: the text's, as Immich calls it ("de", "pt-BR"), or NULL: not said;
 * models named nllb... are told it, others do without. ERR_LIMIT for a text longer than text.h
 * takes. */
enum err_code task_clip_textual_embed(const struct task_clip_textual *t, const char *text, size_t n,
                                      const char *language, float *out, struct err *err);

/* Faces. Two families of networks are known, told apart by the model's name: one that has "yunet"
 * or "sface" in it, in any case, is OpenCV Zoo's pair (YuNet finds, SFace tells apart); every other
 * is InsightFace's (SCRFD with key points, ArcFace), which Immich names buffalo_s, ... All answers
 * are as those of Immich 3.1 (models/facial_recognition), given the same pixels. */
enum { TASK_FACE_POINTS = 5, TASK_FACES_MAX = 1000 };

/* In pixels of the image, from its left and top; parts may lie outside of it. */
struct task_face {
    float x1, y1, x2, y2; /* rounded to whole pixels */
    float score;          /* 0 to 1 */
    /* x, y of the eyes, the nose and the corners of the mouth, left first */
    float points[TASK_FACE_POINTS][2];
};

enum err_code task_face_detector_open(struct task_face_detector **out, struct infer *in,
                                      const struct model_folder *f, struct err *err);
void task_face_detector_close(struct task_face_detector *d);
/* The faces of img (IMAGE_REFERENCE) of at least min_score, the surest first, at most
 * TASK_FACES_MAX: *faces is the caller's to free(), NULL where there are none. ERR_INVALID (an
 * empty image), ERR_CORRUPT (the network's outputs have other shapes than they should), ERR_NOMEM.
 */
enum err_code task_face_detect(const struct task_face_detector *d, const struct image *img,
                               float min_score, struct task_face **faces, size_t *n,
                               struct err *err);

/* max_batch: faces in one run of the network, where it takes several; 0: as many as is fast. */
enum err_code task_face_recognizer_open(struct task_face_recognizer **out, struct infer *in,
                                        const struct model_folder *f, size_t max_batch,
                                        struct err *err);
void task_face_recognizer_close(struct task_face_recognizer *r);
size_t task_face_recognizer_dim(const struct task_face_recognizer *r); /* floats a vector */
/* faces [n] of img, by their points -> out [n, dim] f32. ERR_CANCELLED as task_check_cancel(). */
enum err_code task_face_embed(const struct task_face_recognizer *r, const struct image *img,
                              const struct task_face *faces, size_t n, float *out,
                              const atomic_bool *cancel, struct err *err);

/* Text in pictures: networks of the PP-OCR family. The detector (DB, Liao et al. 2020) gives each
 * place's probability of lying on a line of text, from which come boxes; the recogniser (CTC)
 * reads a box. Answers are as those of Immich 3.1 (models/ocr), given the same pixels.
 *
 * Memory is bounded whatever the picture and whatever the networks find. The detector sees at most
 * 8 Mi pixels (a larger picture is scaled to that; 4K fits), which take 20 bytes each here and
 * about 125 in PP-OCRv5's network: 1.2 GB in all, where the reference takes 1.35 GB in the network
 * alone. Its recogniser sees lines of 4800 x 48 pixels in all, which take about 200 MB. Both give
 * back what a large picture took (infer/ort_heap.c). An ordinary one, 0.8 Mi pixels seen, takes
 * 16 MB here and 100 MB in the network. */
enum { TASK_OCR_BOXES_MAX = 1000 };

/* A line of text: top left, top right, bottom right and bottom left, in whole pixels of the image.
 */
struct task_ocr_box {
    float points[4][2];
    /* Mean probability, 0 to 1; as in the reference not this box's but that of the box which was
     * the i-th to be found, before they were sorted. */
    float score;
};

enum err_code task_ocr_detector_open(struct task_ocr_detector **out, struct infer *in,
                                     const struct model_folder *f, struct err *err);
void task_ocr_detector_close(struct task_ocr_detector *d);
/* How a picture is searched. */
struct task_ocr_search {
    double max_side_px; /* more than 0: the shorter side is scaled to it, where it is longer */
    double min_score;
    bool by_outline; /* a line's score is the mean within its outline, else within a rectangle */
};
/* The lines of img (IMAGE_REFERENCE) of at least min_score, at most TASK_OCR_BOXES_MAX, in the
 * reference's order, which is from the bottom of most pages to the top: *boxes is the caller's to
 * free(), NULL where there are none, as in a picture with a side of less than 32 pixels.
 * ERR_CORRUPT (the network's output has another shape than it should), ERR_NOMEM. */
enum err_code task_ocr_detect(const struct task_ocr_detector *d, const struct image *img,
                              const struct task_ocr_search *how, struct task_ocr_box **boxes,
                              size_t *n, struct err *err);

/* What a box says, in UTF-8; score is the characters' mean probability, 0 where there are none. */
struct task_ocr_line {
    const char *text;
    double score;
};

/* max_batch: boxes that are scaled to one width, as the reference runs them; 0: its 6. The text
 * depends on it a little, since the network sees the empty part of a line too. */
enum err_code task_ocr_recognizer_open(struct task_ocr_recognizer **out, struct infer *in,
                                       const struct model_folder *f, size_t max_batch,
                                       struct err *err);
void task_ocr_recognizer_close(struct task_ocr_recognizer *r);
/* boxes [n] of img -> lines [n], in the same order; their texts live in arena. ERR_CANCELLED as
 * task_check_cancel(), ERR_CORRUPT, ERR_LIMIT (the arena's), ERR_NOMEM. */
enum err_code task_ocr_read(const struct task_ocr_recognizer *r, const struct image *img,
                            const struct task_ocr_box *boxes, size_t n, struct task_ocr_line *lines,
                            struct arena *arena, const atomic_bool *cancel, struct err *err);

#endif
