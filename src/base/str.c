#include "base/str.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool str_to_i64(const char *s, int64_t min, int64_t max, int64_t *out)
{
    char *end;
    if (!s || !((*s >= '0' && *s <= '9') || *s == '-'))
        return false;
    errno = 0;
    long long v = strtoll(s, &end, 10);
    if (errno || end == s || *end || v < min || v > max)
        return false;
    *out = v;
    return true;
}

bool str_to_f64(const char *s, double *out)
{
    char *end;
    if (!s || !strchr("0123456789+-.", *s) || !*s || strpbrk(s, "xXnN")) /* no hex, inf, nan */
        return false;
    errno = 0;
    double v = strtod(s, &end);
    if (errno || end == s || *end || !isfinite(v))
        return false;
    *out = v;
    return true;
}

int str_hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

bool str_starts(const char *s, const char *prefix)
{
    return !strncmp(s, prefix, strlen(prefix));
}

bool str_ends(const char *s, const char *suffix)
{
    size_t n = strlen(s), m = strlen(suffix);
    return n >= m && !memcmp(s + n - m, suffix, m);
}

char *str_ndup(const char *s, size_t n)
{
    char *p = malloc(n + 1);
    if (!p)
        return NULL;
    if (n)
        memcpy(p, s, n);
    p[n] = '\0';
    return p;
}

char *str_format(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *s = NULL;
    int n = vasprintf(&s, fmt, ap);
    va_end(ap);
    return n < 0 ? NULL : s;
}

char *str_path(const char *dir, const char *name)
{
    size_t n = strlen(dir), m = strlen(name);
    bool slash = m && !str_ends(dir, "/");
    char *p = malloc(n + slash + m + 1);
    if (!p)
        return NULL;
    memcpy(p, dir, n);
    if (slash)
        p[n++] = '/';
    memcpy(p + n, name, m + 1);
    return p;
}

void str_make_line(char *s)
{
    for (; *s; s++) {
        const unsigned char c = (unsigned char)*s, next = (unsigned char)s[1];
        if (c < 0x20 || c == 0x7f)
            *s = '?';
        else if (c == 0xc2 && next >= 0x80 && next < 0xa0)
            s[0] = s[1] = '?';
    }
}

char *str_bytes(uint64_t n, char out[16])
{
    static const char unit[][4] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB" };
    double v = (double)n;
    size_t u = 0;
    for (; v >= 1024 && u < 5; u++)
        v /= 1024;
    snprintf(out, 16, u && v < 10 ? "%.1f %s" : "%.0f %s", v, unit[u]);
    return out;
}
