/* handlers.h - what the table of routes is made of; each file has its own. */
#ifndef FOVEA_API_HANDLERS_H
#define FOVEA_API_HANDLERS_H

#include "api/api.h"

void api_healthz(const struct http_request *r, struct http_response *out, void *ctx);
void api_readyz(const struct http_request *r, struct http_response *out, void *ctx);
void api_metrics(const struct http_request *r, struct http_response *out, void *ctx);

#endif
