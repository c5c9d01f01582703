/* cpu.h - how much machine there is for us. */
#ifndef FOVEA_SYS_CPU_H
#define FOVEA_SYS_CPU_H

#include <stdint.h>

/* Cores this process may use: the affinity mask, less where a cgroup (v2) quota gives fewer. >= 1.
 */
unsigned cpu_count(void);

/* "AMD EPYC 9655", or the architecture's name where /proc/cpuinfo gives none. out holds 128 bytes.
 */
void cpu_name(char out[128]);

/* Peak resident memory in bytes of a process, 0 for this one; 0 bytes where the system does not
 * say. */
uint64_t cpu_peak_rss(long pid);

#endif
