/* provider.h - execution providers: the table, the choice, the trial. Private to infer/.
 *
 * Who is tried and in which order is provider.c's; what ONNX Runtime is told is ort_provider.c's;
 * that a network still gets its answer when a provider fails it is fallback.c's. */
#ifndef FOVEA_INFER_PROVIDER_H
#define FOVEA_INFER_PROVIDER_H

#include "infer/session.h"

struct infer_provider {
    const char *name;     /* as in infer_provider_options */
    const char *ort_name; /* as the library lists it; NULL: it is the plug-in */
    bool by_name_only;    /* "auto" passes it over */
    bool one_at_a_time;   /* its runs of one session must not overlap */
};

/* In the order in which they are tried. */
extern const struct infer_provider infer_providers[];
extern const size_t infer_n_providers;

/* The engine's choice, made by the first who asks, which takes as long as the trials; NULL: the
 * CPU. */
const struct infer_provider *infer_provider_get(struct infer *in);

struct infer_ort;
/* Does the engine's library have p? */
bool infer_ort_offers(const struct infer *in, const struct infer_ort *ort,
                      const struct infer_provider *p);
/* What p needs of the process before sessions use it: the plug-in's library is registered, its
 * device found. Once. ERR_UNSUPPORTED, ERR_NOT_FOUND (no such device), ERR_INTERNAL. */
enum err_code infer_ort_ready(const struct infer *in, struct infer_ort *ort,
                              const struct infer_provider *p, struct err *err);

/* A session on a provider, and one on the CPU from when the first fails. */
extern const struct infer_backend infer_fallback_backend;

#endif
