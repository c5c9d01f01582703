#include "http/request.h"

#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "sys/clock.h"

const struct http_field *http_field(const struct http_request *r, const char *name)
{
    return form_field(&r->form, name);
}

const atomic_bool *http_gone(const struct http_request *r)
{
    return &r->gone;
}

const char *http_request_id(const struct http_request *r)
{
    return r->id;
}

void request_release(struct http_request *r)
{
    if (atomic_fetch_sub(&r->n_holders, 1) > 1)
        return;
    form_clear(&r->form);
    buf_clear(&r->response.body);
    free(r);
}

void request_refuse(struct http_request *r, unsigned status, const char *detail)
{
    form_clear(&r->form);
    r->route = NULL;
    r->response.status = status;
    snprintf(r->response.why, sizeof r->response.why, "%s", detail);
    buf_reset(&r->response.body);
    if (buf_puts(&r->response.body, "{\"detail\":", NULL) != ERR_NONE ||
        json_put_string(&r->response.body, detail, strlen(detail), NULL) != ERR_NONE ||
        buf_puts(&r->response.body, "}", NULL) != ERR_NONE)
        buf_reset(&r->response.body);
}

void request_refuse_form(struct http_request *r, const struct err *e)
{
    request_refuse(r,
                   e->code == ERR_INVALID ? MHD_HTTP_BAD_REQUEST
                   : e->code == ERR_LIMIT ? MHD_HTTP_CONTENT_TOO_LARGE
                                          : MHD_HTTP_SERVICE_UNAVAILABLE,
                   e->msg);
}

/* No control character, no quote, nothing that a log or a header would have to escape. */
void request_take_id(struct http_request *r, const char *given)
{
    static const char fit[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
    size_t n = given ? strlen(given) : 0;
    if (n && n <= HTTP_ID_MAX && strspn(given, fit) == n)
        memcpy(r->id, given, n + 1);
}

static double ms_of(int64_t ns)
{
    return (double)(ns / 1000) / 1000; /* not to more digits than it is known */
}

void request_log(const struct http_request *r, bool was_read)
{
    char message[64];
    snprintf(message, sizeof message, "%s %s", r->path->method, r->path->path);
    struct log_field fields[6] = {
        { "id", r->id, 0 },
        { "status", was_read ? NULL : "gone", r->status },
        { "bytes", NULL, (double)r->n_body },
    };
    size_t n = 3;
    if (r->whole_ns)
        fields[n++] = (struct log_field){ "ms", NULL, ms_of(clock_mono_ns() - r->whole_ns) };
    /* What was not answered may still be worked on: the rest is that thread's. */
    if (r->status && r->taken_ns)
        fields[n++] = (struct log_field){ "queue_ms", NULL, ms_of(r->taken_ns - r->whole_ns) };
    if (r->status && r->response.why[0])
        fields[n++] = (struct log_field){ "why", r->response.why, 0 };
    log_fields(r->status >= 500   ? LOG_ERROR
               : r->status >= 400 ? LOG_INFO
                                  : LOG_DEBUG,
               message, fields, n);
}
