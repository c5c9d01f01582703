#include "http/request.h"

#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

const struct http_field *http_field(const struct http_request *r, const char *name)
{
    return form_field(&r->form, name);
}

const atomic_bool *http_gone(const struct http_request *r)
{
    return &r->gone;
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
