#include "api/handlers.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"

/* Error code to status. */
static unsigned status_of(enum err_code code)
{
    switch (code) {
    case ERR_INVALID: return 400;
    case ERR_NOT_FOUND: return 404;
    case ERR_LIMIT: return 413;
    case ERR_UNSUPPORTED: return 415;
    case ERR_CANCELLED: return 499; /* nobody reads it */
    case ERR_BUSY:
    case ERR_NOMEM: return 503;
    default: return 500;
    }
}

/* {"detail": "..."} */
static void put_detail(struct http_response *out, unsigned status, const char *detail)
{
    struct err e = { 0 };
    buf_reset(&out->body);
    out->status = status;
    snprintf(out->why, sizeof out->why, "%s", detail);
    if (buf_puts(&out->body, "{\"detail\":", &e) != ERR_NONE ||
        json_put_string(&out->body, detail, strlen(detail), &e) != ERR_NONE ||
        buf_puts(&out->body, "}", &e) != ERR_NONE)
        out->status = 0;
}

/* What FastAPI says of a field that is not there, or is a file where it should be text. */
static void put_field_error(struct http_response *out, const char *field, const char *type,
                            const char *msg)
{
    struct err e = { 0 };
    out->status = 422;
    snprintf(out->why, sizeof out->why, "field \"%s\": %s", field, msg);
    if (buf_printf(&out->body, &e,
                   "{\"detail\":[{\"type\":\"%s\",\"loc\":[\"body\",\"%s\"],\"msg\":\"%s\","
                   "\"input\":null}]}",
                   type, field, msg) != ERR_NONE)
        out->status = 0;
}

static void root(const struct http_request *r, struct http_response *out, void *ctx)
{
    (void)r, (void)ctx;
    if (buf_puts(&out->body, "{\"message\":\"Immich ML\"}", NULL) == ERR_NONE)
        out->status = 200;
}

static void ping(const struct http_request *r, struct http_response *out, void *ctx)
{
    (void)r, (void)ctx;
    out->type = "text/plain; charset=utf-8";
    if (buf_puts(&out->body, "pong", NULL) == ERR_NONE)
        out->status = 200;
}

/* A field as FastAPI sees it: an empty text is none. */
static const struct http_field *field(const struct http_request *r, const char *name)
{
    const struct http_field *f = http_field(r, name);
    return f && (f->is_file || f->data.len) ? f : NULL;
}

/* The picture or the text; false after refusing. */
static bool read_input(const struct http_request *r, struct predict_input *in,
                       struct http_response *out)
{
    const struct http_field *image = field(r, "image"), *text = field(r, "text");
    if (image && !image->is_file) {
        put_detail(out, 400, "image is not a file: its part of the form has no filename");
        return false;
    }
    if (image && !image->data.len) {
        put_detail(out, 400, "image is empty");
        return false;
    }
    if (!image && !text) {
        put_detail(out, 400, "Either image or text must be provided");
        return false;
    }
    if (image) {
        in->image = (const uint8_t *)image->data.data;
        in->n_image = image->data.len;
    } else {
        in->text = text->data.data;
        in->n_text = text->data.len;
    }
    in->cancel = http_gone(r);
    return true;
}

/* Both text fields are text; false after refusing. */
static bool check_fields(const struct http_request *r, struct http_response *out)
{
    static const char *const names[] = { "entries", "text" };
    for (int i = 0; i < 2; i++) {
        const struct http_field *f = field(r, names[i]);
        if (!f && i == 0) {
            put_field_error(out, names[i], "missing", "Field required");
            return false;
        }
        if (f && f->is_file) {
            put_field_error(out, names[i], "string_type", "Input should be a valid string");
            return false;
        }
    }
    return true;
}

/* What another service handed over stays here. */
static enum err_code run(const struct api *api, const struct http_request *r,
                         const struct predict_entries *entries, const struct predict_input *in,
                         struct buf *json, struct err *err)
{
    if (!api->router || http_field(r, REMOTE_FIELD))
        return predict_run(api->predict, entries, in, json, err);
    return remote_router_run(api->router, api->predict, entries,
                             http_field(r, "entries")->data.data, in, http_request_id(r), json,
                             err);
}

static void predict(const struct http_request *r, struct http_response *out, void *ctx)
{
    const struct api *api = ctx;
    struct predict_entries entries;
    struct predict_input in = { 0 };
    struct err e = { 0 };
    if (!check_fields(r, out))
        return;
    const struct buf *text = &http_field(r, "entries")->data;
    if (text->len > api->max_entries_bytes) {
        err_set(&e, ERR_LIMIT, "entries has %zu bytes, the limit is %zu", text->len,
                api->max_entries_bytes);
        put_detail(out, status_of(e.code), e.msg);
        return;
    }
    if (predict_entries_parse(text->data, text->len, &entries, &e) != ERR_NONE) {
        put_detail(out, e.code == ERR_INVALID ? 422 : status_of(e.code), e.msg);
        return;
    }
    if (read_input(r, &in, out)) {
        if (run(api, r, &entries, &in, &out->body, &e) == ERR_NONE)
            out->status = 200;
        else
            put_detail(out, status_of(e.code), e.msg);
    }
    predict_entries_clear(&entries);
}

const struct http_route api_routes[] = {
    { "GET", "/", root, .is_open = true },
    { "GET", "/ping", ping, .is_open = true },
    { "GET", "/healthz", api_healthz, .is_open = true },
    { "GET", "/readyz", api_readyz, .is_open = true },
    { "GET", "/metrics", api_metrics, .is_open = false },
    { "POST", "/predict", predict, .is_work = true },
};
const size_t api_n_routes = sizeof api_routes / sizeof *api_routes;
_Static_assert(sizeof api_routes / sizeof *api_routes <= HTTP_ROUTES_MAX,
               "each has a row of counts");
