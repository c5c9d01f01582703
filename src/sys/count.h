/* count.h - numbers that many threads add to and somebody reads now and then.
 *
 * Who counts owns them, as members of a struct of its own that it shows (http_stats,
 * predict_stats); what they are called in the world is the business of who prints them. So there is
 * no register of names, and nothing here that all share.
 *
 * Adding is one relaxed atomic addition, two for a duration. A reader sees each number whole, but
 * not all of one moment. `{0}` is a valid empty one. Any thread. */
#ifndef FOVEA_SYS_COUNT_H
#define FOVEA_SYS_COUNT_H

#include <stdatomic.h>
#include <stdint.h>

/* Only grows. */
struct count {
    atomic_uint_fast64_t n;
};

static inline void count_add(struct count *c, uint64_t n)
{
    atomic_fetch_add_explicit(&c->n, n, memory_order_relaxed);
}

static inline uint64_t count_read(const struct count *c)
{
    return atomic_load_explicit(&c->n, memory_order_relaxed);
}

/* Durations by size: in[i] are those of at most count_bounds_ms[i] and more than the one before,
 * the last those of more than all. */
enum { COUNT_BOUNDS = 14 };
extern const double count_bounds_ms[COUNT_BOUNDS];

struct count_times {
    struct count in[COUNT_BOUNDS + 1];
    struct count sum_ns;
};

void count_time(struct count_times *t, int64_t ns);

#endif
