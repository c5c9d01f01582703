/* task.h - loaded models and their work: pictures and words in, vectors out.
 *
 * An opened tower holds its session and what belongs before and after it, never changes, and may be
 * used by any number of threads at once. Vectors are the network's output as it is, not brought to
 * length one: that is what Immich's service answers. Whoever compares vectors normalises them. */
#ifndef FOVEA_TASK_TASK_H
#define FOVEA_TASK_TASK_H

#include <stddef.h>

#include "image/image.h"
#include "infer/infer.h"
#include "model/model.h"

struct task_clip_visual;
struct task_clip_textual;

/* ERR_NOT_FOUND, ERR_CORRUPT, ERR_UNSUPPORTED (a network of other inputs or outputs), ERR_NOMEM.
 * The engine must outlive the tower. */
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
 * -> out [dim] f32. ERR_LIMIT for a text longer than text.h takes. */
enum err_code task_clip_textual_embed(const struct task_clip_textual *t, const char *text, size_t n,
                                      float *out, struct err *err);

#endif
