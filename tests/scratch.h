/* scratch.h - a folder for one test, gone afterwards whatever its modes became. */
#ifndef TESTS_SCRATCH_H
#define TESTS_SCRATCH_H

#include <stdio.h>
#include <stdlib.h>

static char scratch[32]; /* its path */

static inline void scratch_make(void)
{
    snprintf(scratch, sizeof scratch, "/tmp/fovea-test-XXXXXX");
    if (!mkdtemp(scratch))
        abort();
}

static inline void scratch_remove(void)
{
    char cmd[96];
    snprintf(cmd, sizeof cmd, "chmod -R u+w %s && rm -rf %s", scratch, scratch);
    if (system(cmd))
        abort();
}

#endif
