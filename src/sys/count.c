#include "sys/count.h"

/* From a short text on a fast machine to a photo that waits behind a hundred. */
const double count_bounds_ms[COUNT_BOUNDS] = { 1,   2.5, 5,    10,   25,   50,    100,
                                               250, 500, 1000, 2500, 5000, 10000, 30000 };

void count_time(struct count_times *t, int64_t ns)
{
    int i = 0;
    while (i < COUNT_BOUNDS && (double)ns > count_bounds_ms[i] * 1e6)
        i++;
    count_add(&t->in[i], 1);
    count_add(&t->sum_ns, (uint64_t)ns);
}
