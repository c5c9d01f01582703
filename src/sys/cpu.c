#include "sys/cpu.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

/* cpu.max of our cgroup: "<quota> <period>" in microseconds, or "max <period>". Inside a container
 * the cgroup is mounted as the root, so that one file is enough. */
static unsigned quota_cores(void)
{
    FILE *f = fopen("/sys/fs/cgroup/cpu.max", "re");
    if (!f)
        return 0;
    unsigned long long quota, period;
    unsigned n = 0;
    if (fscanf(f, "%llu %llu", &quota, &period) == 2 && period)
        n = (unsigned)((quota + period - 1) / period);
    fclose(f);
    return n;
}

unsigned cpu_count(void)
{
    cpu_set_t set;
    unsigned n = 1;
    if (!sched_getaffinity(0, sizeof set, &set) && CPU_COUNT(&set) > 0)
        n = (unsigned)CPU_COUNT(&set);
    unsigned q = quota_cores();
    return q && q < n ? q : n;
}

void cpu_name(char out[128])
{
    struct utsname u;
    snprintf(out, 128, "%s", uname(&u) ? "unknown CPU" : u.machine);
    FILE *f = fopen("/proc/cpuinfo", "re");
    if (!f)
        return;
    char line[256];
    while (fgets(line, sizeof line, f)) {
        char *colon = strchr(line, ':');
        if (colon && !strncmp(line, "model name", 10)) {
            snprintf(out, 128, "%.*s", (int)strcspn(colon + 2, "\n"), colon + 2);
            break;
        }
    }
    fclose(f);
}

/* Not getrusage(): its figure survives exec(), so a small program started by a large one would be
 * told the large one's peak. */
uint64_t cpu_peak_rss(long pid)
{
    char path[64], line[128];
    unsigned long long kib = 0;
    snprintf(path, sizeof path, pid ? "/proc/%ld/status" : "/proc/self/status", pid);
    FILE *f = fopen(path, "re");
    if (!f)
        return 0;
    while (fgets(line, sizeof line, f) && sscanf(line, "VmHWM: %llu", &kib) != 1)
        ;
    fclose(f);
    return kib * 1024;
}
