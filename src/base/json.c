#include "base/json.h"

#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

/* jansson spells its type tests as macros, of the names that ours have. */
#undef json_is_null
#undef json_is_object
#undef json_is_array

/* jansson's own depth limit is 2048; a recursive reader of ours must not need a deeper stack. */
enum { DEPTH_MAX = 512 };

/* ---- jansson's memory ----
 *
 * Its lexer takes no notice of a buffer that could not grow, and writes beyond the string that it
 * then makes (akheron/jansson, issue 362). So while it parses, an allocation that fails does not
 * return: it leaves the parser, and all that the parser held goes back by this list. */

struct block {
    alignas(max_align_t) struct block *next;
    struct block *prev; /* a ring of what one parse has allocated */
};

struct parser {
    jmp_buf out_of_memory;
    struct block ring;
};

static _Thread_local struct parser *parser; /* jansson gives its allocator nothing to know it by */

static void unlink_block(struct block *b)
{
    b->prev->next = b->next;
    b->next->prev = b->prev;
}

static void *take_memory(size_t n)
{
    struct block *b = n < SIZE_MAX - sizeof *b ? malloc(sizeof *b + n) : NULL;
    if (!b && parser)
        longjmp(parser->out_of_memory, 1);
    if (!b)
        return NULL;
    struct block *ring = parser ? &parser->ring : b;
    b->next = parser ? ring->next : b;
    b->prev = ring;
    b->next->prev = b;
    ring->next = b;
    return b + 1;
}

static void give_memory(void *p)
{
    struct block *b = p;
    if (!b)
        return;
    unlink_block(--b);
    free(b);
}

__attribute__((constructor)) static void set_allocator(void)
{
    json_set_alloc_funcs(take_memory, give_memory);
}

/* NULL with *no_memory told. */
static json_t *load(struct parser *p, const char *text, size_t n, bool *no_memory, json_error_t *e)
{
    *no_memory = true;
    if (setjmp(p->out_of_memory))
        return NULL;
    json_t *v = json_loadb(text, n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, e);
    *no_memory = !v && json_error_code(e) == json_error_out_of_memory;
    return v;
}

/* ---- in ---- */

static json_t *raw(const struct json *v)
{
    return (json_t *)(uintptr_t)v; /* jansson counts references in const trees too */
}

static bool too_deep(const char *text, size_t n)
{
    int depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < n; i++) {
        char c = text[i];
        if (in_string) {
            if (c == '\\')
                i++;
            else
                in_string = c != '"';
        } else if (c == '"') {
            in_string = true;
        } else if (c == '[' || c == '{') {
            if (++depth > DEPTH_MAX)
                return true;
        } else if (c == ']' || c == '}') {
            depth--;
        }
    }
    return false;
}

enum err_code json_parse(const char *text, size_t n, struct json **out, struct err *err)
{
    *out = NULL;
    if (too_deep(text, n))
        return err_set(err, ERR_INVALID, "JSON nested deeper than %d", DEPTH_MAX);
    json_error_t e;
    bool no_memory;
    struct parser p = { .ring = { &p.ring, &p.ring } };
    parser = &p;
    json_t *v = load(&p, text, n, &no_memory, &e);
    parser = NULL;
    while (!v && p.ring.next != &p.ring)
        give_memory(p.ring.next + 1);
    unlink_block(&p.ring); /* the blocks of the tree stay a ring without it */
    if (no_memory)
        return err_set(err, ERR_NOMEM, "JSON of %zu bytes", n);
    if (!v)
        return err_set(err, ERR_INVALID, "JSON line %d column %d: %s", e.line, e.column, e.text);
    *out = (struct json *)v;
    return ERR_NONE;
}

void json_destroy(struct json *v)
{
    json_decref(raw(v));
}

const struct json *json_get(const struct json *object, const char *key)
{
    return object ? (const struct json *)json_object_get(raw(object), key) : NULL;
}

size_t json_len(const struct json *v)
{
    return json_is_array(v)    ? json_array_size(raw(v))
           : json_is_object(v) ? json_object_size(raw(v))
                               : 0;
}

const struct json *json_at(const struct json *array, size_t i)
{
    return array ? (const struct json *)json_array_get(raw(array), i) : NULL;
}

bool json_is_null(const struct json *v)
{
    return v && json_typeof(raw(v)) == JSON_NULL;
}

bool json_is_object(const struct json *v)
{
    return v && json_typeof(raw(v)) == JSON_OBJECT;
}

bool json_is_array(const struct json *v)
{
    return v && json_typeof(raw(v)) == JSON_ARRAY;
}

const char *json_as_string(const struct json *v, size_t *n)
{
    if (!v || json_typeof(raw(v)) != JSON_STRING)
        return NULL;
    if (n)
        *n = json_string_length(raw(v));
    return json_string_value(raw(v));
}

bool json_as_i64(const struct json *v, int64_t *out)
{
    if (!v || json_typeof(raw(v)) != JSON_INTEGER)
        return false;
    *out = json_integer_value(raw(v));
    return true;
}

bool json_as_f64(const struct json *v, double *out)
{
    if (!v || (json_typeof(raw(v)) != JSON_INTEGER && json_typeof(raw(v)) != JSON_REAL))
        return false;
    *out = json_number_value(raw(v));
    return true;
}

bool json_as_bool(const struct json *v, bool *out)
{
    if (!v || (json_typeof(raw(v)) != JSON_TRUE && json_typeof(raw(v)) != JSON_FALSE))
        return false;
    *out = json_typeof(raw(v)) == JSON_TRUE;
    return true;
}

void *json_first(const struct json *object)
{
    return json_is_object(object) ? json_object_iter(raw(object)) : NULL;
}

void *json_next(const struct json *object, void *it)
{
    return json_object_iter_next(raw(object), it);
}

const char *json_key(void *it)
{
    return json_object_iter_key(it);
}

const struct json *json_value(void *it)
{
    return (const struct json *)json_object_iter_value(it);
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
