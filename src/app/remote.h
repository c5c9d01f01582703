/* remote.h - another service of this API, asked over HTTP. Any thread. */
#ifndef FOVEA_APP_REMOTE_H
#define FOVEA_APP_REMOTE_H

#include "base/err.h"
#include "net/net.h"
#include "predict/predict.h"

/* Of an answer; the largest that Immich's services give have less than a hundredth of it. */
enum { REMOTE_ANSWER_MAX_BYTES = 16 << 20 };

/* url: "http://immich-ml:3003", with or without a slash at its end. ERR_IO where it answers other
 * than such a service does, and what net_send() says. any_certificate: as struct net_request. */
enum err_code remote_ping(struct net *net, const char *url, bool any_certificate,
                          unsigned timeout_ms, struct err *err);

/* POST /predict as Immich's server sends it. entries: JSON. *answer is an empty one, its limit is
 * set here; any status is a success. ERR_NOMEM, and what net_send() says. */
enum err_code remote_predict(struct net *net, const char *url, const char *entries,
                             const struct predict_input *in, unsigned timeout_ms,
                             struct net_response *answer, struct err *err);

#endif
