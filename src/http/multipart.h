/* multipart.h - a multipart/form-data body cut into parts while it arrives (RFC 7578).
 *
 * What is well formed, and what a malformed body comes to, is as in python-multipart 0.0.32: bytes
 * before the first boundary are an error, unless they begin with a line end; a part that the
 * closing boundary does not follow is never ended, and so no field; what follows the closing
 * boundary is passed over. One thread. */
#ifndef FOVEA_HTTP_MULTIPART_H
#define FOVEA_HTTP_MULTIPART_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

enum { MULTIPART_HEADERS_MAX = 8, MULTIPART_HEADER_MAX_BYTES = 4096 + 128 };

/* What happens, in order: begin, data..., end. What they return stops the parser. */
struct multipart_events {
    /* disposition: the value of Content-Disposition, "" where there was none */
    enum err_code (*begin)(void *ctx, const char *disposition, struct err *err);
    enum err_code (*data)(void *ctx, const char *p, size_t n, struct err *err);
    enum err_code (*end)(void *ctx, struct err *err);
};

struct multipart {
    const struct multipart_events *events;
    void *ctx;
    char *delimiter; /* "\r\n--boundary" */
    size_t n_delimiter;
    int state;
    size_t matched;         /* of the delimiter and what follows it: held back, perhaps data */
    struct buf header;      /* the line that is being read */
    struct buf disposition; /* of this part */
    size_t n_headers;
};

/* ERR_INVALID (an empty boundary), ERR_NOMEM. */
enum err_code multipart_init(struct multipart *m, const char *boundary,
                             const struct multipart_events *events, void *ctx, struct err *err);
void multipart_clear(struct multipart *m);

/* The next n bytes of the body. ERR_INVALID: "Invalid multipart data."; what an event returned. */
enum err_code multipart_write(struct multipart *m, const char *p, size_t n, struct err *err);

#endif
