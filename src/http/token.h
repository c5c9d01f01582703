/* token.h - the secret that a request must bring: "Authorization: Bearer SECRET" (RFC 6750).
 *
 * Kept and compared as SHA-256, all bytes of it whatever they are: how long it takes tells nothing
 * of the secret but how long the client's own is. */
#ifndef FOVEA_HTTP_TOKEN_H
#define FOVEA_HTTP_TOKEN_H

#include "base/hash.h"

struct token {
    bool is_set; /* else everything fits */
    uint8_t digest[HASH_BYTES];
};

void token_init(struct token *t, const char *secret); /* NULL: none is asked for */
/* authorization: the header's value, NULL where there is none. */
bool token_fits(const struct token *t, const char *authorization);

#endif
