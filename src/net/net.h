/* net.h - an HTTP client by libcurl: a request out, its response in.
 *
 *   struct net_request r = { .url = "http://gpu:3003/ping", .timeout_ms = 2000 };
 *   struct net_response a = { .body.limit = 4096 };
 *   if (net_send(net, &r, &a, err) == ERR_NONE && a.status == 200)
 *       ...a.body...
 *   net_response_clear(&a);
 *
 * net_send() blocks; any number of threads may call it on one struct net, which keeps their
 * connections for the next request. A response of any status is a success: it is the caller who
 * knows what 404 means. An error says that there was no whole response, and names URL and reason.
 *
 * http and https only, certificates are checked unless a request says otherwise, nothing is
 * decompressed. Proxies are as curl reads them from the environment (http_proxy, https_proxy,
 * all_proxy, no_proxy; in lower case). */
#ifndef FOVEA_NET_NET_H
#define FOVEA_NET_NET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

enum { NET_CONNECT_MS = 10000, NET_HEAD_MAX_BYTES = 128 << 10, NET_STALL_BYTES_PER_S = 256 };

struct net;

/* ca_file: certificates (PEM) to trust instead of the system's; NULL: those. ERR_NOMEM,
 * ERR_INTERNAL. */
enum err_code net_create(struct net **out, const char *ca_file, struct err *err);
void net_destroy(struct net *n); /* no request may run; NULL is fine */

/* Cleared with net_response_clear(); used for one request only. */
struct net_response {
    unsigned status;
    struct buf head; /* its header lines, not those of what redirected to it */
    struct buf body; /* its limit is the caller's to set: what is longer is ERR_LIMIT */
};
void net_response_clear(struct net_response *r);
/* A header's value into out; false where there is none, or where it takes n bytes or more. */
bool net_response_header(const struct net_response *r, const char *name, char *out, size_t n);

/* Takes the next n bytes of a body; r has status and headers already. What it returns other than
 * ERR_NONE ends the request and is net_send()'s result. */
typedef enum err_code (*net_body_fn)(const struct net_response *r, const void *p, size_t n,
                                     void *ctx, struct err *err);

/* Everything is borrowed for the call; what is zero is not there. */
struct net_request {
    const char *url;
    const char *method;         /* NULL: POST where there is a body, else GET */
    const char *const *headers; /* "Name: value", n_headers of them */
    size_t n_headers;
    const char *token; /* sent as "Authorization: Bearer TOKEN", and after a redirect only where
                          scheme, host and port are the URL's */
    const void *body;  /* n_body bytes */
    size_t n_body;
    bool is_own; /* a service on this machine: its certificate, which names another, is not checked,
                    and no proxy is asked */
    unsigned n_redirects_max; /* followed, from https to https only; 0: a 3xx is the response */
    unsigned connect_ms;      /* 0: NET_CONNECT_MS */
    unsigned timeout_ms;      /* of the whole; 0: no bound */
    unsigned stall_ms; /* at less than NET_STALL_BYTES_PER_S for so long it is given up; whole
                          seconds, rounded up */
    uint64_t max_bytes_per_s;  /* read no faster */
    net_body_fn on_body;       /* gets the body of a 2xx in place of response.body; of another
                                  status as much as fits goes there */
    void *ctx;                 /* on_body's */
    const atomic_bool *cancel; /* looked at at least once a second */
};

/* A URL as messages have it, which clients and logs get: without what stands before an '@', a
 * password, and not longer than this. */
struct net_shown {
    char text[320];
};
struct net_shown net_shown(const char *url);

/* Is it one that paths can be put behind: http or https, a host, no query? ERR_INVALID, ERR_NOMEM.
 */
enum err_code net_url_check(const char *url, struct err *err);
/* Does what is sent there leave this machine unencrypted? Of one that passed the check. */
bool net_url_is_open(const char *url);

/* ERR_INVALID (not a URL we speak), ERR_IO (no connection, cut off), ERR_UNSUPPORTED (a certificate
 * that is not trusted, too many redirects), ERR_LIMIT (a time, or the body's limit), ERR_CANCELLED,
 * ERR_NOMEM, what on_body returned. */
enum err_code net_send(struct net *n, const struct net_request *request,
                       struct net_response *response, struct err *err);

#endif
