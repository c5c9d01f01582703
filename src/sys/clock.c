#include "sys/clock.h"

int64_t clock_ns(const struct timespec *t)
{
    return (int64_t)((uint64_t)t->tv_sec * 1000000000 + (uint64_t)t->tv_nsec);
}

static int64_t now(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return clock_ns(&t);
}

int64_t clock_mono_ns(void)
{
    return now(CLOCK_MONOTONIC);
}

int64_t clock_wall_ns(void)
{
    return now(CLOCK_REALTIME);
}
