#include "base/json.h"

#include <math.h>
#include <string.h>

#include "base/json_tree.h"
#include "base/utf8.h"

/* ---- in ---- */

const struct json *json_get(const struct json *object, const char *key)
{
    for (const void *it = json_first(object); it; it = json_next(object, it))
        if (!strcmp(json_key(it), key))
            return json_value(it);
    return NULL;
}

size_t json_len(const struct json *v)
{
    return json_is_array(v) || json_is_object(v) ? v->n : 0;
}

const struct json *json_at(const struct json *array, size_t i)
{
    return json_is_array(array) && i < array->n ? &array->items[i] : NULL;
}

bool json_is_null(const struct json *v)
{
    return v && v->kind == JSON_NULL;
}

bool json_is_object(const struct json *v)
{
    return v && v->kind == JSON_OBJECT;
}

bool json_is_array(const struct json *v)
{
    return v && v->kind == JSON_ARRAY;
}

const char *json_as_string(const struct json *v, size_t *n)
{
    if (!v || v->kind != JSON_STRING)
        return NULL;
    if (n)
        *n = v->n;
    return v->string;
}

bool json_as_i64(const struct json *v, int64_t *out)
{
    if (!v || v->kind != JSON_INTEGER)
        return false;
    *out = v->integer;
    return true;
}

bool json_as_f64(const struct json *v, double *out)
{
    if (!v || (v->kind != JSON_INTEGER && v->kind != JSON_REAL))
        return false;
    *out = v->kind == JSON_REAL ? v->real : (double)v->integer;
    return true;
}

bool json_as_bool(const struct json *v, bool *out)
{
    if (!v || (v->kind != JSON_TRUE && v->kind != JSON_FALSE))
        return false;
    *out = v->kind == JSON_TRUE;
    return true;
}

const void *json_first(const struct json *object)
{
    return json_is_object(object) && object->n ? object->items : NULL;
}

const void *json_next(const struct json *object, const void *it)
{
    const struct json *next = (const struct json *)it + 2;
    return next < object->items + (size_t)2 * object->n ? next : NULL;
}

const char *json_key(const void *it)
{
    return ((const struct json *)it)->string;
}

const struct json *json_value(const void *it)
{
    return (const struct json *)it + 1;
}

/* ---- out ---- */

static enum err_code put_escaped(struct buf *b, uint32_t cp, struct err *err)
{
    static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
    const char *at = cp && cp < 0x80 ? strchr(from, (int)cp) : NULL;
    if (at)
        return buf_append(b, (char[]){ '\\', to[at - from] }, 2, err);
    if (cp < 0x20 || cp == 0x7f)
        return buf_printf(b, err, "\\u%04x", cp);
    char enc[4];
    return buf_append(b, enc, utf8_encode(cp, enc), err);
}

enum err_code json_put_string(struct buf *b, const char *s, size_t n, struct err *err)
{
    enum err_code rc = buf_puts(b, "\"", err);
    for (size_t i = 0; i < n && rc == ERR_NONE;) {
        uint32_t cp;
        i += utf8_decode(s + i, n - i, &cp);
        rc = put_escaped(b, cp, err);
    }
    return rc == ERR_NONE ? buf_puts(b, "\"", err) : rc;
}

enum err_code json_put_float(struct buf *b, float v, struct err *err)
{
    return isfinite(v) ? buf_printf(b, err, "%.9g", (double)v) : buf_puts(b, "null", err);
}

enum err_code json_put_floats(struct buf *b, const float *v, size_t n, struct err *err)
{
    enum err_code rc = buf_puts(b, "[", err);
    for (size_t i = 0; i < n && rc == ERR_NONE; i++) {
        if (i)
            rc = buf_puts(b, ",", err);
        if (rc == ERR_NONE)
            rc = json_put_float(b, v[i], err);
    }
    return rc == ERR_NONE ? buf_puts(b, "]", err) : rc;
}
