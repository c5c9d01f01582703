/* regex.h - the patterns of a tokenizer.json, run by PCRE2.
 *
 * The reference compiles them with Oniguruma in its Ruby syntax. Both libraries agree on most of a
 * tokenizer's patterns; where they differ the pattern is rewritten (\s \w \d \h \v, scripts) or
 * refused with ERR_UNSUPPORTED (nested classes, \b, ...), never run with another meaning. */
#ifndef FOVEA_TEXT_REGEX_H
#define FOVEA_TEXT_REGEX_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/err.h"

struct text_regex; /* compiled; any number of threads may match with it */
struct pcre2_real_match_data_8;

/* Compile the pattern {"Regex": "..."} or, literal, {"String": "..."} and push it on *list, which
 * text_regex_destroy_all() frees. ERR_UNSUPPORTED, ERR_CORRUPT (not a pattern), ERR_NOMEM. */
enum err_code text_regex_compile(struct text_regex **list, const char *pattern, size_t n,
                                 bool literal, struct err *err);
void text_regex_destroy_all(struct text_regex *list);

/* The matches in one text from left to right. Empty ones count too, but none right after the match
 * before it. */
struct text_matches {
    const struct text_regex *regex;
    const char *p;
    size_t n, from, last_end;
    struct pcre2_real_match_data_8 *data;
};

/* p[0..n) is well-formed UTF-8 and stays until text_matches_clear(). ERR_NOMEM. */
enum err_code text_matches_init(struct text_matches *m, const struct text_regex *regex,
                                const char *p, size_t n, struct err *err);
void text_matches_clear(struct text_matches *m);
/* *found tells whether there is one more, p[*start .. *end). ERR_LIMIT: too much backtracking. */
enum err_code text_matches_next(struct text_matches *m, size_t *start, size_t *end, bool *found,
                                struct err *err);

#endif
