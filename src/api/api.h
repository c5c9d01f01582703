/* api.h - the routes of the service: Immich's machine-learning API, and what administrators ask.
 *
 *   GET /          {"message":"Immich ML"}
 *   GET /ping      pong
 *   POST /predict  a form with `entries` and `image` (a file) or `text`; the answer is JSON
 *
 *   GET /healthz   200 as long as it answers
 *   GET /readyz    503 while models are loaded at the start, and while it stops; else 200
 *   GET /metrics   counts and times for Prometheus
 *
 * Where a token is asked for, /predict and /metrics need it. The others say no more than that
 * something runs here, and what looks after it (Immich, a container, a balancer) brings none.
 *
 * Statuses and bodies are the reference's wherever it answers 2xx or 4xx; where it answers 500 to
 * what is wrong with the request, ours is a 4xx whose {"detail": "..."} names it. Any thread. */
#ifndef FOVEA_API_API_H
#define FOVEA_API_API_H

#include "http/http.h"
#include "predict/predict.h"
#include "remote/remote.h"

enum api_phase { API_STARTING, API_READY, API_STOPPING };

/* What the handlers get as ctx. */
struct api {
    struct predict *predict;
    struct remote_router *router; /* NULL: all is done here */
    size_t max_entries_bytes;     /* of the field `entries` */
    int64_t start_wall_ns;
    atomic_int phase; /* of enum api_phase; whoever serves sets it */
};

extern const struct http_route api_routes[];
extern const size_t api_n_routes;

#endif
