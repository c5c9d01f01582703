#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void one_line(char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s < 0x20 || *s == 0x7f)
            *s = '?';
}

enum err_code err_set(struct err *err, enum err_code code, const char *fmt, ...)
{
    if (err && err->code == ERR_NONE) {
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(err->msg, sizeof err->msg, fmt, ap);
        va_end(ap);
        one_line(err->msg);
        err->code = code;
    }
    return code;
}

enum err_code err_prefix(struct err *err, const char *fmt, ...)
{
    if (!err)
        return ERR_INTERNAL;
    char was[sizeof err->msg];
    memcpy(was, err->msg, sizeof was);
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(err->msg, sizeof err->msg, fmt, ap);
    va_end(ap);
    if (n >= 0 && (size_t)n < sizeof err->msg)
        snprintf(err->msg + n, sizeof err->msg - (size_t)n, ": %s", was);
    one_line(err->msg);
    return err->code;
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
