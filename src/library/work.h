/* work.h - turn jobs into stored photos and vectors, on every core. Internal to library/. */
#ifndef FOVEA_LIBRARY_WORK_H
#define FOVEA_LIBRARY_WORK_H

#include "library/plan.h"

/* Runs all jobs of the plan with n_threads workers. The store is used under a lock of its own and
 * committed every second or so; nothing is left uncommitted on return. A failure of one photo is
 * noted in the store; only what stops the run (disk full, no memory for a batch) is an error. */
enum err_code work_run(const struct library_index_options *o, struct store *s,
                       struct store_space *space, const struct plan *plan, unsigned n_threads,
                       struct library_report *report, struct err *err);

#endif
