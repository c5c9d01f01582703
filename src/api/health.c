/* health.c - is it alive, and does it want requests. */
#include "api/handlers.h"

static void put_status(struct http_response *out, unsigned status, const char *word)
{
    if (buf_printf(&out->body, NULL, "{\"status\":\"%s\"}", word) == ERR_NONE)
        out->status = status;
}

void api_healthz(const struct http_request *r, struct http_response *out, void *ctx)
{
    (void)r, (void)ctx;
    put_status(out, 200, "alive");
}

void api_readyz(const struct http_request *r, struct http_response *out, void *ctx)
{
    static const char *const words[] = { "starting", "ready", "stopping" };
    struct api *api = ctx;
    (void)r;
    int phase = atomic_load(&api->phase);
    put_status(out, phase == API_READY ? 200 : 503, words[phase]);
}
