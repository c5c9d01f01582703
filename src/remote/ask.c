#include "remote/ask.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

enum { FORM_MAX_BYTES = 4 << 10 }; /* around the entries and the picture or text */

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

enum err_code remote_ping(struct net *net, const char *base, bool is_own, unsigned timeout_ms,
                          const atomic_bool *cancel, struct err *err)
{
    struct net_response answer = { .body.limit = 256 };
    char *url = url_of(base, "/ping", err);
    struct net_request r = { .url = url,
                             .is_own = is_own,
                             .connect_ms = timeout_ms,
                             .timeout_ms = timeout_ms,
                             .cancel = cancel };
    enum err_code rc = url ? net_send(net, &r, &answer, err) : ERR_NOMEM;
    if (rc == ERR_NONE &&
        (answer.status != 200 || !answer.body.len || strcmp(answer.body.data, "pong") != 0))
        rc = err_set(err, ERR_IO, "%s: status %u, and not the answer of such a service",
                     net_shown(url).text, answer.status);
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

static enum err_code put_field(struct buf *b, const char *boundary, const char *name,
                               const char *value, struct err *err)
{
    enum err_code rc = buf_printf(
        b, err, "--%s\r\nContent-Disposition: form-data; name=\"%s\"\r\n\r\n", boundary, name);
    if (rc == ERR_NONE)
        rc = buf_puts(b, value, err);
    return rc == ERR_NONE ? buf_puts(b, "\r\n", err) : rc;
}

/* The picture or the text, and the form's end. */
static enum err_code put_input(struct buf *b, const char *boundary, const struct predict_input *in,
                               struct err *err)
{
    enum err_code rc = buf_printf(
        b, err, "--%s\r\nContent-Disposition: form-data; name=\"%s\"%s\r\n\r\n", boundary,
        in->image ? "image" : "text",
        in->image ? "; filename=\"blob\"\r\nContent-Type: application/octet-stream" : "");
    if (rc == ERR_NONE)
        rc = buf_append(b, in->image ? (const void *)in->image : in->text,
                        in->image ? in->n_image : in->n_text, err);
    return rc == ERR_NONE ? buf_printf(b, err, "\r\n--%s--\r\n", boundary) : rc;
}

enum err_code ask_init(struct ask *a, const char *entries, const struct predict_input *in,
                       bool is_handed, struct err *err)
{
    char boundary[HASH_HEX];
    size_t n_input = in->image ? in->n_image : in->n_text;
    *a = (struct ask){ .form.limit = n_input + strlen(entries) + FORM_MAX_BYTES };
    make_boundary(in, boundary);
    snprintf(a->type, sizeof a->type, "Content-Type: multipart/form-data; boundary=%s", boundary);
    enum err_code rc = buf_reserve(&a->form, a->form.limit, err); /* once, for a picture is large */
    if (rc == ERR_NONE && is_handed)
        rc = put_field(&a->form, boundary, REMOTE_FIELD, "1", err);
    if (rc == ERR_NONE)
        rc = put_field(&a->form, boundary, "entries", entries, err);
    if (rc == ERR_NONE)
        rc = put_input(&a->form, boundary, in, err);
    if (rc != ERR_NONE)
        ask_clear(a);
    return rc;
}

void ask_clear(struct ask *a)
{
    buf_clear(&a->form);
}

enum err_code ask_send(const struct ask *a, struct net *net, const char *base,
                       const struct ask_how *how, struct net_response *answer, struct err *err)
{
    char id[128];
    const char *headers[] = { a->type, id };
    snprintf(id, sizeof id, "X-Request-Id: %s", how->request_id ? how->request_id : "");
    answer->body.limit = REMOTE_ANSWER_MAX_BYTES;
    char *url = url_of(base, "/predict", err);
    struct net_request r = { .url = url,
                             .headers = headers,
                             .n_headers = how->request_id ? 2 : 1,
                             .token = how->token,
                             .body = a->form.data,
                             .n_body = a->form.len,
                             .connect_ms = how->connect_ms,
                             .timeout_ms = how->timeout_ms,
                             .cancel = how->cancel };
    enum err_code rc = url ? net_send(net, &r, answer, err) : ERR_NOMEM;
    free(url);
    return rc;
}

enum err_code remote_predict(struct net *net, const char *base, const char *token,
                             const char *entries, const struct predict_input *in,
                             unsigned timeout_ms, struct net_response *answer, struct err *err)
{
    struct ask a;
    const struct ask_how how = { .token = token, .timeout_ms = timeout_ms };
    enum err_code rc = ask_init(&a, entries, in, false, err);
    if (rc == ERR_NONE)
        rc = ask_send(&a, net, base, &how, answer, err);
    ask_clear(&a);
    return rc;
}
