/* unicode.h - what the stages ask about characters, each answer that of the reference.
 *
 * The reference takes these from four Rust crates with tables of four Unicode versions, utf8proc
 * has a fifth. Where a crate's table is older than ours its answer is kept, by the tables of
 * characters that it does not know (unicode.c), because a model was trained on its answers. Where a
 * crate's table is newer than the system's utf8proc, utf8proc decides: a character of a few months
 * ago is in no vocabulary. */
#ifndef FOVEA_TEXT_UNICODE_H
#define FOVEA_TEXT_UNICODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

bool text_is_white(uint32_t cp);      /* White_Space: char::is_whitespace, \s */
bool text_is_word(uint32_t cp);       /* the regex crate's \w */
bool text_is_numeric(uint32_t cp);    /* N*: char::is_numeric */
bool text_is_punct(uint32_t cp);      /* ASCII punctuation and P*: BERT's */
bool text_is_control(uint32_t cp);    /* what BERT's clean_text drops: Cc, Cf, Co, not \t \n \r */
bool text_is_nonspacing(uint32_t cp); /* Mn: what BERT's strip_accents drops */
bool text_is_mark(uint32_t cp);       /* M*: what StripAccents drops */
bool text_is_ideograph(uint32_t cp);  /* what BERT puts spaces around */

/* Cased and Case_Ignorable (Unicode 15, section 3.13) of what is not a modifier letter. */
bool text_is_cased(uint32_t cp);
bool text_is_case_ignorable(uint32_t cp);

/* char::to_lowercase: 1 or 2 code points into out; returns how many. No context: a final capital
 * sigma becomes a medial one. */
size_t text_lower(uint32_t cp, uint32_t out[2]);

enum text_form { TEXT_NFC, TEXT_NFD, TEXT_NFKC, TEXT_NFKD };
/* Append p[0..n), well-formed UTF-8, in a normalization form (Unicode Standard Annex 15). Linear in
 * n, also for a long run of marks. */
enum err_code text_normalize(enum text_form form, const char *p, size_t n, struct buf *out,
                             struct err *err);

/* Characters of well-formed UTF-8. */
size_t text_count_chars(const char *p, size_t n);

/* Append one code point. */
enum err_code text_put(struct buf *out, uint32_t cp, struct err *err);

#endif
