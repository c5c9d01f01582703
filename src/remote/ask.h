/* ask.h - one POST /predict: its form, and the sending. Internal to remote/. */
#ifndef FOVEA_REMOTE_ASK_H
#define FOVEA_REMOTE_ASK_H

#include "base/hash.h"
#include "remote/remote.h"

/* {0} is an empty one. It holds copies of all it is made from. */
struct ask {
    struct buf form;
    char type[64 + HASH_HEX]; /* Content-Type */
};

/* is_handed: with REMOTE_FIELD. ERR_NOMEM, ERR_LIMIT. */
enum err_code ask_init(struct ask *a, const char *entries, const struct predict_input *in,
                       bool is_handed, struct err *err);
void ask_clear(struct ask *a);

/* Borrowed; what is NULL or 0 is not there. */
struct ask_how {
    const char *token, *request_id;
    unsigned connect_ms, timeout_ms;
    const atomic_bool *cancel;
};
/* As remote_predict(). */
enum err_code ask_send(const struct ask *a, struct net *net, const char *url,
                       const struct ask_how *how, struct net_response *answer, struct err *err);

#endif
