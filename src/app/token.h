/* token.h - the secret that a service asks for: ours from FOVEA_TOKEN or the file FOVEA_TOKEN_FILE,
 * another's from a file. */
#ifndef FOVEA_APP_TOKEN_H
#define FOVEA_APP_TOKEN_H

#include "base/err.h"

/* token, or what the file token_file holds. *out: on the heap; NULL where both are. ERR_INVALID for
 * both at once, and for what cannot stand in a header: it never names the secret. As file_read().
 */
enum err_code token_load(const char *token, const char *token_file, char **out, struct err *err);

#endif
