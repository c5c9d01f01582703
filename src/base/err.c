#include "base/err.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"

static bool continues(char c) /* a byte inside a UTF-8 sequence */
{
    return ((unsigned char)c & 0xc0) == 0x80;
}

/* A long path must not push out what is wrong with it: the middle goes. */
static void shorten(char msg[ERR_MSG_MAX], const char *text, size_t n)
{
    size_t head = ERR_MSG_MAX / 2, tail = n - (ERR_MSG_MAX - 1 - head - 3);
    while (head && continues(text[head]))
        head--;
    while (continues(text[tail]))
        tail++;
    snprintf(msg, ERR_MSG_MAX, "%.*s...%s", (int)head, text, text + tail);
}

enum err_code err_set(struct err *err, enum err_code code, const char *fmt, ...)
{
    if (err && err->code == ERR_NONE) {
        char text[8192]; /* more than two paths that the system takes have room in */
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(text, sizeof text, fmt, ap);
        va_end(ap);
        size_t n = strlen(text);
        if (n < sizeof err->msg)
            memcpy(err->msg, text, n + 1);
        else
            shorten(err->msg, text, n);
        str_make_line(err->msg);
        err->code = code;
    }
    return code;
}

enum err_code err_prefix(struct err *err, const char *fmt, ...)
{
    if (!err)
        return ERR_INTERNAL;
    struct err was = *err;
    char prefix[ERR_MSG_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(prefix, sizeof prefix, fmt, ap);
    va_end(ap);
    err->code = ERR_NONE;
    return err_set(err, was.code, "%s: %s", prefix, was.msg);
}

const char *err_code_name(enum err_code code)
{
    switch (code) {
    case ERR_NONE: return "ok";
    case ERR_INVALID: return "invalid input";
    case ERR_NOMEM: return "out of memory";
    case ERR_IO: return "i/o error";
    case ERR_NOT_FOUND: return "not found";
    case ERR_LIMIT: return "limit exceeded";
    case ERR_UNSUPPORTED: return "not supported";
    case ERR_CORRUPT: return "corrupt";
    case ERR_BUSY: return "busy";
    case ERR_CANCELLED: return "cancelled";
    case ERR_INTERNAL: return "internal error";
    }
    return "unknown error";
}
