/* Fail the 1st, 2nd, ... allocation of a request to another service, in whichever thread: each must
 * come back as ERR_NOMEM. A router then does it here, which no case could tell. */
#include "tap.h"

#include "fault.h"
#include "remote/flight.h"
#include "stage.h"

static void on_end(void *ctx)
{
    atomic_store((atomic_bool *)ctx, true);
}

static enum err_code fly(struct net *net, const char *url, struct err *err)
{
    const struct predict_input in = { .text = "a dog", .n_text = 5 };
    atomic_bool ended = false;
    const struct flight_plan plan = { net, url, "token", "clip", on_end, &ended };
    const struct buf *answer;
    struct flight *f;
    enum err_code rc = flight_create(&f, &plan, "{}", &in, "id", err);
    if (rc != ERR_NONE)
        return rc;
    CHECK(flight_wait(f, 0, NULL));
    rc = flight_result(f, &answer, err);
    flight_release(f);
    while (!atomic_load(&ended)) /* it borrows net */
        stage_nap_ms(1);
    return rc;
}

static enum err_code use(struct err *err)
{
    struct stage s = { .replies = { "HTTP/1.1 200 OK\r\n\r\n{\"clip\":\"[1,2,3]\"}" } };
    struct net *net = NULL;
    stage_open(&s);
    enum err_code rc = net_create(&net, NULL, err);
    if (rc == ERR_NONE)
        rc = fly(net, s.url, err);
    net_destroy(net);
    stage_close(&s);
    return rc;
}

static void every_allocation_may_fail(void)
{
    CHECK(fault_each(use) >= 8); /* client, flight, form, URL, head, body, tree */
}

static const struct tap_case cases[] = { CASE(every_allocation_may_fail) };
TAP_MAIN(cases)
