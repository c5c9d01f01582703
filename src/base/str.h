/* str.h - text to numbers with an answer to "was it one?", and the few string helpers all share. */
#ifndef FOVEA_BASE_STR_H
#define FOVEA_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The whole of s is a decimal number within [min, max]; *out untouched otherwise. */
bool str_to_i64(const char *s, int64_t min, int64_t max, int64_t *out);
/* The whole of s is a finite decimal number in the C locale's notation ("0.5", "-3", "1e3"). */
bool str_to_f64(const char *s, double *out);

/* The value of a hexadecimal digit of either case; -1 for another character. */
int str_hex_digit(char c);

bool str_starts(const char *s, const char *prefix);
bool str_ends(const char *s, const char *suffix);

/* Heap copy of n bytes and a NUL; NULL when out of memory. */
char *str_ndup(const char *s, size_t n);
/* Heap string from a format; NULL when out of memory. */
char *str_format(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* "dir/name" on the heap with one slash between them, though dir may be "/"; dir itself where name
 * is empty. NULL when out of memory. */
char *str_path(const char *dir, const char *name);

/* Control characters become '?', so that s is one line and a terminal shows it: those of ASCII, and
 * U+0080 to U+009F, which terminals obey too. */
void str_make_line(char *s);

/* "1.5 MiB", "812 B" into out (at least 16 bytes); returns out. */
char *str_bytes(uint64_t n, char out[16]);

#endif
