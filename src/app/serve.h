/* serve.h - the service, from its start to the signal that ends it. */
#ifndef FOVEA_APP_SERVE_H
#define FOVEA_APP_SERVE_H

#include "app/config.h"

/* Serves until SIGTERM or SIGINT, then lets what runs finish, for at most ten seconds; SIGHUP reads
 * the certificate anew. socket: a Unix socket to listen on instead; NULL: host and port. */
enum err_code serve_run(const struct config *c, const char *host, unsigned port, const char *socket,
                        struct err *err);

#endif
