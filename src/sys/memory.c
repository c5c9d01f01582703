#include "sys/memory.h"

#include <malloc.h>
#include <stdio.h>

void memory_one_heap(void)
{
    mallopt(M_ARENA_MAX, 1);
}

void memory_give_back(void)
{
/* Those bring a heap of their own, and two threads at once would set up libc's, unused until then.
 */
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    malloc_trim(0);
#endif
}

/* "max" is no number, and no bound. */
static bool read_bytes(const char *path, unsigned long long *n)
{
    FILE *f = fopen(path, "re");
    if (!f)
        return false;
    bool ok = fscanf(f, "%llu", n) == 1;
    fclose(f);
    return ok;
}

static uint64_t system_available(void)
{
    char line[128];
    unsigned long long kib = 0;
    FILE *f = fopen("/proc/meminfo", "re");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "MemAvailable: %llu kB", &kib) == 1)
            break;
    if (f)
        fclose(f);
    return kib << 10;
}

uint64_t memory_available(void)
{
    unsigned long long limit, used;
    uint64_t n = system_available();
    if (!read_bytes("/sys/fs/cgroup/memory.max", &limit) ||
        !read_bytes("/sys/fs/cgroup/memory.current", &used))
        return n;
    uint64_t left = limit > used ? limit - used : 0;
    return n && n < left ? n : left;
}

bool memory_pressure(double *percent)
{
    FILE *f = fopen("/proc/pressure/memory", "re");
    if (!f)
        return false;
    bool ok = fscanf(f, "some avg10=%lf", percent) == 1;
    fclose(f);
    return ok;
}
