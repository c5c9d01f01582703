#include "sys/self.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static uint64_t resident_bytes(void)
{
    unsigned long long pages = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (!f)
        return 0;
    if (fscanf(f, "%*u %llu", &pages) != 1)
        pages = 0;
    fclose(f);
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t count_fds(void)
{
    DIR *d = opendir("/proc/self/fd");
    if (!d)
        return 0;
    uint64_t n = 0;
    for (const struct dirent *e; (e = readdir(d));)
        n += e->d_name[0] != '.';
    closedir(d);
    return n ? n - 1 : 0; /* the one that reads the folder */
}

void self_usage(struct self_usage *out)
{
    struct rlimit files = { 0 };
    struct timespec cpu = { 0 };
    getrlimit(RLIMIT_NOFILE, &files);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
    *out = (struct self_usage){ .resident_bytes = resident_bytes(),
                                .n_fds = count_fds(),
                                .max_fds = files.rlim_cur,
                                .cpu_s = (double)cpu.tv_sec + (double)cpu.tv_nsec / 1e9 };
}
