/* tool.h - what the tools of the golden tests share: they do one thing and end at the first fault.
 */
#ifndef TESTS_GOLDEN_TOOL_H
#define TESTS_GOLDEN_TOOL_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "image/image.h"
#include "sys/file.h"

static struct err err; /* of the call that need() looks at */

static inline void need(bool ok)
{
    if (ok)
        return;
    fprintf(stderr, "%s: %s\n", err_code_name(err.code), err.code ? err.msg : "cannot read");
    exit(1);
}

/* By the reference contract. */
static inline struct image read_image(struct image_decoder *d, const char *path)
{
    uint8_t *bytes = NULL;
    size_t n = 0;
    struct image im;
    need(file_read(path, IMAGE_MAX_BYTES, &bytes, &n, NULL, &err) == ERR_NONE);
    need(image_decode(d, bytes, n, path, NULL, &im, &err) == ERR_NONE);
    free(bytes);
    return im;
}

#endif
