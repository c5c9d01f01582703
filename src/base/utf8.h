/* utf8.h - UTF-8 checked and repaired. Names and queries come from outside and may hold any bytes.
 */
#ifndef FOVEA_BASE_UTF8_H
#define FOVEA_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/* Decode one code point of s[0..n), n > 0. Returns the bytes it took (1-4); for an ill-formed
 * sequence *cp is U+FFFD and the return value is the length of the maximal subpart to skip (Unicode
 * 15, section 3.9, as Python's errors="replace" and WHATWG decode). Surrogates are ill-formed. */
size_t utf8_decode(const char *s, size_t n, uint32_t *cp);

/* cp as 1-4 bytes; returns how many. cp must be a scalar value. */
size_t utf8_encode(uint32_t cp, char out[4]);

bool utf8_valid(const char *s, size_t n);

/* Append s with every ill-formed sequence replaced by U+FFFD. */
enum err_code utf8_repair(struct buf *out, const char *s, size_t n, struct err *err);

#endif
