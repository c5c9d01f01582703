/* out.h - what people read: paths that cannot break a line, counts, a progress bar. */
#ifndef FOVEA_APP_OUT_H
#define FOVEA_APP_OUT_H

#include <stdio.h>

#include "library/library.h"

/* The path, or text that a database or another's file gave us, with control characters and
 * ill-formed UTF-8 as \n, \t, \\, \xNN; other bytes as they are. */
void out_path(FILE *f, const char *path);
/* "path: why". The reason may begin with the path already, as errors of sys/file.h do. */
void out_failure(FILE *f, const char *path, const char *why);

/* "1 photo", "2 photos": to be printed where it is made, printf("%s", out_count(n, "photo").text)
 */
struct out_count {
    char text[64];
};
struct out_count out_count(uint64_t n, const char *what);

/* A bar that is redrawn on a terminal, a line now and then elsewhere. */
struct out_progress {
    FILE *f;
    bool terminal;
    int64_t next_line_ns; /* not before, where it is no terminal */
    bool drawn;
};
void out_progress_init(struct out_progress *p, FILE *f);
void out_progress_show(struct out_progress *p, const struct library_progress *at);
/* The same of bytes: of a total of 0, which is not known, without a bar. */
void out_progress_bytes(struct out_progress *p, const char *name, uint64_t n_done,
                        uint64_t n_total);
void out_progress_end(struct out_progress *p); /* leaves a clean line */

#endif
