/* json_parse.c - text to a tree.
 *
 * Values of an array, or keys and values of an object, lie side by side in the document's arena;
 * they gather on a stack until the array ends and its length is known. Strings are unescaped into
 * one block: text of n bytes has strings of fewer, so it never grows, and what is not used of it
 * costs no memory. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/json_tree.h"
#include "base/str.h"
#include "base/utf8.h"

enum {
    DEPTH_MAX = 512, /* each level is a call or two on the stack */
    VALUES_MAX = 1 << 23,
    FEW_KEYS = 8
};

struct document {
    struct json root; /* first, so that the root is the document */
    struct arena items;
    char *strings;
};

struct reader {
    const char *text, *at, *end;
    struct arena *items;
    char *strings; /* where the next one goes */
    struct json *stack;
    size_t n, cap, n_values;
    int depth;
    struct err *err;
};

static enum err_code fail(const struct reader *r, const char *what)
{
    int line = 1, column = 1;
    for (const char *p = r->text; p < r->at; p++, column++)
        if (*p == '\n')
            line++, column = 0;
    return err_set(r->err, ERR_INVALID, "JSON line %d column %d: %s", line, column, what);
}

/* The byte that is next; -1 at the end. */
static int peek(const struct reader *r)
{
    return r->at < r->end ? (unsigned char)*r->at : -1;
}

static void skip_space(struct reader *r)
{
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\n' || *r->at == '\r' || *r->at == '\t'))
        r->at++;
}

/* Whether c is next but for white space; it is read then. */
static bool accept(struct reader *r, char c)
{
    skip_space(r);
    if (peek(r) != c)
        return false;
    r->at++;
    return true;
}

static enum err_code push(struct reader *r, struct json v)
{
    if (++r->n_values > VALUES_MAX)
        return err_set(r->err, ERR_LIMIT, "JSON of more than %d values", VALUES_MAX);
    if (r->n == r->cap) {
        size_t cap = r->cap ? 2 * r->cap : 64;
        struct json *stack = realloc(r->stack, cap * sizeof *stack);
        if (!stack)
            return err_set(r->err, ERR_NOMEM, "JSON of %td bytes", r->end - r->text);
        r->stack = stack;
        r->cap = cap;
    }
    r->stack[r->n++] = v;
    return ERR_NONE;
}

static bool read_hex(struct reader *r, uint32_t *out)
{
    uint32_t v = 0;
    for (int i = 0; i < 4; i++, r->at++) {
        int digit = r->at < r->end ? str_hex_digit(*r->at) : -1;
        if (digit < 0)
            return false;
        v = v << 4 | (uint32_t)digit;
    }
    *out = v;
    return true;
}

/* What follows "\u"; characters beyond U+FFFF are two of them, a surrogate pair. */
static bool read_unicode(struct reader *r, uint32_t *cp)
{
    uint32_t low;
    if (!read_hex(r, cp) || (*cp >= 0xdc00 && *cp < 0xe000))
        return false;
    if (*cp < 0xd800 || *cp >= 0xe000)
        return true;
    if (r->end - r->at < 2 || *r->at++ != '\\' || *r->at++ != 'u' || !read_hex(r, &low) ||
        low < 0xdc00 || low >= 0xe000)
        return false;
    *cp = 0x10000 + ((*cp - 0xd800) << 10) + (low - 0xdc00);
    return true;
}

/* From the backslash on, into *to. */
static enum err_code read_escape(struct reader *r, char **to)
{
    static const char from[] = "\"\\/bfnrt", is[] = "\"\\/\b\f\n\r\t";
    r->at++;
    int c = peek(r);
    const char *known = c > 0 ? strchr(from, c) : NULL;
    uint32_t cp;
    if (c < 0 || (!known && c != 'u'))
        return fail(r, "not an escape");
    r->at++;
    if (known)
        *(*to)++ = is[known - from];
    else if (read_unicode(r, &cp))
        *to += utf8_encode(cp, *to);
    else
        return fail(r, "not a character by its number");
    return ERR_NONE;
}

/* Copies up to what is not a plain byte of a string. */
static void read_plain(struct reader *r, char **to)
{
    const char *from = r->at;
    while (r->at < r->end && (unsigned char)*r->at >= 0x20 && *r->at != '"' && *r->at != '\\')
        r->at++;
    size_t n = (size_t)(r->at - from);
    memcpy(*to, from, n);
    *to += n;
}

static enum err_code read_string(struct reader *r)
{
    char *to = r->strings;
    r->at++;
    for (read_plain(r, &to); peek(r) != '"'; read_plain(r, &to)) {
        if (peek(r) != '\\')
            return fail(r, "a string without an end, or with a control character");
        enum err_code rc = read_escape(r, &to);
        if (rc != ERR_NONE)
            return rc;
    }
    const char *s = r->strings;
    size_t n = (size_t)(to - s);
    if (!utf8_valid(s, n))
        return fail(r, "ill-formed UTF-8 before this");
    r->at++;
    *to = '\0';
    r->strings = to + 1;
    return push(r, (struct json){ .kind = JSON_STRING, .n = (uint32_t)n, .string = s });
}

/* As they all have their length by strlen() too, a key with a NUL would pass for another. */
static enum err_code read_key(struct reader *r)
{
    skip_space(r);
    if (peek(r) != '"')
        return fail(r, "a key is expected");
    enum err_code rc = read_string(r);
    if (rc != ERR_NONE)
        return rc;
    const struct json *key = &r->stack[r->n - 1];
    if (memchr(key->string, '\0', key->n))
        return fail(r, "NUL in a key");
    return accept(r, ':') ? ERR_NONE : fail(r, "':' is expected");
}

static bool read_digits(struct reader *r)
{
    const char *from = r->at;
    while (peek(r) >= '0' && peek(r) <= '9')
        r->at++;
    return r->at > from;
}

/* The number's extent by RFC 8259; *real: it is not an integer by its spelling. */
static bool scan_number(struct reader *r, bool *real)
{
    if (peek(r) == '-')
        r->at++;
    if (peek(r) == '0')
        r->at++;
    else if (!read_digits(r))
        return false;
    *real = peek(r) == '.' || (peek(r) | 0x20) == 'e';
    if (peek(r) == '.') {
        r->at++;
        if (!read_digits(r))
            return false;
    }
    if (peek(r) < 0 || (peek(r) | 0x20) != 'e')
        return true;
    r->at++;
    if (peek(r) == '+' || peek(r) == '-')
        r->at++;
    return read_digits(r);
}

static enum err_code read_number(struct reader *r)
{
    const char *from = r->at;
    bool real;
    if (!scan_number(r, &real))
        return fail(r, "not a number");
    size_t n = (size_t)(r->at - from);
    memcpy(r->strings, from, n); /* for its NUL; what follows may overwrite it */
    r->strings[n] = '\0';
    struct json v = { .kind = real ? JSON_REAL : JSON_INTEGER };
    errno = 0;
    if (real)
        v.real = strtod(r->strings, NULL);
    else
        v.integer = strtoll(r->strings, NULL, 10);
    if (real ? isinf(v.real) : errno == ERANGE)
        return fail(r, "number out of range");
    return push(r, v);
}

static enum err_code read_word(struct reader *r)
{
    static const struct {
        const char *word;
        enum json_kind kind;
    } words[] = { { "null", JSON_NULL }, { "false", JSON_FALSE }, { "true", JSON_TRUE } };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t n = strlen(words[i].word);
        if ((size_t)(r->end - r->at) < n || memcmp(r->at, words[i].word, n) != 0)
            continue;
        r->at += n;
        return push(r, (struct json){ .kind = words[i].kind });
    }
    return fail(r, "a value is expected");
}

struct hashed {
    uint64_t hash;
    const struct json *key;
};

static int by_hash(const void *a, const void *b)
{
    const struct hashed *x = a, *y = b;
    if (x->hash != y->hash)
        return x->hash < y->hash ? -1 : 1;
    return strcmp(x->key->string, y->key->string);
}

static bool same_key(const struct json *a, const struct json *b)
{
    return a->n == b->n && !memcmp(a->string, b->string, a->n);
}

/* Sorted by hash, which is compared sooner than spelling; keys made to collide cost no more than a
 * sort by spelling. */
static enum err_code check_many_keys(const struct reader *r, const struct json *items, size_t n)
{
    struct hashed *keys = malloc(n * sizeof *keys);
    if (!keys)
        return err_set(r->err, ERR_NOMEM, "JSON of %td bytes", r->end - r->text);
    for (size_t i = 0; i < n; i++) {
        const struct json *key = &items[2 * i];
        uint64_t h = 0xcbf29ce484222325u; /* FNV-1a */
        for (uint32_t k = 0; k < key->n; k++)
            h = (h ^ (unsigned char)key->string[k]) * 0x100000001b3u;
        keys[i] = (struct hashed){ h, key };
    }
    qsort(keys, n, sizeof *keys, by_hash);
    bool twice = false;
    for (size_t i = 1; i < n && !twice; i++)
        twice = same_key(keys[i - 1].key, keys[i].key);
    free(keys);
    return twice ? fail(r, "a key twice in the object that ends here") : ERR_NONE;
}

static enum err_code check_keys(const struct reader *r, const struct json *items, size_t n)
{
    if (n > FEW_KEYS)
        return check_many_keys(r, items, n);
    for (size_t i = 1; i < n; i++)
        for (size_t k = 0; k < i; k++)
            if (same_key(&items[2 * i], &items[2 * k]))
                return fail(r, "a key twice in the object that ends here");
    return ERR_NONE;
}

/* What lies on the stack from begin on becomes one value. */
static enum err_code gather(struct reader *r, enum json_kind kind, size_t begin)
{
    size_t n_items = r->n - begin, n = kind == JSON_OBJECT ? n_items / 2 : n_items;
    struct json *items = NULL;
    if (n_items) {
        items = arena_alloc(r->items, n_items, sizeof *items, r->err);
        if (!items)
            return ERR_NOMEM;
        memcpy(items, r->stack + begin, n_items * sizeof *items);
    }
    r->n = begin;
    enum err_code rc = kind == JSON_OBJECT ? check_keys(r, items, n) : ERR_NONE;
    return rc == ERR_NONE ? push(r, (struct json){ .kind = kind, .n = (uint32_t)n, .items = items })
                          : rc;
}

static enum err_code read_value(struct reader *r);

/* An array or an object, from its bracket on. */
static enum err_code read_items(struct reader *r, enum json_kind kind, char end)
{
    size_t begin = r->n;
    enum err_code rc = ERR_NONE;
    if (++r->depth > DEPTH_MAX)
        return err_set(r->err, ERR_INVALID, "JSON nested deeper than %d", DEPTH_MAX);
    r->at++;
    for (bool closed = accept(r, end); !closed;) {
        if (kind == JSON_OBJECT)
            rc = read_key(r);
        if (rc == ERR_NONE)
            rc = read_value(r);
        if (rc == ERR_NONE && !accept(r, ',') && !(closed = accept(r, end)))
            rc = fail(r, "',' or the end is expected");
        if (rc != ERR_NONE)
            return rc;
    }
    r->depth--;
    return gather(r, kind, begin);
}

static enum err_code read_value(struct reader *r)
{
    skip_space(r);
    int c = peek(r);
    if (c == '{')
        return read_items(r, JSON_OBJECT, '}');
    if (c == '[')
        return read_items(r, JSON_ARRAY, ']');
    if (c == '"')
        return read_string(r);
    return c == '-' || (c >= '0' && c <= '9') ? read_number(r) : read_word(r);
}

static enum err_code read_document(struct reader *r)
{
    enum err_code rc = read_value(r);
    skip_space(r);
    return rc == ERR_NONE && r->at < r->end ? fail(r, "more than one value") : rc;
}

enum err_code json_parse(const char *text, size_t n, struct json **out, struct err *err)
{
    *out = NULL;
    if (n >= UINT32_MAX)
        return err_set(err, ERR_LIMIT, "JSON of %zu bytes", n);
    struct document *d = calloc(1, sizeof *d);
    if (d)
        d->strings = malloc(n + 1);
    if (!d || !d->strings) {
        free(d);
        return err_set(err, ERR_NOMEM, "JSON of %zu bytes", n);
    }
    d->items.limit = 2 * VALUES_MAX * sizeof(struct json); /* twice what values can take */
    struct reader r = { .text = text,
                        .at = text,
                        .end = text + n,
                        .items = &d->items,
                        .strings = d->strings,
                        .err = err };
    enum err_code rc = read_document(&r);
    if (rc == ERR_NONE)
        d->root = r.stack[0];
    free(r.stack);
    if (rc == ERR_NONE)
        *out = &d->root;
    else
        json_destroy(&d->root);
    return rc;
}

void json_destroy(struct json *v)
{
    struct document *d = (struct document *)(void *)v;
    if (!d)
        return;
    arena_clear(&d->items);
    free(d->strings);
    free(d);
}
