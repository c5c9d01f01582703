/* memory.h - memory given back to the system, and whether the system is short of it. */
#ifndef FOVEA_SYS_MEMORY_H
#define FOVEA_SYS_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

/* One heap for all threads instead of one for several: what is free in it can be used by any, and
 * goes back whole. For a process that lives long; before it has threads. */
void memory_one_heap(void);

/* What the heap holds free and could go back, goes back. Takes milliseconds. */
void memory_give_back(void);

/* Bytes that this process could still take: what the system has available, or what a cgroup (v2)
 * leaves, whichever is less; 0 where neither is said. */
uint64_t memory_available(void);

/* The share of the last ten seconds, in percent, in which some task waited for memory (PSI,
 * /proc/pressure/memory); false where the kernel does not say. */
bool memory_pressure(double *percent);

#endif
