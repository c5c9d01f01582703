#include "sys/memory.h"

#include <malloc.h>
#include <stdio.h>

void memory_one_heap(void)
{
    mallopt(M_ARENA_MAX, 1);
}

void memory_give_back(void)
{
    malloc_trim(0);
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
