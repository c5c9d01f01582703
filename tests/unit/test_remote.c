/* Work for other services: what they are sent, which answers count, who is asked and who is up.
 * The whole of it, with services that come back, is in wire/test_upstream.py. */
#include "tap.h"

#include <stdlib.h>

#include "predict/predict.h"
#include "remote/flight.h"
#include "stage.h"
#include "sys/clock.h"

#define OK "HTTP/1.1 200 OK\r\n\r\n"
#define THERE "{\"clip\":\"[1,2,3]\"}"
#define PONG OK "pong"
static const char text_entries[] = "{\"clip\":{\"textual\":{\"modelName\":\"toy\"}}}";
static const char absent_entries[] = "{\"clip\":{\"textual\":{\"modelName\":\"absent\"}}}";
static const struct predict_input a_dog = { .text = "a dog", .n_text = 5 };

/* ---- what is sent ---- */

static bool has(const struct ask *a, const char *part)
{
    return memmem(a->form.data, a->form.len, part, strlen(part)) != NULL;
}

static void a_form_is_as_immich_sends_it(void)
{
    struct ask a;
    REQUIRE(ask_init(&a, text_entries, &a_dog, false, NULL) == ERR_NONE);
    const char *boundary = strstr(a.type, "multipart/form-data; boundary=");
    REQUIRE(boundary);
    boundary += strlen("multipart/form-data; boundary=");
    char part[512];
    snprintf(part, sizeof part,
             "--%s\r\nContent-Disposition: form-data; name=\"entries\"\r\n\r\n%s\r\n", boundary,
             text_entries);
    CHECK(has(&a, part));
    snprintf(part, sizeof part,
             "--%s\r\nContent-Disposition: form-data; name=\"text\"\r\n\r\na dog\r\n--%s--\r\n",
             boundary, boundary);
    CHECK(has(&a, part) && a.form.len > strlen(part));
    CHECK(!memcmp(a.form.data + a.form.len - strlen(part), part, strlen(part)));
    CHECK(!has(&a, REMOTE_FIELD));
    ask_clear(&a);
}

/* Bytes of any kind, and a boundary of their own, so that they cannot end their part. */
static void a_picture_is_sent_as_it_is(void)
{
    static const uint8_t bytes[] = "\xff\xd8\0\r\n--\r\n";
    const struct predict_input in = { .image = bytes, .n_image = sizeof bytes };
    struct ask a, b;
    REQUIRE(ask_init(&a, text_entries, &in, false, NULL) == ERR_NONE);
    REQUIRE(ask_init(&b, text_entries, &a_dog, false, NULL) == ERR_NONE);
    CHECK(has(
        &a, "name=\"image\"; filename=\"blob\"\r\nContent-Type: application/octet-stream\r\n\r\n"));
    CHECK(memmem(a.form.data, a.form.len, bytes, sizeof bytes) != NULL);
    CHECK(strcmp(a.type, b.type) != 0);
    ask_clear(&a);
    ask_clear(&b);
}

/* By this field the other knows that it is not to hand it on. */
static void what_is_handed_over_says_so(void)
{
    struct ask a;
    REQUIRE(ask_init(&a, text_entries, &a_dog, true, NULL) == ERR_NONE);
    CHECK(has(&a, "name=\"" REMOTE_FIELD "\"\r\n\r\n1\r\n"));
    ask_clear(&a);
}

/* ---- one under way ---- */

static void count_end(void *ctx)
{
    atomic_fetch_add((atomic_int *)ctx, 1);
}

static void wait_for(const atomic_int *n, int want)
{
    for (int i = 0; i < 1000 && atomic_load(n) < want; i++)
        stage_nap_ms(10);
    CHECK(atomic_load(n) == want);
}

static void only_an_answer_is_one(void)
{
    static const struct {
        const char *reply;
        enum err_code code;
        const char *says;
    } replies[] = {
        { OK THERE, ERR_NONE, "" },
        { OK "{}", ERR_INVALID, "no \"clip\"" },
        { OK "{\"clip\":null}", ERR_INVALID, "no \"clip\"" },
        { OK "{\"ocr\":{}}", ERR_INVALID, "no \"clip\"" },
        { OK "[\"clip\"]", ERR_INVALID, "no JSON object" },
        { OK "{\"clip\":\"[1", ERR_INVALID, "no JSON object" },
        { OK, ERR_INVALID, "no JSON object" },
        { "HTTP/1.1 500 No\r\n\r\n" THERE, ERR_INVALID, "status 500" },
        { "HTTP/1.1 302 Found\r\nLocation: /a\r\n\r\n", ERR_INVALID, "status 302" },
        { "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n" THERE, ERR_IO, "http://127.0.0.1:" },
    };
    struct net *net = NULL;
    REQUIRE(net_create(&net, NULL, NULL) == ERR_NONE);
    for (size_t i = 0; i < sizeof replies / sizeof *replies; i++) {
        struct stage s = { .replies = { replies[i].reply } };
        atomic_int n_ended = 0;
        stage_open(&s);
        const struct flight_plan plan = { net, s.url, "secret", "clip", count_end, &n_ended };
        struct flight *f = NULL;
        const struct buf *answer;
        struct err e = { 0 };
        REQUIRE(flight_create(&f, &plan, text_entries, &a_dog, "id-1", NULL) == ERR_NONE);
        CHECK(flight_wait(f, 0, NULL));
        if (!CHECK(flight_result(f, &answer, &e) == replies[i].code &&
                   strstr(e.msg, replies[i].says)))
            printf("# %s: %s\n", replies[i].reply, e.msg);
        CHECK(atomic_load(flight_has_answer(f)) == (replies[i].code == ERR_NONE));
        CHECK(!strstr(e.msg, "secret"));
        flight_release(f);
        wait_for(&n_ended, 1);
        stage_close(&s);
        CHECK(strstr(s.asked[0], "POST /predict ") == s.asked[0]);
        CHECK(strstr(s.asked[0], "\r\nAuthorization: Bearer secret\r\n"));
        CHECK(strstr(s.asked[0], "\r\nX-Request-Id: id-1\r\n"));
    }
    net_destroy(net);
}

static void who_waits_may_leave(void)
{
    struct stage s = { .replies = { OK THERE }, .delay_ms = 1000 };
    struct net *net = NULL;
    struct flight *f = NULL;
    atomic_int n_ended = 0;
    const atomic_bool gone = true;
    REQUIRE(net_create(&net, NULL, NULL) == ERR_NONE);
    stage_open(&s);
    const struct flight_plan plan = { net, s.url, NULL, "clip", count_end, &n_ended };
    REQUIRE(flight_create(&f, &plan, text_entries, &a_dog, "id", NULL) == ERR_NONE);
    int64_t start = clock_mono_ns();
    CHECK(!flight_wait(f, 30, NULL) && clock_ms_since(start) >= 30);
    CHECK(!flight_wait(f, 0, &gone));
    flight_release(f);
    wait_for(&n_ended, 1);
    stage_close(&s);
    net_destroy(net);
}

/* ---- the router ---- */

struct world {
    struct stage stage;
    struct predict *predict;
    struct remote_router *router;
};

/* Texts go to the stage, whose first ping has been answered. */
static void open_world(struct world *w, unsigned hedge_ms)
{
    char models[1024];
    const char *tests = getenv("FOVEA_TESTS");
    snprintf(models, sizeof models, "%s/models", tests ? tests : "tests");
    const struct predict_options p = { .models_dir = models, .infer = { .n_threads = 1 } };
    w->stage.ping = PONG;
    stage_open(&w->stage);
    const struct remote_options r = { .urls[REMOTE_TEXTUAL] = w->stage.url, .hedge_ms = hedge_ms };
    CHECK(predict_create(&w->predict, &p, NULL) == ERR_NONE);
    CHECK(remote_router_create(&w->router, &r, NULL) == ERR_NONE);
    while (!w->stage.n_pings)
        stage_nap_ms(5);
    stage_nap_ms(200); /* until the watcher has read it */
}

static void close_world(struct world *w)
{
    remote_router_destroy(w->router);
    predict_destroy(w->predict);
    stage_close(&w->stage);
}

static enum err_code run(struct world *w, const char *json, const struct predict_input *in,
                         struct buf *out, struct err *err)
{
    struct predict_entries e;
    enum err_code rc = predict_entries_parse(json, strlen(json), &e, err);
    buf_reset(out);
    if (rc == ERR_NONE)
        rc = remote_router_run(w->router, w->predict, &e, json, in, "id", out, err);
    predict_entries_clear(&e);
    return rc;
}

/* Does an answer come from here? One from there is THERE. */
static bool is_from_here(const struct buf *answer)
{
    return answer->len > 100 && !strncmp(answer->data, "{\"clip\":\"[", 10);
}

static void check_stats(const struct world *w, unsigned n_answered, unsigned n_failed,
                        unsigned n_overtaken, bool was_up)
{
    bool is_up;
    const struct remote_stats *s = remote_router_stats(w->router, REMOTE_TEXTUAL, &is_up);
    REQUIRE(s);
    CHECK(count_read(&s->n_answered) == n_answered && count_read(&s->n_failed) == n_failed &&
          count_read(&s->n_overtaken) == n_overtaken);
    CHECK(is_up == was_up);
}

static void a_bad_address_names_its_kind(void)
{
    struct remote_router *r;
    struct err e = { 0 };
    const struct remote_options bad = { .urls[REMOTE_OCR] = "gpu:3003" };
    CHECK(remote_router_create(&r, &bad, &e) == ERR_INVALID && !r);
    CHECK(strstr(e.msg, "upstream of ocr: not a URL") == e.msg);
}

static void each_kind_has_its_own(void)
{
    struct world w = { .stage.replies = { OK THERE, OK THERE } };
    struct buf answer = { 0 };
    bool is_up;
    open_world(&w, 0);
    CHECK(run(&w, text_entries, &a_dog, &answer, NULL) == ERR_NONE);
    CHECK_STR(answer.data, THERE);
    check_stats(&w, 1, 0, 0, true);
    for (int k = 0; k < REMOTE_N_KINDS; k++)
        if (k != REMOTE_TEXTUAL)
            CHECK(!remote_router_stats(w.router, (enum remote_kind)k, &is_up) && !is_up);
    /* of a kind without one, and of two kinds: here, in the words of this service */
    CHECK(run(&w, "{\"clip\":{\"visual\":{\"modelName\":\"toy\"}}}", &a_dog, &answer, NULL) ==
          ERR_INVALID);
    CHECK(run(&w,
              "{\"clip\":{\"textual\":{\"modelName\":\"toy\"},\"visual\":{\"modelName\":\"toy\"}}}",
              &a_dog, &answer, NULL) == ERR_INVALID);
    CHECK(run(&w, "{}", &a_dog, &answer, NULL) == ERR_NONE);
    CHECK(w.stage.n_served == 1);
    buf_clear(&answer);
    close_world(&w);
}

/* A refusal may be right, so who refuses stays up; who hangs up is down, and not asked again. */
static void what_fails_there_is_done_here(void)
{
    struct world w = { .stage.replies = { "HTTP/1.1 500 No\r\n\r\nno", OK "{}" } };
    struct buf answer = { 0 };
    open_world(&w, 0);
    for (unsigned n = 1; n <= 2; n++) {
        CHECK(run(&w, text_entries, &a_dog, &answer, NULL) == ERR_NONE && is_from_here(&answer));
        check_stats(&w, 0, n, 0, true);
    }
    CHECK(run(&w, text_entries, &a_dog, &answer, NULL) == ERR_NONE && is_from_here(&answer));
    check_stats(&w, 0, 3, 0, false);
    CHECK(run(&w, text_entries, &a_dog, &answer, NULL) == ERR_NONE && is_from_here(&answer));
    CHECK(w.stage.n_served == 3);
    check_stats(&w, 0, 3, 0, false);
    buf_clear(&answer);
    close_world(&w);
}

static void who_is_slow_is_overtaken(void)
{
    struct world w = { .stage = { .replies = { OK THERE }, .delay_ms = 1500 } };
    struct buf answer = { 0 };
    open_world(&w, 20);
    int64_t start = clock_mono_ns();
    CHECK(run(&w, text_entries, &a_dog, &answer, NULL) == ERR_NONE && is_from_here(&answer));
    CHECK(clock_ms_since(start) < 1500);
    check_stats(&w, 0, 0, 1, true);
    buf_clear(&answer);
    close_world(&w);
}

static void what_only_the_other_can_is_waited_for(void)
{
    struct world w = { .stage = { .replies = { OK THERE, OK "{}" }, .delay_ms = 300 } };
    struct buf answer = { 0 };
    struct err e = { 0 };
    open_world(&w, 20);
    CHECK(run(&w, absent_entries, &a_dog, &answer, NULL) == ERR_NONE);
    CHECK_STR(answer.data, THERE);
    check_stats(&w, 1, 0, 0, true);
    CHECK(run(&w, absent_entries, &a_dog, &answer, &e) == ERR_NOT_FOUND && strstr(e.msg, "absent"));
    check_stats(&w, 1, 1, 0, true);
    buf_clear(&answer);
    close_world(&w);
}

static void a_client_that_left_is_not_waited_for(void)
{
    struct world w = { .stage = { .replies = { OK THERE }, .delay_ms = 1000 } };
    const atomic_bool gone = true;
    struct predict_input in = a_dog;
    struct buf answer = { 0 };
    in.cancel = &gone;
    open_world(&w, 0);
    CHECK(run(&w, text_entries, &in, &answer, NULL) == ERR_CANCELLED);
    check_stats(&w, 0, 0, 0, true);
    buf_clear(&answer);
    close_world(&w); /* while the request is under way */
}

static const struct tap_case cases[] = {
    CASE(a_form_is_as_immich_sends_it),
    CASE(a_picture_is_sent_as_it_is),
    CASE(what_is_handed_over_says_so),
    CASE(only_an_answer_is_one),
    CASE(who_waits_may_leave),
    CASE(a_bad_address_names_its_kind),
    CASE(each_kind_has_its_own),
    CASE(what_fails_there_is_done_here),
    CASE(who_is_slow_is_overtaken),
    CASE(what_only_the_other_can_is_waited_for),
    CASE(a_client_that_left_is_not_waited_for),
};
TAP_MAIN(cases)
