#include "http/tls.h"

#include <gnutls/x509.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/str.h"
#include "sys/file.h"

enum { PEM_MAX_BYTES = 256 << 10, CHAIN_MAX = 16 };

struct pair {
    struct pair *older;
    uint8_t digest[HASH_BYTES]; /* of both files */
    gnutls_pcert_st certs[CHAIN_MAX];
    unsigned n_certs;
    gnutls_privkey_t key;
};

struct tls {
    char *cert_path, *key_path;
    _Atomic(struct pair *) in_use;
};

static void pair_destroy(struct pair *p)
{
    for (unsigned i = 0; i < p->n_certs; i++)
        gnutls_pcert_deinit(&p->certs[i]);
    gnutls_privkey_deinit(p->key);
    free(p);
}

/* GnuTLS's own check that the key is the certificate's. */
static int check_pair(const gnutls_datum_t *cert, const gnutls_datum_t *key)
{
    gnutls_certificate_credentials_t both;
    int e = gnutls_certificate_allocate_credentials(&both);
    if (e < 0)
        return e;
    e = gnutls_certificate_set_x509_key_mem2(both, cert, key, GNUTLS_X509_FMT_PEM, NULL, 0);
    gnutls_certificate_free_credentials(both);
    return e;
}

/* The certificate first: the check of both leaks one that cannot be read (GnuTLS 3.7.9). */
static int parse_pair(struct pair *p, const gnutls_datum_t *cert, const gnutls_datum_t *key)
{
    unsigned n = CHAIN_MAX;
    int e = gnutls_pcert_list_import_x509_raw(p->certs, &n, cert, GNUTLS_X509_FMT_PEM, 0);
    if (e >= 0) {
        p->n_certs = n;
        e = check_pair(cert, key);
    }
    if (e >= 0)
        e = gnutls_privkey_init(&p->key);
    if (e >= 0)
        e = gnutls_privkey_import_x509_raw(p->key, key, GNUTLS_X509_FMT_PEM, NULL, 0);
    return e;
}

static enum err_code use_pair(struct tls *t, const gnutls_datum_t *cert, const gnutls_datum_t *key,
                              struct err *err)
{
    struct pair *older = atomic_load(&t->in_use), *p = calloc(1, sizeof *p);
    struct hash h;
    if (!p)
        return err_set(err, ERR_NOMEM, "certificate");
    hash_init(&h);
    hash_update(&h, cert->data, cert->size);
    hash_update(&h, key->data, key->size);
    hash_final(&h, p->digest);
    bool same = older && !memcmp(older->digest, p->digest, HASH_BYTES);
    int e = same ? 0 : parse_pair(p, cert, key);
    if (same || e < 0) {
        pair_destroy(p);
        return e >= 0 ? ERR_NONE
                      : err_set(err, ERR_INVALID, "certificate %s with key %s: %s", t->cert_path,
                                t->key_path, gnutls_strerror(e));
    }
    p->older = older;
    atomic_store(&t->in_use, p);
    return ERR_NONE;
}

static enum err_code read_pem(const char *path, gnutls_datum_t *out, struct err *err)
{
    size_t n;
    enum err_code rc = file_read(path, PEM_MAX_BYTES, &out->data, &n, NULL, err);
    out->size = rc == ERR_NONE ? (unsigned)n : 0;
    return rc;
}

enum err_code tls_reload(struct tls *t, struct err *err)
{
    gnutls_datum_t cert = { 0 }, key = { 0 };
    enum err_code rc = read_pem(t->cert_path, &cert, err);
    if (rc == ERR_NONE)
        rc = read_pem(t->key_path, &key, err);
    if (rc == ERR_NONE)
        rc = use_pair(t, &cert, &key, err);
    if (key.data)
        gnutls_memset(key.data, 0, key.size);
    free(cert.data);
    free(key.data);
    return rc;
}

enum err_code tls_create(struct tls **out, const char *cert_path, const char *key_path,
                         struct err *err)
{
    struct tls *t = calloc(1, sizeof *t);
    *out = NULL;
    if (!t)
        return err_set(err, ERR_NOMEM, "certificate");
    t->cert_path = str_ndup(cert_path, strlen(cert_path));
    t->key_path = str_ndup(key_path, strlen(key_path));
    enum err_code rc =
        t->cert_path && t->key_path ? tls_reload(t, err) : err_set(err, ERR_NOMEM, "certificate");
    if (rc == ERR_NONE)
        *out = t;
    else
        tls_destroy(t);
    return rc;
}

void tls_destroy(struct tls *t)
{
    if (!t)
        return;
    for (struct pair *p = atomic_load(&t->in_use), *older; p; p = older) {
        older = p->older;
        pair_destroy(p);
    }
    free(t->cert_path);
    free(t->key_path);
    free(t);
}

void tls_pick(const struct tls *t, gnutls_pcert_st **certs, unsigned *n_certs,
              gnutls_privkey_t *key)
{
    struct pair *p = atomic_load(&t->in_use);
    *certs = p->certs;
    *n_certs = p->n_certs;
    *key = p->key;
}
