#include "infer/proto.h"

#include <string.h>

bool proto_take(struct proto_span *s, size_t n, struct proto_span *out)
{
    if (n > s->n)
        return false;
    *out = (struct proto_span){ s->p, n };
    s->p += n;
    s->n -= n;
    return true;
}

bool proto_take_varint(struct proto_span *s, uint64_t *out)
{
    *out = 0;
    for (unsigned shift = 0; s->n && shift < 64; shift += 7) {
        const uint8_t b = *s->p++;
        s->n--;
        *out |= (uint64_t)(b & 0x7f) << shift;
        if (b < 0x80)
            return true;
    }
    return false;
}

bool proto_take_field(struct proto_span *s, struct proto_field *f)
{
    struct proto_span rest = *s, skipped;
    uint64_t tag, n;
    *f = (struct proto_field){ 0 };
    if (!proto_take_varint(&rest, &tag))
        return false;
    f->number = tag >> 3;
    f->wire = (enum proto_wire)(tag & 7);
    bool ok = f->wire == PROTO_VARINT  ? proto_take_varint(&rest, &f->value)
              : f->wire == PROTO_64    ? proto_take(&rest, 8, &skipped)
              : f->wire == PROTO_32    ? proto_take(&rest, 4, &skipped)
              : f->wire == PROTO_BYTES ? proto_take_varint(&rest, &n) && n <= rest.n &&
                                             proto_take(&rest, (size_t)n, &f->body)
                                       : false;
    if (!ok)
        return false;
    f->all = (struct proto_span){ s->p, (size_t)(rest.p - s->p) };
    *s = rest;
    return true;
}

bool proto_is_bytes(const struct proto_field *f, uint64_t number)
{
    return f->number == number && f->wire == PROTO_BYTES;
}

bool proto_is_varint(const struct proto_field *f, uint64_t number)
{
    return f->number == number && f->wire == PROTO_VARINT;
}

bool proto_same(struct proto_span a, struct proto_span b)
{
    return a.n == b.n && (!a.n || !memcmp(a.p, b.p, a.n));
}

struct proto_span proto_text(const char *s)
{
    return (struct proto_span){ (const uint8_t *)s, strlen(s) };
}

bool proto_is(struct proto_span s, const char *text)
{
    return proto_same(s, proto_text(text));
}

struct proto_span proto_find(struct proto_span s, uint64_t number)
{
    struct proto_field f;
    while (proto_take_field(&s, &f))
        if (proto_is_bytes(&f, number))
            return f.body;
    return (struct proto_span){ 0 };
}

void proto_put(struct proto_writer *w, const void *p, size_t n)
{
    if (n && w->rc == ERR_NONE)
        w->rc = buf_append(&w->b, p, n, &w->err);
}

void proto_put_varint(struct proto_writer *w, uint64_t v)
{
    uint8_t bytes[10];
    size_t n = 0;
    for (; v >= 0x80; v >>= 7)
        bytes[n++] = (uint8_t)(v | 0x80);
    bytes[n++] = (uint8_t)v;
    proto_put(w, bytes, n);
}

void proto_put_int(struct proto_writer *w, unsigned number, uint64_t v)
{
    proto_put_varint(w, (uint64_t)number << 3 | PROTO_VARINT);
    proto_put_varint(w, v);
}

void proto_put_head(struct proto_writer *w, unsigned number, size_t n)
{
    proto_put_varint(w, (uint64_t)number << 3 | PROTO_BYTES);
    proto_put_varint(w, n);
}

void proto_put_bytes(struct proto_writer *w, unsigned number, const void *p, size_t n)
{
    proto_put_head(w, number, n);
    proto_put(w, p, n);
}

void proto_put_text(struct proto_writer *w, unsigned number, const char *s)
{
    proto_put_bytes(w, number, s, strlen(s));
}

void proto_put_message(struct proto_writer *w, unsigned number, struct proto_writer *inner)
{
    if (inner->rc == ERR_NONE)
        proto_put_bytes(w, number, inner->b.data, inner->b.len);
    else if (w->rc == ERR_NONE)
        w->rc = err_set(&w->err, inner->rc, "%s", inner->err.msg);
    buf_clear(&inner->b);
    inner->rc = ERR_NONE;
}
