/* plan.h - private to fetch/: which files a model needs, and where each comes from. */
#ifndef FOVEA_FETCH_PLAN_H
#define FOVEA_FETCH_PLAN_H

#include "fetch/job.h"

/* The job's files: of the hub's list, which must have what the type cannot do without, or of the
 * registry's pins. */
enum err_code plan_hub(struct job *j, enum model_type type, struct err *err);
enum err_code plan_pinned(struct job *j, enum model_type type, struct err *err);
/* One more of the job's files, for which there is room; name and url are of the arena, url NULL is
 * ERR_NOMEM. */
enum err_code plan_add(struct job *j, const char *folder, const char *name, const char *url,
                       struct fetch_file **out, struct err *err);
/* Mark those that are there and right, and add up what the others come to. */
void plan_keep_right(struct job *j);

/* <models>/<task>/<folder>[/<name>] */
enum err_code plan_path(const struct fetch *f, enum model_task task, const char *folder,
                        const char *name, char out[MODEL_PATH_MAX], struct err *err);
/* Where a file can be got by hand. */
void plan_url(const struct fetch *f, const struct model_row *row, const struct model_file *m,
              char *out, size_t n);

#endif
