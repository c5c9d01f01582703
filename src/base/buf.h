/* buf.h - a byte buffer that grows, up to a bound that its owner names.
 *
 * `{ .limit = n }` is a valid empty one; limit 0 means BUF_LIMIT_DEFAULT. data is always followed
 * by a NUL that len does not count, so text can be read as a string. Owned by the caller; not for
 * several threads at once. After a failed append the content is as before. */
#ifndef FOVEA_BASE_BUF_H
#define FOVEA_BASE_BUF_H

#include <stddef.h>

#include "base/err.h"

#define BUF_LIMIT_DEFAULT ((size_t)64 << 20)

struct buf {
    char *data; /* NULL while nothing was ever appended */
    size_t len, cap, limit;
};

void buf_clear(struct buf *b); /* frees; keeps limit */
void buf_reset(struct buf *b); /* len = 0, memory kept */

/* Room for n more bytes after len (and a NUL). ERR_LIMIT, ERR_NOMEM. */
enum err_code buf_reserve(struct buf *b, size_t n, struct err *err);
enum err_code buf_append(struct buf *b, const void *p, size_t n, struct err *err);
enum err_code buf_puts(struct buf *b, const char *s, struct err *err);
enum err_code buf_printf(struct buf *b, struct err *err, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* The bytes become the caller's to free(); b is empty again. Never NULL on success. */
enum err_code buf_take(struct buf *b, char **out, size_t *n, struct err *err);

#endif
