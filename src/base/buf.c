#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void buf_clear(struct buf *b)
{
    free(b->data);
    *b = (struct buf){ .limit = b->limit };
}

void buf_reset(struct buf *b)
{
    b->len = 0;
    if (b->data)
        b->data[0] = '\0';
}

enum err_code buf_reserve(struct buf *b, size_t n, struct err *err)
{
    size_t limit = b->limit ? b->limit : BUF_LIMIT_DEFAULT;
    if (n > limit || b->len > limit - n)
        return err_set(err, ERR_LIMIT, "%zu bytes more than the limit of %zu", n, limit);
    size_t need = b->len + n + 1; /* cannot wrap: limit < SIZE_MAX */
    if (need <= b->cap)
        return ERR_NONE;
    size_t cap = b->cap < 64 ? 64 : b->cap;
    while (cap < need)
        cap += cap / 2;
    char *data = realloc(b->data, cap);
    if (!data)
        return err_set(err, ERR_NOMEM, "buffer of %zu bytes", cap);
    b->data = data;
    b->cap = cap;
    return ERR_NONE;
}

enum err_code buf_append(struct buf *b, const void *p, size_t n, struct err *err)
{
    enum err_code rc = buf_reserve(b, n, err);
    if (rc != ERR_NONE)
        return rc;
    if (n)
        memcpy(b->data + b->len, p, n);
    b->len += n;
    b->data[b->len] = '\0';
    return ERR_NONE;
}

enum err_code buf_puts(struct buf *b, const char *s, struct err *err)
{
    return buf_append(b, s, strlen(s), err);
}

/* Formatted twice only where there is no room: most of the time of a number is its formatting. */
enum err_code buf_printf(struct buf *b, struct err *err, const char *fmt, ...)
{
    size_t room = b->cap - b->len;
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(room ? b->data + b->len : NULL, room, fmt, ap);
    va_end(ap);
    enum err_code rc = n < 0 ? err_set(err, ERR_INVALID, "cannot format \"%s\"", fmt)
                             : buf_reserve(b, (size_t)n, err);
    if (rc != ERR_NONE) {
        if (room)
            b->data[b->len] = '\0';
        return rc;
    }
    if ((size_t)n >= room) {
        va_start(ap, fmt);
        vsnprintf(b->data + b->len, (size_t)n + 1, fmt, ap);
        va_end(ap);
    }
    b->len += (size_t)n;
    return ERR_NONE;
}

enum err_code buf_take(struct buf *b, char **out, size_t *n, struct err *err)
{
    enum err_code rc = buf_reserve(b, 0, err);
    if (rc != ERR_NONE)
        return rc;
    b->data[b->len] = '\0';
    *out = b->data;
    if (n)
        *n = b->len;
    *b = (struct buf){ .limit = b->limit };
    return ERR_NONE;
}
