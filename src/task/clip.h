/* clip.h - what both towers of a CLIP model share. Private to task/. */
#ifndef FOVEA_TASK_CLIP_H
#define FOVEA_TASK_CLIP_H

#include "task/task.h"

/* The network of one tower and the length of the vectors in its first output, which must be f32.
 * prefix as infer_network has it. */
enum err_code task_clip_open_network(struct infer_session **out, size_t *dim, struct infer *in,
                                     const struct model_folder *f, enum model_type type,
                                     const struct infer_prefix *prefix, struct err *err);

#endif
