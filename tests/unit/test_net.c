/* The client against a server of raw sockets, which says just what a case wants it to. */
#include "net/net.h"

#include "stage.h"
#include "tap.h"

/* One request to a server that gives one reply; *q has its URL's place filled in. */
static enum err_code ask(struct stage *s, struct net_request *q, struct net_response *a,
                         struct err *e)
{
    struct net *n = NULL;
    char url[64];
    stage_open(s);
    snprintf(url, sizeof url, "%s/a", s->url);
    if (!q->url)
        q->url = url;
    enum err_code rc = net_create(&n, NULL, e);
    if (rc == ERR_NONE)
        rc = net_send(n, q, a, e);
    net_destroy(n);
    stage_close(s);
    return rc;
}

static void a_response_is_read(void)
{
    struct stage s = {
        .replies = { "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Kind:  some \r\n\r\nhello" }
    };
    const char *const headers[] = { "X-Mine: yes" };
    struct net_request q = { .headers = headers, .n_headers = 1, .token = "secret" };
    struct net_response a = { 0 };
    struct err e = { 0 };
    char value[16];
    CHECK(ask(&s, &q, &a, &e) == ERR_NONE);
    CHECK_STR(e.msg, "");
    CHECK(a.status == 200);
    CHECK_STR(a.body.data, "hello");
    CHECK(net_response_header(&a, "x-kind", value, sizeof value));
    CHECK_STR(value, "some");
    CHECK(!net_response_header(&a, "x-kind", value, 4));
    CHECK(!net_response_header(&a, "x-kin", value, sizeof value));
    CHECK(strstr(s.asked[0], "GET /a HTTP/1.1\r\n") == s.asked[0]);
    CHECK(strstr(s.asked[0], "\r\nX-Mine: yes\r\n"));
    CHECK(strstr(s.asked[0], "\r\nAuthorization: Bearer secret\r\n"));
    CHECK(strstr(s.asked[0], "\r\nUser-Agent: fovea/"));
    net_response_clear(&a);
}

static void a_body_is_posted(void)
{
    struct stage s = { .replies = { "HTTP/1.1 201 Made\r\nContent-Length: 0\r\n\r\n" } };
    struct net_request q = { .body = "a=1", .n_body = 3 };
    struct net_response a = { 0 };
    struct err e = { 0 };
    CHECK(ask(&s, &q, &a, &e) == ERR_NONE && a.status == 201 && a.body.len == 0);
    CHECK(strstr(s.asked[0], "POST /a ") == s.asked[0]);
    CHECK(strstr(s.asked[0], "\r\nContent-Length: 3\r\n"));
    CHECK(strstr(s.asked[0], "\r\n\r\na=1"));
    CHECK(!strstr(s.asked[0], "Expect"));
    net_response_clear(&a);
}

static void a_long_body_is_refused(void)
{
    struct stage s = { .replies = { "HTTP/1.1 200 OK\r\n\r\n0123456789" } };
    struct net_request q = { 0 };
    struct net_response a = { .body.limit = 9 };
    struct err e = { 0 };
    CHECK(ask(&s, &q, &a, &e) == ERR_LIMIT);
    CHECK(strstr(e.msg, "http://127.0.0.1:") == e.msg && strstr(e.msg, "/a: "));
    net_response_clear(&a);
}

struct pieces {
    char text[64];
    size_t n;
    enum err_code end;
};

static enum err_code take(const struct net_response *r, const void *p, size_t n, void *ctx,
                          struct err *err)
{
    struct pieces *to = ctx;
    if (to->end != ERR_NONE)
        return err_set(err, to->end, "enough");
    CHECK(r->status == 206);
    CHECK(to->n + n < sizeof to->text);
    memcpy(to->text + to->n, p, n);
    to->n += n;
    return ERR_NONE;
}

static void a_body_goes_by_pieces(void)
{
    struct stage s = { .replies = { "HTTP/1.1 206 Part\r\nContent-Length: 4\r\n\r\npart" } };
    struct pieces got = { 0 };
    struct net_request q = { .on_body = take, .ctx = &got };
    struct net_response a = { 0 };
    struct err e = { 0 };
    CHECK(ask(&s, &q, &a, &e) == ERR_NONE && a.body.len == 0);
    CHECK_STR(got.text, "part");
    net_response_clear(&a);
}

static void a_taker_ends_it(void)
{
    struct stage s = { .replies = { "HTTP/1.1 206 Part\r\nContent-Length: 4\r\n\r\npart" } };
    struct pieces got = { .end = ERR_CORRUPT };
    struct net_request q = { .on_body = take, .ctx = &got };
    struct net_response a = { 0 };
    struct err e = { 0 };
    CHECK(ask(&s, &q, &a, &e) == ERR_CORRUPT);
    CHECK(strstr(e.msg, "/a: enough"));
    net_response_clear(&a);
}

static void an_error_page_is_kept_as_far_as_it_fits(void)
{
    struct stage s = { .replies = { "HTTP/1.1 404 No\r\nContent-Length: 8\r\n\r\nno model" } };
    struct pieces got = { 0 };
    struct net_request q = { .on_body = take, .ctx = &got };
    struct net_response a = { .body.limit = 2 };
    struct err e = { 0 };
    CHECK(ask(&s, &q, &a, &e) == ERR_NONE && a.status == 404 && got.n == 0);
    CHECK_STR(a.body.data, "no");
    net_response_clear(&a);
}

/* The second server is another host in name only, which is what counts. */
static void redirected(const char *host, bool same_port, bool keeps_token)
{
    struct stage second = { .replies = {
                                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-B: 2\r\n\r\nok" } };
    char reply[256];
    stage_open(&second);
    struct stage first = { .replies = { reply } };
    if (same_port)
        first.replies[1] = second.replies[0];
    struct net *n = NULL;
    struct net_response a = { 0 };
    struct err e = { 0 };
    char url[64], value[16];
    CHECK(net_create(&n, NULL, &e) == ERR_NONE);
    stage_open(&first);
    snprintf(url, sizeof url, "http://127.0.0.1:%u/a", first.port);
    snprintf(reply, sizeof reply,
             "HTTP/1.1 302 Found\r\nX-A: 1\r\nX-B: 1\r\nLocation: http://%s:%u/b\r\n"
             "Content-Length: 0\r\nConnection: close\r\n\r\n",
             host, same_port ? first.port : second.port);
    struct net_request q = { .url = url, .token = "secret", .n_redirects_max = 3 };
    CHECK(net_send(n, &q, &a, &e) == ERR_NONE && a.status == 200);
    CHECK_STR(e.msg, "");
    CHECK_STR(a.body.data, "ok");
    CHECK(!net_response_header(&a, "X-A", value, sizeof value));
    CHECK(net_response_header(&a, "X-B", value, sizeof value) && !strcmp(value, "2"));
    CHECK(strstr(first.asked[0], "Bearer secret"));
    const char *asked = same_port ? first.asked[1] : second.asked[0];
    CHECK(strstr(asked, "GET /b"));
    CHECK(!strstr(asked, "secret") == !keeps_token);
    net_response_clear(&a);
    net_destroy(n);
    stage_close(&first);
    stage_close(&second);
}

static void the_token_follows_to_the_same_place_only(void)
{
    redirected("127.0.0.1", true, true);
    redirected("127.0.0.1", false, false); /* another port */
    redirected("localhost", true, false);
}

static void a_redirect_is_followed_only_when_asked(void)
{
    struct stage s = { .replies = { "HTTP/1.1 302 Found\r\nLocation: "
                                    "http://127.0.0.1:1/b\r\nContent-Length: 0\r\n\r\n" } };
    struct net_request q = { 0 };
    struct net_response a = { 0 };
    struct err e = { 0 };
    CHECK(ask(&s, &q, &a, &e) == ERR_NONE && a.status == 302);
    net_response_clear(&a);
}

static void a_redirect_to_a_file_is_refused(void)
{
    struct stage s = { .replies = { "HTTP/1.1 302 Found\r\nLocation: "
                                    "file:///etc/hostname\r\nContent-Length: 0\r\n\r\n" } };
    struct net_request q = { .n_redirects_max = 3 };
    struct net_response a = { 0 };
    struct err e = { 0 };
    CHECK(ask(&s, &q, &a, &e) == ERR_INVALID && a.body.len == 0);
    net_response_clear(&a);
}

static void a_cut_body_is_an_error(void)
{
    struct stage s = { .replies = { "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello" } };
    struct net_request q = { 0 };
    struct net_response a = { 0 };
    struct err e = { 0 };
    CHECK(ask(&s, &q, &a, &e) == ERR_IO);
    CHECK(strstr(e.msg, "/a: ") && strlen(strstr(e.msg, "/a: ")) > 8);
    net_response_clear(&a);
}

static void endless_headers_are_refused(void)
{
    static char reply[NET_HEAD_MAX_BYTES + 4096];
    size_t n = (size_t)snprintf(reply, sizeof reply, "HTTP/1.1 200 OK\r\n");
    while (n < sizeof reply - 64)
        n += (size_t)snprintf(reply + n, sizeof reply - n, "X-%zu: %040d\r\n", n, 0);
    struct stage s = { .replies = { reply } };
    struct net_request q = { 0 };
    struct net_response a = { 0 };
    struct err e = { 0 };
    CHECK(ask(&s, &q, &a, &e) == ERR_LIMIT);
    net_response_clear(&a);
}

static void a_drip_is_given_up(void)
{
    struct stage s = { .pause_ms = 50,
                       .replies = { "HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n0123456789" } };
    struct net_request q = { .timeout_ms = 300 };
    struct net_response a = { 0 };
    struct err e = { 0 };
    CHECK(ask(&s, &q, &a, &e) == ERR_LIMIT);
    net_response_clear(&a);

    struct stage t = { .pause_ms = 200, .replies = { s.replies[0] } };
    struct net_request stall = { .stall_ms = 1000 };
    struct net_response b = { 0 };
    struct err why = { 0 };
    CHECK(ask(&t, &stall, &b, &why) == ERR_LIMIT);
    net_response_clear(&b);
}

static void cancel_ends_it(void)
{
    atomic_bool cancel = true;
    struct stage s = { .pause_ms = 100,
                       .replies = { "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n" } };
    struct net_request q = { .cancel = &cancel };
    struct net_response a = { 0 };
    struct err e = { 0 };
    CHECK(ask(&s, &q, &a, &e) == ERR_CANCELLED);
    net_response_clear(&a);
}

static void what_cannot_be_asked_says_why(void)
{
    static const struct {
        const char *url;
        enum err_code code;
        const char *says;
    } urls[] = {
        { "http://127.0.0.1:1/x", ERR_IO, "http://127.0.0.1:1/x: " },
        { "http://me:secret@127.0.0.1:1/x", ERR_IO, "http://127.0.0.1:1/x: " },
        { "file:///etc/hostname", ERR_INVALID, "file" },
        { "http://", ERR_INVALID, "http://: " },
        { "", ERR_INVALID, "URL" },
    };
    struct net *n = NULL;
    REQUIRE(net_create(&n, NULL, NULL) == ERR_NONE);
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        struct net_request q = { .url = urls[i].url };
        struct net_response a = { 0 };
        struct err e = { 0 };
        if (!CHECK(net_send(n, &q, &a, &e) == urls[i].code && strstr(e.msg, urls[i].says)) ||
            !CHECK(!strstr(e.msg, "secret")))
            printf("# %s: %d %s\n", urls[i].url, e.code, e.msg);
        net_response_clear(&a);
    }
    net_destroy(n);
}

static void urls_are_checked(void)
{
    static const char *const good[] = { "http://gpu:3003",    "https://a.example/ml/",
                                        "HTTP://127.0.0.1",   "http://[fd00::1]:3003",
                                        "https://me:pw@gpu/", "http://gpu" };
    static const char *const bad[] = { "",
                                       "gpu",
                                       "gpu:3003",
                                       "//gpu",
                                       "ftp://gpu",
                                       "file:///etc/passwd",
                                       "http://",
                                       "http://gpu:99999",
                                       "http://gpu:x",
                                       "http://a b",
                                       "http://[::1",
                                       "http://gpu/?a=b",
                                       "http://gpu/#a",
                                       "http://gpu/?",
                                       "http://gpu#",
                                       "http://gpu\n",
                                       "http:gpu" };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (!CHECK(net_url_check(good[i], NULL) == ERR_NONE))
            printf("# %s\n", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct err e = { 0 };
        if (!CHECK(net_url_check(bad[i], &e) == ERR_INVALID && strstr(e.msg, "not a URL such as")))
            printf("# %s: %s\n", bad[i], e.msg);
    }
    struct err e = { 0 };
    CHECK(net_url_check("http://me:secret@gpu:99999", &e) == ERR_INVALID);
    CHECK(!strstr(e.msg, "secret") && strstr(e.msg, "gpu:99999"));
}

static void what_others_can_read_is_known(void)
{
    static const char *const open[] = { "http://gpu:3003",         "HTTP://gpu",
                                        "http://192.168.1.2",      "http://127.example",
                                        "http://[fd00::1]:3003",   "http://localhost@gpu",
                                        "http://localhost.example" };
    static const char *const closed[] = {
        "https://gpu",        "http://localhost:3003", "http://me:pw@LOCALHOST/a",
        "http://a.localhost", "http://127.0.0.1",      "http://127.1.2.3:80/",
        "http://[::1]:3003"
    };
    for (size_t i = 0; i < sizeof open / sizeof *open; i++)
        if (!CHECK(net_url_is_open(open[i])))
            printf("# %s\n", open[i]);
    for (size_t i = 0; i < sizeof closed / sizeof *closed; i++)
        if (!CHECK(!net_url_is_open(closed[i])))
            printf("# %s\n", closed[i]);
}

static const struct tap_case cases[] = {
    CASE(a_response_is_read),
    CASE(a_body_is_posted),
    CASE(a_long_body_is_refused),
    CASE(a_body_goes_by_pieces),
    CASE(a_taker_ends_it),
    CASE(an_error_page_is_kept_as_far_as_it_fits),
    CASE(the_token_follows_to_the_same_place_only),
    CASE(a_redirect_is_followed_only_when_asked),
    CASE(a_redirect_to_a_file_is_refused),
    CASE(a_cut_body_is_an_error),
    CASE(endless_headers_are_refused),
    CASE(a_drip_is_given_up),
    CASE(cancel_ends_it),
    CASE(what_cannot_be_asked_says_why),
    CASE(urls_are_checked),
    CASE(what_others_can_read_is_known),
};
TAP_MAIN(cases)
