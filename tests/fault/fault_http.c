/* Fail the 1st, 2nd, ... allocation of a server's start and of its requests: each request is
 * answered, if by an error, or its connection closed; the next one is served, nothing waits for
 * ever and nothing leaks (the sanitizer looks). libmicrohttpd's own allocations do not pass here;
 * tests/wire makes those fail. */
#include "tap.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fault.h"
#include "http/http.h"

enum { STUCK_S = 20, REQUEST_MAX_BYTES = 8192 };

/* The sizes of the fields, so that an answer shows that they came whole. */
static void measure(const struct http_request *r, struct http_response *out, void *ctx)
{
    const struct http_field *text = http_field(r, "text"), *image = http_field(r, "image");
    (void)ctx;
    if (buf_printf(&out->body, NULL, "%zu %zu", text ? text->data.len : 0,
                   image ? image->data.len : 0) == ERR_NONE)
        out->status = 200;
}

static const struct http_route routes[] = { { "POST", "/work", measure, .is_work = true },
                                            { "POST", "/page", measure, .is_work = false } };

static const struct http_options options = { .routes = routes,
                                             .n_routes = 2,
                                             .host = "127.0.0.1",
                                             .n_threads = 2,
                                             .queue_max = 4,
                                             .max_body_bytes = 1 << 20,
                                             .max_bodies_bytes = 1 << 22,
                                             .max_fields = 8,
                                             .max_text_bytes = 1 << 16,
                                             .keepalive_s = 2,
                                             .timeout_s = STUCK_S };

static int dial(unsigned port)
{
    const struct sockaddr_in to = { .sin_family = AF_INET,
                                    .sin_port = htons((uint16_t)port),
                                    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    const struct timeval patience = { .tv_sec = STUCK_S / 2 };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&to, sizeof to)) {
        close(fd);
        return -1;
    }
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    return fd;
}

/* The status; 0 where the connection was closed without an answer, -1 where nothing came. */
static int ask(unsigned port, const char *request, char answer[1024])
{
    size_t n = 0;
    ssize_t got = -1;
    int fd = dial(port);
    if (fd < 0)
        return -1;
    if (send(fd, request, strlen(request), MSG_NOSIGNAL) > 0)
        while ((got = recv(fd, answer + n, 1023 - n, 0)) > 0)
            n += (size_t)got;
    close(fd);
    answer[n] = '\0';
    if (got < 0 && !n)
        return -1;
    return n > 12 ? atoi(answer + 9) : 0;
}

static const char *post(const char *path, const char *type, const char *body)
{
    static char request[REQUEST_MAX_BYTES];
    snprintf(request, sizeof request,
             "POST %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: %s\r\n"
             "Content-Length: %zu\r\n\r\n%s",
             path, type, strlen(body), body);
    return request;
}

/* A text of Latin-1, which is decoded, and a file that makes its buffer grow. */
static const char *multipart(void)
{
    static char body[REQUEST_MAX_BYTES / 2];
    char file[3001];
    memset(file, 'x', sizeof file - 1);
    file[sizeof file - 1] = '\0';
    snprintf(body, sizeof body,
             "--B\r\nContent-Disposition: form-data; name=\"text\"\r\n\r\ncaf\xe9\r\n"
             "--B\r\nContent-Disposition: form-data; name=\"image\"; filename=\"a\\\"b\"\r\n"
             "Content-Type: image/jpeg\r\n\r\n%s\r\n--B--\r\n",
             file);
    return body;
}

static enum err_code start_and_stop(struct err *err)
{
    struct http_server *s;
    enum err_code rc = http_server_open(&s, &options, err);
    if (rc == ERR_NONE)
        CHECK(http_server_stop(s, 1000));
    http_server_close(s);
    return rc;
}

static void every_allocation_of_the_start_may_fail(void)
{
    CHECK(fault_each(start_and_stop) >= 3);
}

/* Fail each allocation of answering request in turn; want is the answer without. */
static void fail_each(const char *request, const char *want, int at_least)
{
    char answer[1024];
    struct http_server *s;
    REQUIRE(http_server_open(&s, &options, NULL) == ERR_NONE);
    int n = 0;
    for (bool spared = false; !spared; n++) {
        fault_countdown = n;
        int status = ask(http_server_port(s), request, answer);
        spared = fault_countdown >= 0; /* there were fewer than n */
        fault_countdown = -1;
        if (!CHECK(spared ? status == 200 : status == 0 || status == 200 || status >= 500))
            printf("# allocation %d: status %d\n", n, status);
        CHECK(ask(http_server_port(s), request, answer) == 200);
        CHECK(strstr(answer, want) != NULL);
    }
    printf("# %d allocations\n", n - 1);
    CHECK(n > at_least);
    CHECK(http_server_stop(s, 1000 * STUCK_S / 2));
    http_server_close(s);
}

static void every_allocation_of_a_form_may_fail(void)
{
    fail_each(post("/work", "multipart/form-data; boundary=B", multipart()), "\r\n\r\n5 3000", 10);
}

static void every_allocation_of_an_url_form_may_fail(void)
{
    fail_each(post("/work", "application/x-www-form-urlencoded", "text=caf%C3%A9+\xe9&image&a=b"),
              "\r\n\r\n8 0", 8);
}

static void every_allocation_of_a_page_may_fail(void)
{
    fail_each(post("/page", "text/plain", "abc"), "\r\n\r\n0 0", 3);
}

static const struct tap_case cases[] = {
    CASE(every_allocation_of_the_start_may_fail),
    CASE(every_allocation_of_a_form_may_fail),
    CASE(every_allocation_of_an_url_form_may_fail),
    CASE(every_allocation_of_a_page_may_fail),
};
TAP_MAIN(cases)
