#include "app/remote.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/str.h"

enum { FORM_MAX_BYTES = 64 << 10 }; /* around the picture or text */

static char *url_of(const char *base, const char *path, struct err *err)
{
    size_t n = strlen(base);
    while (n && base[n - 1] == '/')
        n--;
    char *url = str_format("%.*s%s", (int)n, base, path);
    if (!url)
        err_set(err, ERR_NOMEM, "URL");
    return url;
}

enum err_code remote_ping(struct net *net, const char *base, bool any_certificate,
                          unsigned timeout_ms, struct err *err)
{
    struct net_response answer = { .body.limit = 256 };
    char *url = url_of(base, "/ping", err);
    struct net_request r = { .url = url,
                             .any_certificate = any_certificate,
                             .connect_ms = timeout_ms,
                             .timeout_ms = timeout_ms };
    enum err_code rc = url ? net_send(net, &r, &answer, err) : ERR_NOMEM;
    if (rc == ERR_NONE &&
        (answer.status != 200 || !answer.body.len || strcmp(answer.body.data, "pong") != 0))
        rc = err_set(err, ERR_IO, "%s: status %u, and not the answer of such a service", url,
                     answer.status);
    net_response_clear(&answer);
    free(url);
    return rc;
}

/* A hash of the content, so that nothing in it can end a part. */
static void make_boundary(const struct predict_input *in, char out[HASH_HEX])
{
    uint8_t digest[HASH_BYTES];
    hash_bytes(in->image ? (const void *)in->image : in->text, in->image ? in->n_image : in->n_text,
               digest);
    hash_hex(digest, out);
}

static enum err_code put_form(struct buf *b, const char *boundary, const char *entries,
                              const struct predict_input *in, struct err *err)
{
    static const char part[] = "--%s\r\nContent-Disposition: form-data; name=\"%s\"%s\r\n\r\n";
    enum err_code rc = buf_printf(b, err, part, boundary, "entries", "");
    if (rc == ERR_NONE)
        rc = buf_puts(b, entries, err);
    if (rc == ERR_NONE)
        rc = buf_puts(b, "\r\n", err);
    if (rc == ERR_NONE && in->image)
        rc = buf_printf(b, err, part, boundary, "image",
                        "; filename=\"blob\"\r\nContent-Type: application/octet-stream");
    else if (rc == ERR_NONE)
        rc = buf_printf(b, err, part, boundary, "text", "");
    if (rc == ERR_NONE)
        rc = buf_append(b, in->image ? (const void *)in->image : in->text,
                        in->image ? in->n_image : in->n_text, err);
    return rc == ERR_NONE ? buf_printf(b, err, "\r\n--%s--\r\n", boundary) : rc;
}

enum err_code remote_predict(struct net *net, const char *base, const char *entries,
                             const struct predict_input *in, unsigned timeout_ms,
                             struct net_response *answer, struct err *err)
{
    struct buf form = { .limit = (in->image ? in->n_image : in->n_text) + FORM_MAX_BYTES };
    char boundary[HASH_HEX], type[64 + HASH_HEX];
    const char *headers[] = { type };
    answer->body.limit = REMOTE_ANSWER_MAX_BYTES;
    make_boundary(in, boundary);
    snprintf(type, sizeof type, "Content-Type: multipart/form-data; boundary=%s", boundary);
    char *url = url_of(base, "/predict", err);
    enum err_code rc = url ? put_form(&form, boundary, entries, in, err) : ERR_NOMEM;
    struct net_request r = { .url = url,
                             .headers = headers,
                             .n_headers = 1,
                             .body = form.data,
                             .n_body = form.len,
                             .timeout_ms = timeout_ms };
    if (rc == ERR_NONE)
        rc = net_send(net, &r, answer, err);
    buf_clear(&form);
    free(url);
    return rc;
}
