/* json.h - JSON in and out.
 *
 * In: json_parse() gives a tree; every other reading function borrows from it and takes NULL, so a
 * path of look-ups needs one check at its end. An object is looked through from its front. Out:
 * json_put_*() append to a struct buf; commas and colons are the caller's (buf_puts), escaping and
 * number formats are ours. */
#ifndef FOVEA_BASE_JSON_H
#define FOVEA_BASE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct json; /* a value; json_parse's result owns all below it */

/* Strict JSON (RFC 8259), nesting up to 512, duplicate keys refused. ERR_INVALID with line and
 * column; ERR_LIMIT: more than 8 Mi values; ERR_NOMEM. NULs inside strings are kept, in keys
 * refused. An integer is one by its spelling: "1", not "1.0". */
enum err_code json_parse(const char *text, size_t n, struct json **out, struct err *err);
void json_destroy(struct json *v);

const struct json *json_get(const struct json *object, const char *key); /* NULL if absent */
size_t json_len(const struct json *array_or_object);                     /* 0 for other kinds */
const struct json *json_at(const struct json *array, size_t i);

bool json_is_null(const struct json *v);
bool json_is_object(const struct json *v);
bool json_is_array(const struct json *v);
const char *json_as_string(const struct json *v,
                           size_t *n);                /* NULL if not a string; n may be NULL */
bool json_as_i64(const struct json *v, int64_t *out); /* integers only */
bool json_as_f64(const struct json *v, double *out);  /* integers too */
bool json_as_bool(const struct json *v, bool *out);

/* for (const void *it = json_first(o); it; it = json_next(o, it)) ... json_key(it) json_value(it)
 */
const void *json_first(const struct json *object);
const void *json_next(const struct json *object, const void *it);
const char *json_key(const void *it);
const struct json *json_value(const void *it);

/* "..." with escapes; ill-formed UTF-8 becomes U+FFFD. */
enum err_code json_put_string(struct buf *b, const char *s, size_t n, struct err *err);
/* %.9g: enough to give any float back; NaN and infinities, which JSON lacks, become null. */
enum err_code json_put_float(struct buf *b, float v, struct err *err);
enum err_code json_put_floats(struct buf *b, const float *v, size_t n, struct err *err); /* [..] */

#endif
