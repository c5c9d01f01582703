/* clock.h - time: monotonic for measuring, wall for dates. */
#ifndef FOVEA_SYS_CLOCK_H
#define FOVEA_SYS_CLOCK_H

#include <stdint.h>
#include <time.h>

int64_t clock_mono_ns(void); /* never goes back; for durations and deadlines */
int64_t clock_wall_ns(void); /* since 1970-01-01 UTC; the user may set it to anything */

/* As one number. It wraps for times before 1677 and after 2262, which files do have: two that
 * differ still do. */
int64_t clock_ns(const struct timespec *t);

static inline double clock_ms_since(int64_t mono_ns)
{
    return (double)(clock_mono_ns() - mono_ns) / 1e6;
}

#endif
