/* stage.h - the stages of a tokenizer: what each holds, how it is read, how it is run.
 *
 * *_load() reads a stage from its part of the JSON into the tokenizer. Nested sequences become one
 * flat list of steps, each a function and the few values it needs, so a run is a loop. Strings and
 * tables go to the tokenizer's arena. v may be NULL or null: the stage is absent.
 *
 * Text between the stages is well-formed UTF-8. Errors as in text.h. */
#ifndef FOVEA_TEXT_STAGE_H
#define FOVEA_TEXT_STAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"
#include "text/regex.h"
#include "text/text.h"
#include "text/unicode.h"
#include "text/vocab.h"

enum { TEXT_MAX_STEPS = 32, TEXT_MAX_AFFIX = 64 };

/* ---- normalizer: text to text ---- */

struct text_norm {
    /* Append what becomes of p[0..n). */
    enum err_code (*run)(const struct text_norm *s, const char *p, size_t n, struct buf *out,
                         struct err *err);
    const struct text_regex *regex; /* Replace */
    const char *content;            /* Replace, Prepend */
    size_t n_content;
    enum text_form form;
    const struct text_charsmap *map; /* Precompiled */
    bool (*drop)(uint32_t cp);       /* BertNormalizer, StripAccents: characters to leave out */
    bool left, right;                /* Strip */
};

struct text_charsmap;
/* From "precompiled_charsmap", Base64, into mem. */
enum err_code text_charsmap_load(const struct text_charsmap **out, const struct json *v,
                                 struct arena *mem, struct err *err);
enum err_code text_charsmap_run(const struct text_charsmap *m, const char *p, size_t n,
                                struct buf *out, struct err *err);

/* ---- pre-tokenizer: text to words ---- */

struct text_span {
    size_t at, n;
};

/* Words in order, each a part of text; between two of them text may hold what was removed. */
struct text_words {
    struct buf text;
    struct text_span *v;
    size_t n, cap;
    size_t n_first; /* the bytes of text that the first character of the whole became */
};
void text_words_clear(struct text_words *w);

/* What becomes of a separator that Split found. */
enum text_behavior {
    TEXT_REMOVED,
    TEXT_ISOLATED,
    TEXT_WITH_PREVIOUS,
    TEXT_WITH_NEXT,
    TEXT_CONTIGUOUS
};

enum text_prepend { TEXT_ALWAYS, TEXT_FIRST, TEXT_NEVER };

struct text_pre {
    /* Make out from in; out is empty, and keeps its memory. */
    enum err_code (*run)(const struct text_pre *s, struct text_words *in, struct text_words *out,
                         struct err *err);
    const struct text_regex *regex; /* separators by pattern, or */
    bool (*is)(uint32_t cp);        /* by character */
    enum text_behavior behavior;
    bool invert;        /* what does not match separates */
    const char *prefix; /* stands for each space, and before words that do not begin with it: */
    size_t n_prefix;
    enum text_prepend prepend;
};

/* ---- model: word to ids ---- */

/* What one text_encode() works with. */
struct text_work {
    struct buf repaired, normal, spare;
    struct text_words words, other;
    struct buf model;     /* the model's, for one word */
    struct text_ids *out; /* ids only, while the model runs */
};

struct text_model {
    /* Append the ids of word[0..n), n > 0. */
    enum err_code (*run)(const struct text_model *m, const char *word, size_t n,
                         struct text_work *w, struct err *err);
    struct text_vocab vocab;
};

enum err_code text_bpe_load(struct text_model **out, const struct json *v, struct arena *mem,
                            struct err *err);
enum err_code text_unigram_load(struct text_model **out, const struct json *v, struct arena *mem,
                                struct err *err);
enum err_code text_wordpiece_load(struct text_model **out, const struct json *v, struct arena *mem,
                                  struct err *err);

/* ---- added tokens: cut out of the text before the normalizer, and again after it ---- */

struct text_added_token {
    const char *content, *match; /* match: content, normalized where the token asks for it */
    size_t n_content, n_match;
    int32_t id;
    bool single_word, lstrip, rstrip, normalized;
};

/* Tokens sorted by match, so that the longest at a place is found by narrowing a range. */
struct text_added {
    struct text_added_token **v;
    size_t n;
    bool starts[256]; /* the first bytes of all */
};

/* A cut text: parts that are a token (id >= 0) and parts that are not, in order. */
struct text_cut {
    const struct text_added *set;
    const char *p;
    size_t n, from, done; /* from: where to look next; done: what is given out already */
    const struct text_added_token *pending;
    struct text_span pending_span;
};
struct text_part {
    struct text_span span;
    int32_t id;
};
void text_cut_init(struct text_cut *c, const struct text_added *set, const char *p, size_t n);
bool text_cut_next(struct text_cut *c, struct text_part *part);

/* ---- post-processor: the template around the ids ---- */

struct text_piece {
    int32_t id, type; /* id -1: here goes the text */
};

/* ---- all together ---- */

struct text_tokenizer {
    struct arena mem;
    struct text_regex *regexes;
    struct text_norm norm[TEXT_MAX_STEPS];
    struct text_pre pre[TEXT_MAX_STEPS];
    struct text_piece post[TEXT_MAX_STEPS];
    size_t n_norm, n_pre, n_post;
    bool asks_first; /* a step of pre is TEXT_FIRST */
    struct text_model *model;
    struct text_added_token *added; /* in the file's order */
    size_t n_added;
    struct text_vocab added_places; /* spelling to place in added */
    struct text_added raw, normal;  /* those to find before and after normalizing */
    struct text_fit fit;
};

enum err_code text_norm_load(struct text_tokenizer *t, const struct json *v, struct err *err);
enum err_code text_pre_load(struct text_tokenizer *t, const struct json *v, struct err *err);
enum err_code text_model_load(struct text_tokenizer *t, const struct json *v, struct err *err);
enum err_code text_added_load(struct text_tokenizer *t, const struct json *v, struct err *err);
enum err_code text_post_load(struct text_tokenizer *t, const struct json *v, struct err *err);
enum err_code text_fit_load(struct text_tokenizer *t, const struct json *truncation,
                            const struct json *padding, struct err *err);

/* out becomes p[0..n) normalized; spare is for use. */
enum err_code text_norm_run(const struct text_tokenizer *t, const char *p, size_t n,
                            struct buf *out, struct buf *spare, struct err *err);
/* w->words becomes the words of p[0..n); n_first as in struct text_words. */
enum err_code text_pre_run(const struct text_tokenizer *t, const char *p, size_t n, size_t n_first,
                           struct text_work *w, struct err *err);
/* The ids in out become the whole encoding. */
enum err_code text_post_run(const struct text_tokenizer *t, const struct text_fit *fit,
                            struct text_ids *out, struct err *err);

/* ---- shared by the loaders ---- */

/* "type" of a component; "" when it has none. */
const char *text_type_of(const struct json *v);
enum err_code text_unsupported(const char *stage, const struct json *v, struct err *err);
/* A member that is a string (ERR_CORRUPT if not) into the arena. */
enum err_code text_string(const struct json *v, const char *key, const char **out, size_t *n,
                          struct arena *mem, struct err *err);
/* A boolean member; absent or null leaves *out. ERR_CORRUPT for another kind. */
enum err_code text_bool(const struct json *v, const char *key, bool *out, struct err *err);
/* {"String": s} or {"Regex": s} under "pattern", compiled. */
enum err_code text_pattern(struct text_tokenizer *t, const struct json *v,
                           const struct text_regex **out, struct err *err);

/* The ids of <0x00> to <0xFF>, -1 for those that are not in the vocabulary. */
void text_byte_ids(const struct text_vocab *v, int32_t ids[256]);
/* Append p[0..n) with each byte as the character that ByteLevel shows it as. */
enum err_code text_put_bytes(struct buf *out, const char *p, size_t n, struct err *err);

enum err_code text_ids_push(struct text_ids *out, int32_t id, struct err *err);

#endif
