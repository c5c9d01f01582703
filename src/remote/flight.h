/* flight.h - a request under way to another service, in a thread of its own. Internal to remote/.
 *
 * It is held by that thread and by whoever waits for it, and goes with the later: who has the
 * answer from elsewhere does not wait until the network has noticed. */
#ifndef FOVEA_REMOTE_FLIGHT_H
#define FOVEA_REMOTE_FLIGHT_H

#include "base/err.h"
#include "remote/ask.h"

struct flight;

/* All are borrowed until on_end, which is the last that is heard of it. */
struct flight_plan {
    struct net *net;
    const char *url, *token;
    const char *task;          /* what was asked for, which its answer has to have */
    void (*on_end)(void *ctx); /* in its thread */
    void *ctx;
};

/* entries, in and request_id are copied. ERR_NOMEM, ERR_LIMIT, ERR_INTERNAL (no thread): on_end is
 * not called then. */
enum err_code flight_create(struct flight **out, const struct flight_plan *plan,
                            const char *entries, const struct predict_input *in,
                            const char *request_id, struct err *err);
/* Whoever waits leaves; the request is given up if it is still under way. */
void flight_release(struct flight *f);

/* Until it has landed, for ms (0: as long as it takes) and as long as cancel (may be NULL) is not
 * set. False: it is still under way. */
bool flight_wait(struct flight *f, unsigned ms, const atomic_bool *cancel);
/* Becomes true when it lands with an answer. */
const atomic_bool *flight_has_answer(const struct flight *f);

/* After it has landed: how it went, and its answer, which stays f's. ERR_INVALID: there was one, of
 * another status than 200, no JSON object, or without what was asked for. */
enum err_code flight_result(const struct flight *f, const struct buf **answer, struct err *err);

#endif
