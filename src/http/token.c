#include "http/token.h"

#include <string.h>
#include <strings.h>

void token_init(struct token *t, const char *secret)
{
    *t = (struct token){ .is_set = secret != NULL };
    if (secret)
        hash_bytes(secret, strlen(secret), t->digest);
}

bool token_fits(const struct token *t, const char *authorization)
{
    static const char scheme[] = "Bearer ";
    uint8_t digest[HASH_BYTES];
    unsigned differ = 0;
    if (!t->is_set)
        return true;
    if (!authorization || strncasecmp(authorization, scheme, sizeof scheme - 1) != 0)
        return false;
    const char *given = authorization + strlen(scheme);
    given += strspn(given, " ");
    hash_bytes(given, strlen(given), digest);
    for (int i = 0; i < HASH_BYTES; i++)
        differ |= (unsigned)(digest[i] ^ t->digest[i]);
    return !differ;
}
