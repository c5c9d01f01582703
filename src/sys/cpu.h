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

/* Peak resident memory of this process in bytes (getrusage), and of its waited-for children. */
uint64_t cpu_peak_rss(void);
uint64_t cpu_peak_rss_children(void);

#endif
