#include "http/form.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "base/utf8.h"
#include "http/header.h"

static enum err_code begin_part(void *ctx, const char *disposition, struct err *err);
static enum err_code part_data(void *ctx, const char *p, size_t n, struct err *err);
static enum err_code end_part(void *ctx, struct err *err);
static const struct multipart_events events = { begin_part, part_data, end_part };

enum err_code form_init(struct form *f, const char *content_type, const struct form_limits *limits,
                        struct form_budget *budget, struct err *err)
{
    *f = (struct form){ .limits = *limits, .budget = budget };
    if (content_type && header_is(content_type, "application/x-www-form-urlencoded")) {
        f->kind = FORM_URLENCODED;
        f->encoded.limit = 4 * limits->max_text_bytes; /* a byte may come as three */
        return ERR_NONE;
    }
    if (!content_type || !header_is(content_type, "multipart/form-data"))
        return ERR_NONE;
    char *boundary;
    if (!header_param(content_type, "boundary", &boundary))
        return err_set(err, ERR_NOMEM, "form");
    enum err_code rc = multipart_init(&f->multipart, boundary ? boundary : "", &events, f, err);
    if (rc == ERR_NONE)
        f->kind = FORM_MULTIPART;
    free(boundary);
    return rc;
}

static void clear_field(struct http_field *field)
{
    free(field->name);
    buf_clear(&field->data);
}

void form_clear(struct form *f)
{
    for (size_t i = 0; i < f->n_fields; i++)
        clear_field(&f->fields[i]);
    free(f->fields);
    multipart_clear(&f->multipart);
    buf_clear(&f->encoded);
    if (f->budget)
        atomic_fetch_sub(&f->budget->used, f->held);
    *f = (struct form){ 0 };
}

/* Append, counting what the buffer takes rather than what it holds. */
static enum err_code append(struct form *f, struct buf *b, const char *p, size_t n, struct err *err)
{
    size_t before = b->cap;
    enum err_code rc = buf_append(b, p, n, err);
    uint64_t more = b->cap - before;
    if (!more)
        return rc;
    f->held += more;
    uint64_t used = atomic_fetch_add(&f->budget->used, more) + more;
    if (rc == ERR_NONE && used > f->budget->max)
        rc = err_set(err, ERR_BUSY, "too many bodies at once, the limit is %llu bytes in all",
                     (unsigned long long)f->budget->max);
    return rc;
}

/* Text that is not UTF-8 is Latin-1, where every byte is a character. */
static enum err_code decode_text(struct buf *text, struct err *err)
{
    if (utf8_valid(text->data, text->len))
        return ERR_NONE;
    struct buf out = { .limit = 2 * text->len };
    enum err_code rc = ERR_NONE;
    for (size_t i = 0; i < text->len && rc == ERR_NONE; i++) {
        char enc[4];
        rc = buf_append(&out, enc, utf8_encode((unsigned char)text->data[i], enc), err);
    }
    if (rc != ERR_NONE) {
        buf_clear(&out);
        return rc;
    }
    buf_clear(text);
    *text = out;
    return ERR_NONE;
}

/* One more field; it takes name. */
static enum err_code add_field(struct form *f, char *name, bool is_file, struct err *err)
{
    enum err_code rc = ERR_NONE;
    if (f->n_fields == f->limits.max_fields)
        rc = err_set(err, ERR_LIMIT, "too many fields, the limit is %zu", f->limits.max_fields);
    if (rc == ERR_NONE && f->n_fields == f->cap_fields) {
        size_t cap = f->cap_fields ? 2 * f->cap_fields : 4;
        struct http_field *fields = realloc(f->fields, cap * sizeof *fields);
        if (fields) {
            f->fields = fields;
            f->cap_fields = cap;
        } else {
            rc = err_set(err, ERR_NOMEM, "form");
        }
    }
    if (rc != ERR_NONE) {
        free(name);
        return rc;
    }
    size_t limit = is_file ? f->limits.max_file_bytes : f->limits.max_text_bytes;
    f->fields[f->n_fields++] =
        (struct http_field){ .name = name, .data = { .limit = limit }, .is_file = is_file };
    return ERR_NONE;
}

static enum err_code begin_part(void *ctx, const char *disposition, struct err *err)
{
    struct form *f = ctx;
    char *name, *filename = NULL;
    if (!header_param(disposition, "name", &name) ||
        !header_param(disposition, "filename", &filename)) {
        free(name);
        return err_set(err, ERR_NOMEM, "form");
    }
    bool is_file = filename != NULL;
    free(filename);
    if (!name)
        return err_set(err, ERR_INVALID,
                       "The Content-Disposition header field \"name\" must be provided.");
    f->in_part = true;
    return add_field(f, name, is_file, err);
}

static enum err_code part_data(void *ctx, const char *p, size_t n, struct err *err)
{
    struct form *f = ctx;
    struct http_field *field = &f->fields[f->n_fields - 1];
    if (field->data.limit - field->data.len < n)
        return err_set(err, ERR_LIMIT, "field \"%.60s\" is larger than the limit of %zu bytes",
                       field->name, field->data.limit);
    return append(f, &field->data, p, n, err);
}

static enum err_code end_part(void *ctx, struct err *err)
{
    struct form *f = ctx;
    struct http_field *field = &f->fields[f->n_fields - 1];
    f->in_part = false;
    enum err_code rc = append(f, &field->data, "", 0, err); /* an empty field has a NUL too */
    return rc == ERR_NONE && !field->is_file ? decode_text(&field->data, err) : rc;
}

/* The ASCII bytes p[0..n) with their escapes resolved; what they spell is read as UTF-8. */
static enum err_code unescape(struct buf *out, const char *p, size_t n, struct err *err)
{
    struct buf bytes = { .limit = n };
    enum err_code rc = ERR_NONE;
    for (size_t i = 0; i < n && rc == ERR_NONE; i++) {
        char c = p[i] == '+' ? ' ' : p[i];
        int hi = i + 2 < n ? str_hex_digit(p[i + 1]) : -1,
            lo = i + 2 < n ? str_hex_digit(p[i + 2]) : -1;
        if (c == '%' && hi >= 0 && lo >= 0) {
            c = (char)(hi << 4 | lo);
            i += 2;
        }
        rc = buf_append(&bytes, &c, 1, err);
    }
    if (rc == ERR_NONE && bytes.len)
        rc = utf8_repair(out, bytes.data, bytes.len, err);
    buf_clear(&bytes);
    return rc;
}

/* As Python's unquote_plus() of Latin-1: escapes spell UTF-8, other bytes are characters. */
static enum err_code decode_url(struct buf *out, const char *p, size_t n, struct err *err)
{
    enum err_code rc = ERR_NONE;
    for (size_t i = 0; i < n && rc == ERR_NONE;) {
        size_t run = 0;
        while (i + run < n && !(p[i + run] & 0x80))
            run++;
        rc = unescape(out, p + i, run, err);
        i += run;
        for (; i < n && p[i] & 0x80 && rc == ERR_NONE; i++) {
            char enc[4];
            rc = buf_append(out, enc, utf8_encode((unsigned char)p[i], enc), err);
        }
    }
    return rc == ERR_NONE ? buf_append(out, "", 0, err) : rc;
}

/* name=value, or a name alone. */
static enum err_code add_pair(struct form *f, const char *p, size_t n, struct err *err)
{
    const char *eq = memchr(p, '=', n);
    size_t n_name = eq ? (size_t)(eq - p) : n;
    struct buf name = { .limit = f->encoded.limit };
    enum err_code rc = decode_url(&name, p, n_name, err);
    if (rc == ERR_NONE)
        rc = add_field(f, name.data, false, err);
    else
        buf_clear(&name);
    if (rc != ERR_NONE || !eq)
        return rc == ERR_NONE ? append(f, &f->fields[f->n_fields - 1].data, "", 0, err) : rc;
    return decode_url(&f->fields[f->n_fields - 1].data, eq + 1, n - n_name - 1, err);
}

enum err_code form_write(struct form *f, const char *p, size_t n, struct err *err)
{
    if (f->kind == FORM_MULTIPART)
        return multipart_write(&f->multipart, p, n, err);
    return f->kind == FORM_URLENCODED ? append(f, &f->encoded, p, n, err) : ERR_NONE;
}

enum err_code form_finish(struct form *f, struct err *err)
{
    if (f->in_part)
        clear_field(&f->fields[--f->n_fields]);
    f->in_part = false;
    enum err_code rc = ERR_NONE;
    const char *p = f->encoded.data, *end = p + f->encoded.len;
    while (f->encoded.len && p < end && rc == ERR_NONE) {
        const char *amp = memchr(p, '&', (size_t)(end - p));
        size_t n = (size_t)((amp ? amp : end) - p);
        if (n)
            rc = add_pair(f, p, n, err);
        p += n + 1;
    }
    buf_clear(&f->encoded);
    return rc;
}

const struct http_field *form_field(const struct form *f, const char *name)
{
    for (size_t i = f->n_fields; i-- > 0;)
        if (!strcmp(f->fields[i].name, name))
            return &f->fields[i];
    return NULL;
}
