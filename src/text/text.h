/* text.h - UTF-8 text to token ids, as a Hugging Face tokenizer.json says.
 *
 * A tokenizer is five stages in a row, each a table of data from the file:
 *
 *   added tokens -> normalizer -> pre-tokenizer -> model -> post-processor
 *   (cut out first)  (spelling)    (words)         (ids)    (<s> ... </s>, truncation, padding)
 *
 * The models are WordPiece (BERT), BPE (CLIP, GPT-2, Gemma) and Unigram (T5, XLM-RoBERTa). The ids
 * are those of the PyPI package `tokenizers` 0.23, held by tests/golden/test_tokens.py.
 *
 * A tokenizer owns all it needs and never changes after text_tokenizer_create(): any number of
 * threads may encode with it at once. Every function takes any bytes: ill-formed UTF-8 is read as
 * U+FFFD. */
#ifndef FOVEA_TEXT_TEXT_H
#define FOVEA_TEXT_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

#define TEXT_MAX_JSON_BYTES ((size_t)128 << 20)
#define TEXT_MAX_BYTES ((size_t)1 << 20)  /* of one text */
#define TEXT_MAX_LENGTH ((size_t)1 << 20) /* of text_fit's lengths */

struct text_tokenizer;

/* json[0..n) is the content of a tokenizer.json; it is not kept. ERR_CORRUPT: not one, or its parts
 * do not fit together. ERR_UNSUPPORTED: it uses a component that is not known here; the message
 * names it. ERR_LIMIT, ERR_NOMEM. On failure *out is NULL. */
enum err_code text_tokenizer_create(struct text_tokenizer **out, const char *json, size_t n,
                                    struct err *err);
void text_tokenizer_destroy(struct text_tokenizer *t);

/* The id of a token by its exact spelling in the file ("<|endoftext|>", "[PAD]"); -1 if none. */
int32_t text_token_id(const struct text_tokenizer *t, const char *token);
/* The greatest id that there is; -1 if none. */
int32_t text_greatest_id(const struct text_tokenizer *t);

/* To how many tokens an encoding is cut and padded. `{0}` does neither. */
struct text_fit {
    size_t max_length;   /* cut to so many, those of the post-processor included; 0: no cut */
    size_t pad_length;   /* pad to at least so many; 0: no padding */
    size_t pad_multiple; /* and to a multiple of so many; 0: any length */
    int32_t pad_id, pad_type;
    bool cut_left, pad_left; /* which end loses or gains tokens; false: the right one */
};

/* What the file itself asks for under "truncation" and "padding". A caller that wants a fixed
 * context of its own writes { .max_length = n, .pad_length = n, .pad_id = id }, which is what
 * `tokenizers` calls enable_truncation(n) and enable_padding(length=n, pad_id=id). */
struct text_fit text_tokenizer_fit(const struct text_tokenizer *t);

/* An encoding: three parallel arrays [n]. `{0}` is a valid empty one; it may be used again and
 * again, and then keeps its memory. */
struct text_ids {
    int32_t *ids;   /* what a model calls input_ids */
    int32_t *mask;  /* attention_mask: 1 a token, 0 padding */
    int32_t *types; /* token_type_ids: 0 but where the file's template says otherwise */
    size_t n, cap;
};
void text_ids_clear(struct text_ids *out);

/* text[0..n) to ids with the file's special tokens around them. fit NULL: the file's own.
 * ERR_LIMIT: n > TEXT_MAX_BYTES, a length > TEXT_MAX_LENGTH, max_length less than the special
 * tokens need, or a pattern of the file backtracks without end. ERR_CORRUPT: the vocabulary lacks
 * the unknown token that this text needs. ERR_NOMEM. After a failure out->n is 0. */
enum err_code text_encode(const struct text_tokenizer *t, const char *text, size_t n,
                          const struct text_fit *fit, struct text_ids *out, struct err *err);

/* Append text with each run of white space as one space and none at the ends, as Python's
 * `" ".join(text.split())`; canonical: ASCII punctuation removed after that and Python's lower()
 * applied, as OpenCLIP's canonicalize does for SigLIP. ERR_LIMIT: n > TEXT_MAX_BYTES. ERR_NOMEM. */
enum err_code text_clean(struct buf *out, const char *text, size_t n, bool canonical,
                         struct err *err);

#endif
