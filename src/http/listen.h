/* listen.h - the socket that a server accepts on. */
#ifndef FOVEA_HTTP_LISTEN_H
#define FOVEA_HTTP_LISTEN_H

#include "base/err.h"

/* Bound and listening. host may be in brackets, as in a URL; "::" takes IPv4 too, and where there
 * is no IPv6 means 0.0.0.0. *fd is the caller's to close. */
enum err_code listen_tcp(int *fd, const char *host, unsigned port, struct err *err);
/* A socket that nobody answers on, left by a server that died, is replaced; anything else of that
 * name stays, and is ERR_IO. */
enum err_code listen_unix(int *fd, const char *path, struct err *err);
/* The port it got; 0 for a Unix socket. */
unsigned listen_port(int fd);

#endif
