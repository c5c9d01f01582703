/* remote.h - other services of Immich's API: asked, and given work of this one.
 *
 * The router hands a request over by what it is about: vectors of pictures, of texts, faces, text
 * in pictures. Its rule is that the answer comes whatever becomes of the other service: what is
 * down is not asked, what fails is done here, and what is slow is done here as well, until either
 * has answered. A request that was handed over is never handed on (its form says so, in a field
 * that Immich's service passes over), so routers may name each other, or themselves.
 *
 * A watcher asks each for its ping. Any thread. */
#ifndef FOVEA_REMOTE_REMOTE_H
#define FOVEA_REMOTE_REMOTE_H

#include <stdbool.h>

#include "base/err.h"
#include "net/net.h"
#include "predict/predict.h"
#include "sys/count.h"

enum {
    REMOTE_ANSWER_MAX_BYTES = 16 << 20, /* Immich's largest are below a hundredth of it */
    REMOTE_CONNECT_MS = 2000,
    REMOTE_ANSWER_MS = 120000, /* a handed-over request without an answer has failed */
    REMOTE_PING_MS = 2000,     /* a ping without one, too */
    REMOTE_PING_EVERY_MS = 5000,
};

/* url: "http://immich-ml:3003", with or without a slash at its end. ERR_IO where it answers other
 * than such a service does, and what net_send() says. is_own, cancel (may be NULL): as
 * struct net_request. */
enum err_code remote_ping(struct net *net, const char *url, bool is_own, unsigned timeout_ms,
                          const atomic_bool *cancel, struct err *err);

/* POST /predict as Immich's server sends it. token: NULL for none; entries: JSON. *answer is an
 * empty one, its limit is set here; any status is a success. ERR_NOMEM, and what net_send() says.
 */
enum err_code remote_predict(struct net *net, const char *url, const char *token,
                             const char *entries, const struct predict_input *in,
                             unsigned timeout_ms, struct net_response *answer, struct err *err);

/* ---- the router ---- */

enum remote_kind { REMOTE_VISUAL, REMOTE_TEXTUAL, REMOTE_FACES, REMOTE_OCR, REMOTE_N_KINDS };
const char *remote_kind_name(enum remote_kind kind); /* "clip.visual", ... */

struct remote_options {
    const char *urls[REMOTE_N_KINDS]; /* who does it; NULL: this service */
    unsigned hedge_ms;                /* slow is who has not answered by then; 0: nobody is */
    const char *token;                /* brought to all of them; NULL: none */
    const char *ca_file;              /* as net_create() */
};

struct remote_router;

/* Asks nobody yet but in the watcher's thread; strings are copied. A token that others on the way
 * could read is warned of. ERR_INVALID (net_url_check()), ERR_NOMEM, ERR_INTERNAL. */
enum err_code remote_router_create(struct remote_router **out, const struct remote_options *o,
                                   struct err *err);
/* Nothing may run; NULL is fine. */
void remote_router_destroy(struct remote_router *r);

/* predict_run(), here or there. entries_json is what entries was parsed from; request_id goes with
 * it. Entries of several kinds are for this service. While it is done here for slowness, in->cancel
 * is not looked at, and an answer from there waits for the network that runs here. What it returns
 * is what predict_run() says here. */
enum err_code remote_router_run(struct remote_router *r, struct predict *p,
                                const struct predict_entries *entries, const char *entries_json,
                                const struct predict_input *in, const char *request_id,
                                struct buf *json, struct err *err);
/* The form's field that says that a request was handed over. */
#define REMOTE_FIELD "fovea_handed_over"

/* What became of the requests of a kind that were handed over. */
struct remote_stats {
    struct count n_answered;  /* there */
    struct count n_failed;    /* there, and done here */
    struct count n_overtaken; /* was done here before */
};
/* NULL: the kind is this service's own. *is_up: was its last ping answered, and has nothing broken
 * since. */
const struct remote_stats *remote_router_stats(const struct remote_router *r, enum remote_kind kind,
                                               bool *is_up);

#endif
