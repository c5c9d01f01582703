/* token.h - the secret that the service asks for, from FOVEA_TOKEN or the file FOVEA_TOKEN_FILE. */
#ifndef FOVEA_APP_TOKEN_H
#define FOVEA_APP_TOKEN_H

#include "app/config.h"

/* *out: on the heap; NULL where neither is set. ERR_INVALID for both at once, and for what cannot
 * stand in a header: it never names the secret. As file_read(). */
enum err_code token_load(const struct config *c, char **out, struct err *err);

#endif
