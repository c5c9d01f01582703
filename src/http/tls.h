/* tls.h - the certificate that the server shows, by GnuTLS, as libmicrohttpd takes it.
 *
 * It can be read anew while the server runs: connections that begin afterwards see the new one. Old
 * ones are kept to the end, since a handshake may be in the middle of one; what did not change is
 * not read again, so there are as many as there were renewals.
 *
 * Threads: tls_pick() on the loop's, the rest on one other. */
#ifndef FOVEA_HTTP_TLS_H
#define FOVEA_HTTP_TLS_H

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>

#include "base/err.h"

struct tls;

/* Two PEM files: a certificate and those that vouch for it, and its key. ERR_INVALID where they are
 * none or not of each other; as file_read(). */
enum err_code tls_create(struct tls **out, const char *cert_path, const char *key_path,
                         struct err *err);
void tls_destroy(struct tls *t); /* NULL is fine */
/* On failure the one in use stays. */
enum err_code tls_reload(struct tls *t, struct err *err);

/* The pair in use; valid until tls_destroy(). */
void tls_pick(const struct tls *t, gnutls_pcert_st **certs, unsigned *n_certs,
              gnutls_privkey_t *key);

#endif
