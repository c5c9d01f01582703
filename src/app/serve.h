/* serve.h - the service, from its start to the signal that ends it. */
#ifndef FOVEA_APP_SERVE_H
#define FOVEA_APP_SERVE_H

#include "app/config.h"
#include "remote/remote.h"

/* What the command line says in place of settings; borrowed. */
struct serve_options {
    const char *host;
    unsigned port;
    const char *socket;                    /* a Unix socket to listen on instead; NULL: none */
    const char *upstreams[REMOTE_N_KINDS]; /* as struct remote_options */
};

/* Serves until SIGTERM or SIGINT, then lets what runs finish, for at most ten seconds; SIGHUP reads
 * the certificate anew. */
enum err_code serve_run(const struct config *c, const struct serve_options *o, struct err *err);

#endif
