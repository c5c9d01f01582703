/* self.h - what this process takes of the machine. */
#ifndef FOVEA_SYS_SELF_H
#define FOVEA_SYS_SELF_H

#include <stdint.h>

struct self_usage {
    uint64_t resident_bytes;
    uint64_t n_fds, max_fds; /* open descriptors, and how many there may be */
    double cpu_s;            /* of all threads since the start */
};

/* 0 where /proc does not say. Takes tens of microseconds. */
void self_usage(struct self_usage *out);

#endif
