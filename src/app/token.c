#include "app/token.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "sys/file.h"

enum { TOKEN_MAX_BYTES = 1024 };

/* The file's content without the newline that editors and `echo` end it with. */
static enum err_code read_token(const char *path, char **out, size_t *n, struct err *err)
{
    uint8_t *data;
    enum err_code rc = file_read(path, TOKEN_MAX_BYTES, &data, n, NULL, err);
    *out = (char *)data;
    while (rc == ERR_NONE && *n && ((*out)[*n - 1] == '\n' || (*out)[*n - 1] == '\r'))
        (*out)[--*n] = '\0';
    return rc;
}

static bool is_fit(const char *s, size_t n)
{
    size_t i = 0;
    while (i < n && s[i] > ' ' && s[i] < 0x7f)
        i++;
    return n && i == n && n <= TOKEN_MAX_BYTES;
}

enum err_code token_load(const char *token, const char *token_file, char **out, struct err *err)
{
    const char *from = token ? "FOVEA_TOKEN" : token_file;
    size_t n = token ? strlen(token) : 0;
    *out = NULL;
    if (!from)
        return ERR_NONE;
    if (token && token_file)
        return err_set(err, ERR_INVALID, "FOVEA_TOKEN and FOVEA_TOKEN_FILE are both set");
    enum err_code rc = ERR_NONE;
    if (token_file)
        rc = read_token(token_file, out, &n, err);
    else if (!(*out = str_ndup(token, n)))
        rc = err_set(err, ERR_NOMEM, "token");
    if (rc == ERR_NONE && !is_fit(*out, n)) {
        free(*out);
        *out = NULL;
        rc = err_set(err, ERR_INVALID, "%s: a token is 1 to %d visible ASCII characters, no spaces",
                     from, TOKEN_MAX_BYTES);
    }
    return rc;
}
