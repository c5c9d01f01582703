/* proto.h - protobuf's encoding (https://protobuf.dev/programming-guides/encoding), as far as ONNX
 * files need it: fields one after the other, nothing of what they mean. Private to infer/.
 *
 * Spans point into what is read, and never past its end, whatever is in it. */
#ifndef FOVEA_INFER_PROTO_H
#define FOVEA_INFER_PROTO_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

enum proto_wire { PROTO_VARINT, PROTO_64, PROTO_BYTES, PROTO_32 = 5 };

struct proto_span {
    const uint8_t *p;
    size_t n;
};

struct proto_field {
    uint64_t number;
    enum proto_wire wire;
    uint64_t value;         /* of PROTO_VARINT */
    struct proto_span body; /* of PROTO_BYTES */
    struct proto_span all;  /* with its tag */
};

/* These take from the beginning of *s; false where it is too short for it. */
bool proto_take(struct proto_span *s, size_t n, struct proto_span *out);
bool proto_take_varint(struct proto_span *s, uint64_t *out);
/* The next field. False at the end, where s->n is 0, and where the bytes are none, where it is not.
 */
bool proto_take_field(struct proto_span *s, struct proto_field *f);

bool proto_is_bytes(const struct proto_field *f, uint64_t number);
bool proto_is_varint(const struct proto_field *f, uint64_t number);
struct proto_span proto_text(const char *s); /* which stays */
bool proto_same(struct proto_span a, struct proto_span b);
bool proto_is(struct proto_span s, const char *text);
/* The body of the first field of that number that has one; {0} if there is none. */
struct proto_span proto_find(struct proto_span s, uint64_t number);

/* Fields gathered. `{0}` is an empty one; the first failure stays in rc and err, and what is put
 * after it is lost. buf_clear(&w->b) in the end. */
struct proto_writer {
    struct buf b;
    enum err_code rc;
    struct err err;
};
void proto_put(struct proto_writer *w, const void *p, size_t n); /* as it is */
void proto_put_varint(struct proto_writer *w, uint64_t v);
void proto_put_int(struct proto_writer *w, unsigned number, uint64_t v);
void proto_put_head(struct proto_writer *w, unsigned number, size_t n); /* n bytes follow */
void proto_put_bytes(struct proto_writer *w, unsigned number, const void *p, size_t n);
void proto_put_text(struct proto_writer *w, unsigned number, const char *s);
/* What inner gathered becomes a field of w; inner is empty again. */
void proto_put_message(struct proto_writer *w, unsigned number, struct proto_writer *inner);

#endif
