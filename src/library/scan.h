/* scan.h - walk a folder of photos. Internal to library/. */
#ifndef FOVEA_LIBRARY_SCAN_H
#define FOVEA_LIBRARY_SCAN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/err.h"

enum { SCAN_DEPTH_MAX = 200 };

struct scan_file {
    const char *path; /* below the root; valid inside the callback */
    size_t path_len;
    int64_t size_bytes, mtime_ns;
};

struct scan {
    const char *root; /* absolute, no symbolic link in it */
    const char *part; /* only what is below this folder of the root; "" for all */
    const atomic_bool *cancel;
    /* A photo by its name: regular file, or a symbolic link to one. FIFOs, sockets and devices are
     * passed over without being opened. */
    enum err_code (*on_file)(const struct scan_file *f, void *ctx, struct err *err);
    /* Asked before a folder below the first is entered. mounted: it is another disk than its
     * parent, and not by a link. */
    enum err_code (*on_folder)(const char *path, const struct stat *st, bool mounted, bool *enter,
                               void *ctx, struct err *err);
    /* A folder that could not be read, "" for the first: nothing is known of what is below it. */
    enum err_code (*on_blind)(const char *path, const char *why, void *ctx, struct err *err);
    void *ctx;
};

/* Calls in no particular order. Hidden names (a leading dot) and the thumbnails that NAS systems
 * leave
 * (@eaDir, #recycle, ...) are passed over. A folder is entered once however many links lead to it,
 * so loops end. *n_entries: names seen of any kind, so that an empty folder can be told. */
enum err_code scan_run(const struct scan *s, uint64_t *n_entries, struct err *err);

#endif
