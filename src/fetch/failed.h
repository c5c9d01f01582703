/* failed.h - private to fetch/: models that could not be fetched a moment ago.
 *
 * Where the network is down a try lasts until it has been repeated a few times. Requests come
 * faster than that, each would hold a thread as long, and the next would fail as the last did. */
#ifndef FOVEA_FETCH_FAILED_H
#define FOVEA_FETCH_FAILED_H

#include <pthread.h>

#include "fetch/fetch.h"

enum { FAILED_MAX = 16 }; /* of more the oldest are forgotten, and tried again sooner */

/* {0} with the lock initialized is a valid empty one. */
struct failed {
    pthread_mutex_t lock; /* over all below */
    struct {
        const struct model_row *row; /* NULL: none */
        int64_t at_ns;
        struct err why;
    } models[FAILED_MAX];
    size_t next; /* to be overwritten */
};

/* now_ns: clock_mono_ns(). */
void failed_note(struct failed *f, const struct model_row *row, int64_t now_ns,
                 const struct err *why);
/* The error of a try that failed within FETCH_PAUSE_MS; ERR_NONE: it may be tried. */
enum err_code failed_recall(struct failed *f, const struct model_row *row, int64_t now_ns,
                            struct err *err);

#endif
