/* plan.h - what a run has to do: the folders as they are against the store as it is. Internal. */
#ifndef FOVEA_LIBRARY_PLAN_H
#define FOVEA_LIBRARY_PLAN_H

#include "base/arena.h"
#include "library/library.h"

struct job {
    int64_t root_id;
    const char *root, *path; /* absolute, and below it */
    size_t path_len;
    int64_t size_bytes, mtime_ns;
    bool known; /* the store has this path, with other content or none */
};

struct plan {
    struct arena mem; /* the strings */
    struct job *jobs;
    size_t n_jobs, cap_jobs;
    int64_t *gone; /* file ids */
    size_t n_gone, cap_gone;
};

/* Walks every part, adds the roots to the store and marks them. Fills the counts of *report that
 * are known without reading a file (unchanged, removed, roots, offline, old failures). In a
 * transaction. */
enum err_code plan_make(struct plan *p, const struct library_index_options *o, struct store *s,
                        const struct store_space *space, const char *const *paths, size_t n_paths,
                        struct library_report *report, struct err *err);
void plan_clear(struct plan *p);

#endif
