/* net.c - handles, and one request on one of them.
 *
 * A curl handle owns its connections, and sharing those between threads is not safe. So a request
 * takes a handle that nobody uses, preferring the last one given back, and its connections come
 * along. */
#include "net/net.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/str.h"

enum { IDLE_MAX = 16 };

struct net {
    char *ca_file; /* NULL: the system's */
    pthread_mutex_t lock;
    CURL *idle[IDLE_MAX]; /* n_idle, under the lock */
    size_t n_idle;
};

/* A request under way; what curl's callbacks get. */
struct transfer {
    CURL *curl;
    const struct net_request *request;
    struct net_response *response;
    struct err why; /* of a callback that ended it */
    char said[CURL_ERROR_SIZE];
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static CURLcode started;

static void start(void)
{
    started = curl_global_init(CURL_GLOBAL_DEFAULT);
}

enum err_code net_create(struct net **out, const char *ca_file, struct err *err)
{
    pthread_once(&once, start);
    if (started != CURLE_OK)
        return err_set(err, ERR_INTERNAL, "libcurl does not start: %s",
                       curl_easy_strerror(started));
    struct net *n = calloc(1, sizeof *n);
    if (n && ca_file)
        n->ca_file = str_ndup(ca_file, strlen(ca_file));
    if (!n || (ca_file && !n->ca_file)) {
        free(n);
        return err_set(err, ERR_NOMEM, "HTTP client");
    }
    pthread_mutex_init(&n->lock, NULL);
    *out = n;
    return ERR_NONE;
}

void net_destroy(struct net *n)
{
    if (!n)
        return;
    for (size_t i = 0; i < n->n_idle; i++)
        curl_easy_cleanup(n->idle[i]);
    pthread_mutex_destroy(&n->lock);
    free(n->ca_file);
    free(n);
}

void net_response_clear(struct net_response *r)
{
    buf_clear(&r->head);
    buf_clear(&r->body);
}

static CURL *take_handle(struct net *n)
{
    pthread_mutex_lock(&n->lock);
    CURL *c = n->n_idle ? n->idle[--n->n_idle] : NULL;
    pthread_mutex_unlock(&n->lock);
    return c ? c : curl_easy_init();
}

static void give_handle(struct net *n, CURL *c)
{
    curl_easy_reset(c); /* its connections stay */
    pthread_mutex_lock(&n->lock);
    bool kept = n->n_idle < IDLE_MAX;
    if (kept)
        n->idle[n->n_idle++] = c;
    pthread_mutex_unlock(&n->lock);
    if (!kept)
        curl_easy_cleanup(c);
}

bool net_response_header(const struct net_response *r, const char *name, char *out, size_t n)
{
    size_t len = strlen(name);
    bool found = false;
    for (const char *line = r->head.data; line && *line;) {
        size_t line_len = strcspn(line, "\n");
        if (line_len > len && line[len] == ':' && !strncasecmp(line, name, len)) {
            const char *from = line + len + 1, *to = line + line_len;
            while (from < to && strchr(" \t", *from))
                from++;
            while (to > from && strchr(" \t\r", to[-1]))
                to--;
            found = (size_t)(to - from) < n;
            if (found) {
                memcpy(out, from, (size_t)(to - from));
                out[to - from] = '\0';
            }
        }
        line += line_len + (line[line_len] == '\n');
    }
    return found;
}

static size_t on_head(char *p, size_t size, size_t n, void *ctx)
{
    struct transfer *t = ctx;
    n *= size;
    if (n > 5 && !memcmp(p, "HTTP/", 5)) /* the next response */
        buf_reset(&t->response->head);
    if (memchr(p, 0, n) || buf_append(&t->response->head, p, n, &t->why) != ERR_NONE) {
        err_set(&t->why, ERR_IO, "a header with a NUL");
        return 0;
    }
    return n;
}

/* The rest of an error page is not worth an error of its own. */
static enum err_code keep_what_fits(struct buf *b, const char *p, size_t n, struct err *err)
{
    size_t limit = b->limit ? b->limit : BUF_LIMIT_DEFAULT, room = limit - b->len;
    return buf_append(b, p, n < room ? n : room, err);
}

static size_t on_body(char *p, size_t size, size_t n, void *ctx)
{
    struct transfer *t = ctx;
    const struct net_request *q = t->request;
    struct net_response *r = t->response;
    enum err_code rc;
    long status = 0;
    n *= size;
    curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status);
    r->status = (unsigned)status;
    if (!q->on_body)
        rc = buf_append(&r->body, p, n, &t->why);
    else if (status / 100 == 2)
        rc = q->on_body(r, p, n, q->ctx, &t->why);
    else
        rc = keep_what_fits(&r->body, p, n, &t->why);
    if (rc != ERR_NONE)
        err_set(&t->why, rc, "%s", err_code_name(rc)); /* of a callback that said nothing */
    return rc == ERR_NONE ? n : 0;
}

static int on_progress(void *ctx, curl_off_t n_down, curl_off_t down, curl_off_t n_up,
                       curl_off_t up)
{
    const struct transfer *t = ctx;
    (void)n_down, (void)down, (void)n_up, (void)up;
    return t->request->cancel && atomic_load(t->request->cancel);
}

static enum err_code make_headers(const struct net_request *q, struct curl_slist **out,
                                  struct err *err)
{
    /* Expect: a server that does not answer it costs a second. */
    *out = curl_slist_append(NULL, "Expect:");
    for (size_t i = 0; i < q->n_headers && *out; i++) {
        struct curl_slist *longer = curl_slist_append(*out, q->headers[i]);
        if (!longer)
            curl_slist_free_all(*out);
        *out = longer;
    }
    return *out ? ERR_NONE : err_set(err, ERR_NOMEM, "headers of a request");
}

/* CURLOPT_... of one transfer; the first that fails is kept. */
#define SET(option, value)                                                                         \
    if (rc == CURLE_OK)                                                                            \
    rc = curl_easy_setopt(t->curl, CURLOPT_##option, value)

static CURLcode set_body(struct transfer *t)
{
    const struct net_request *q = t->request;
    CURLcode rc = CURLE_OK;
    if (q->body || (q->method && !strcmp(q->method, "POST"))) {
        SET(POST, 1L);
        SET(POSTFIELDSIZE_LARGE, (curl_off_t)q->n_body);
        SET(POSTFIELDS, q->body ? q->body : "");
    }
    if (q->method && !strcmp(q->method, "HEAD")) {
        SET(NOBODY, 1L);
    } else if (q->method) {
        SET(CUSTOMREQUEST, q->method);
    }
    return rc;
}

static CURLcode set_limits(struct transfer *t)
{
    const struct net_request *q = t->request;
    CURLcode rc = CURLE_OK;
    SET(CONNECTTIMEOUT_MS, (long)(q->connect_ms ? q->connect_ms : NET_CONNECT_MS));
    SET(TIMEOUT_MS, (long)q->timeout_ms);
    if (q->stall_ms) {
        SET(LOW_SPEED_LIMIT, (long)NET_STALL_BYTES_PER_S);
        SET(LOW_SPEED_TIME, (long)(q->stall_ms + 999) / 1000);
    }
    SET(MAX_RECV_SPEED_LARGE, (curl_off_t)q->max_bytes_per_s);
    if (q->n_redirects_max) {
        SET(FOLLOWLOCATION, 1L);
        SET(MAXREDIRS, (long)q->n_redirects_max);
        SET(REDIR_PROTOCOLS_STR, !strncasecmp(q->url, "https:", 6) ? "https" : "http,https");
    }
    return rc;
}

static CURLcode set_up(const struct net *n, struct transfer *t, struct curl_slist *headers)
{
    const struct net_request *q = t->request;
    CURLcode rc = CURLE_OK;
    SET(PROTOCOLS_STR, "http,https"); /* else a setting could name a file */
    SET(URL, q->url);
    SET(HTTPHEADER, headers);
    SET(USERAGENT, "fovea/" FOVEA_VERSION);
    SET(NOSIGNAL, 1L);
    SET(SSL_VERIFYPEER, q->is_own ? 0L : 1L);
    SET(SSL_VERIFYHOST, q->is_own ? 0L : 2L);
    if (q->is_own) {
        SET(NOPROXY, "*");
    }
    SET(SUPPRESS_CONNECT_HEADERS, 1L); /* a proxy's */
    SET(ERRORBUFFER, t->said);
    SET(HEADERFUNCTION, on_head);
    SET(HEADERDATA, t);
    SET(WRITEFUNCTION, on_body);
    SET(WRITEDATA, t);
    SET(XFERINFOFUNCTION, on_progress);
    SET(XFERINFODATA, t);
    SET(NOPROGRESS, 0L);
    if (n->ca_file) {
        SET(CAINFO, n->ca_file);
    }
    if (q->token) { /* as an option, not a header: curl keeps it from other hosts */
        SET(HTTPAUTH, (long)CURLAUTH_BEARER);
        SET(XOAUTH2_BEARER, q->token);
    }
    if (rc == CURLE_OK)
        rc = set_body(t);
    return rc == CURLE_OK ? set_limits(t) : rc;
}

static enum err_code code_of(CURLcode rc)
{
    switch (rc) {
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL: return ERR_INVALID;
    case CURLE_TOO_MANY_REDIRECTS:
    case CURLE_PEER_FAILED_VERIFICATION: return ERR_UNSUPPORTED;
    case CURLE_OPERATION_TIMEDOUT: return ERR_LIMIT;
    case CURLE_ABORTED_BY_CALLBACK: return ERR_CANCELLED;
    case CURLE_OUT_OF_MEMORY: return ERR_NOMEM;
    default: return ERR_IO;
    }
}

struct net_shown net_shown(const char *url)
{
    struct net_shown out;
    const char *slashes = strstr(url, "://");
    const char *host = slashes ? slashes + 3 : url;
    const char *at = strrchr(host, '@'); /* the last: a '/' may be in a password unescaped */
    snprintf(out.text, sizeof out.text, "%.*s%s", (int)(host - url), url, at ? at + 1 : host);
    return out;
}

enum err_code net_url_check(const char *url, struct err *err)
{
    CURLU *u = curl_url();
    CURLUcode rc = u ? curl_url_set(u, CURLUPART_URL, url, 0) : CURLUE_OUT_OF_MEMORY;
    bool fits = rc == CURLUE_OK &&
                (!strncasecmp(url, "http://", 7) || !strncasecmp(url, "https://", 8)) &&
                !strpbrk(url, "?#"); /* an empty query, too, would swallow the path */
    curl_url_cleanup(u);
    if (rc == CURLUE_OUT_OF_MEMORY)
        return err_set(err, ERR_NOMEM, "URL");
    return fits ? ERR_NONE
                : err_set(err, ERR_INVALID, "not a URL such as http://HOST:3003: \"%s\"%s%s",
                          net_shown(url).text, rc == CURLUE_OK ? "" : ": ",
                          rc == CURLUE_OK ? "" : curl_url_strerror(rc));
}

static bool is_loopback(const char *host)
{
    bool is_number = !host[strspn(host, "0123456789.")];
    return !strcasecmp(host, "localhost") || str_ends(host, ".localhost") ||
           !strcmp(host, "[::1]") || (is_number && str_starts(host, "127."));
}

bool net_url_is_open(const char *url)
{
    CURLU *u = curl_url();
    char *host = NULL;
    bool open = !strncasecmp(url, "http://", 7) &&
                !(u && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK &&
                  curl_url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK && is_loopback(host));
    curl_free(host);
    curl_url_cleanup(u);
    return open;
}

static enum err_code tell(const struct transfer *t, CURLcode rc, struct err *err)
{
    bool ours = t->why.code != ERR_NONE;
    return err_set(err, ours ? t->why.code : code_of(rc), "%s: %s", net_shown(t->request->url).text,
                   ours       ? t->why.msg
                   : *t->said ? t->said
                              : curl_easy_strerror(rc));
}

enum err_code net_send(struct net *n, const struct net_request *request,
                       struct net_response *response, struct err *err)
{
    struct transfer t = { .request = request, .response = response };
    struct curl_slist *headers = NULL;
    response->head.limit = NET_HEAD_MAX_BYTES;
    enum err_code code = make_headers(request, &headers, err);
    if (code != ERR_NONE)
        return code;
    t.curl = take_handle(n);
    CURLcode rc = t.curl ? set_up(n, &t, headers) : CURLE_OUT_OF_MEMORY;
    if (rc == CURLE_OK)
        rc = curl_easy_perform(t.curl);
    if (rc == CURLE_OK) {
        long status = 0;
        curl_easy_getinfo(t.curl, CURLINFO_RESPONSE_CODE, &status);
        response->status = (unsigned)status;
    } else {
        code = tell(&t, rc, err);
    }
    if (t.curl)
        give_handle(n, t.curl);
    curl_slist_free_all(headers);
    return code;
}
