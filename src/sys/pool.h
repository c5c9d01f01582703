/* pool.h - a fixed set of threads and a bounded queue of work.
 *
 * Work is run in the order it was given. A full queue makes pool_submit() wait, which is how a fast
 * producer is held back; pool_try_submit() says no instead, which is how a server sheds load. */
#ifndef FOVEA_SYS_POOL_H
#define FOVEA_SYS_POOL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct pool;
/* worker: 0 .. n_threads-1, for per-thread scratch. */
typedef void (*pool_work_fn)(void *arg, unsigned worker);

/* n_threads >= 1; queue_max >= 1 waiting items. ERR_NOMEM, ERR_IO (no thread to be had). */
enum err_code pool_create(struct pool **out, unsigned n_threads, size_t queue_max, struct err *err);
/* Runs what is queued, then joins. NULL is fine. Not from a worker. */
void pool_destroy(struct pool *p);

void pool_submit(struct pool *p, pool_work_fn fn, void *arg);
bool pool_try_submit(struct pool *p, pool_work_fn fn, void *arg); /* false: full */
/* Take back the first waiting item with this arg; false where there is none, as it runs or has run.
 */
bool pool_withdraw(struct pool *p, const void *arg);
void pool_wait_idle(struct pool *p); /* until nothing is queued or running */
unsigned pool_n_threads(const struct pool *p);

#endif
