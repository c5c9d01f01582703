#include "http/header.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/str.h"

static bool is_space(char c)
{
    return c && strchr(" \t\n\v\f\r", c);
}

static size_t trim(const char **p, size_t n)
{
    while (n && is_space(**p))
        (*p)++, n--;
    while (n && is_space((*p)[n - 1]))
        n--;
    return n;
}

bool header_is(const char *value, const char *type)
{
    size_t n = trim(&value, strcspn(value, ";"));
    return n == strlen(type) && !strncasecmp(value, type, n);
}

/* Bytes up to the ';' that ends this parameter; one between quotes does not. */
static size_t param_len(const char *p)
{
    bool quoted = false;
    size_t n = 0;
    for (; p[n] && (quoted || p[n] != ';'); n++)
        if (p[n] == '"' && !(n && p[n - 1] == '\\'))
            quoted = !quoted;
    /* A quote that is never closed hides nothing: then the next ';' ends it. */
    return p[n] || !quoted ? n : strcspn(p, ";");
}

/* A copy without the quotes around it and the backslashes before '\' and '"'. */
static char *unquote(const char *p, size_t n)
{
    if (n < 2 || p[0] != '"' || p[n - 1] != '"')
        return str_ndup(p, n);
    char *s = str_ndup(p + 1, n - 2), *to = s;
    for (const char *from = s; from && *from; from++) {
        if (*from == '\\' && (from[1] == '\\' || from[1] == '"'))
            from++;
        *to++ = *from;
    }
    if (s)
        *to = '\0';
    return s;
}

bool header_param(const char *value, const char *name, char **out)
{
    *out = NULL;
    for (const char *p = value + strcspn(value, ";"); *p == ';';) {
        size_t n = param_len(++p), n_key = strcspn(p, "=;");
        const char *key = p, *v = p + n_key + (n_key < n);
        p += n;
        if (n_key > n)
            n_key = n;
        size_t n_value = trim(&v, (size_t)(p - v));
        n_key = trim(&key, n_key);
        if (n_key != strlen(name) || strncasecmp(key, name, n_key) != 0)
            continue;
        free(*out);
        *out = unquote(v, n_value);
        if (!*out)
            return false;
    }
    return true;
}
