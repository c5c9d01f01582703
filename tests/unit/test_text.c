/* Tokenizers: each stage by small tokenizer.json files, limits and hostile input. */
#include "tap.h"

#include <stdlib.h>

#include "text/text.h"

/* A tokenizer from JSON written with ' for ". */
static struct text_tokenizer *make(const char *json, struct err *e)
{
    struct text_tokenizer *t = NULL;
    char *s = strdup(json);
    for (char *p = s; *p; p++)
        if (*p == '\'')
            *p = '"';
    text_tokenizer_create(&t, s, strlen(s), e);
    free(s);
    return t;
}

/* "1 2 3": the ids of text. "error: ..." when there are none. */
static const char *ids(const struct text_tokenizer *t, const char *text, size_t n,
                       const struct text_fit *fit)
{
    static char line[4096];
    struct text_ids out = { 0 };
    struct err e = { 0 };
    size_t len = 0;
    line[0] = '\0';
    if (text_encode(t, text, n, fit, &out, &e) != ERR_NONE)
        snprintf(line, sizeof line, "error: %s", e.msg);
    for (size_t i = 0; i < out.n && len < sizeof line - 16; i++)
        len += (size_t)snprintf(line + len, 16, i ? " %d" : "%d", out.ids[i]);
    text_ids_clear(&out);
    return line;
}

#define IDS(t, text) ids((t), (text), strlen(text), NULL)

#define WORDPIECE                                                                                  \
    "'model': {'type': 'WordPiece', 'unk_token': '[UNK]', 'continuing_subword_prefix': '##',"      \
    "'max_input_chars_per_word': 10, 'vocab': {'[UNK]': 0, '[CLS]': 1, '[SEP]': 2, '[PAD]': 3,"    \
    "'un': 4, '##aff': 5, '##able': 6, 'a': 7, '##a': 8, '!': 9, '\u6d77': 10, 'e': 11}}"
#define BERT                                                                                       \
    "{'added_tokens': [{'content': '[SEP]', 'special': true}],"                                    \
    "'normalizer': {'type': 'BertNormalizer'}, 'pre_tokenizer': {'type': 'BertPreTokenizer'},"     \
    "'post_processor': {'type': 'BertProcessing', 'cls': ['[CLS]', 1], 'sep': ['[SEP]', 2]},"      \
    "'truncation': {'max_length': 6}, 'padding': {'strategy': {'Fixed': 4}, 'pad_id': "            \
    "3}," WORDPIECE "}"

static void bert_makes_pieces(void)
{
    struct err e = { 0 };
    struct text_tokenizer *t = make(BERT, &e);
    REQUIRE(t);
    CHECK_STR(IDS(t, "UNaffable"), "1 4 5 6 2");
    CHECK_STR(IDS(t, ""), "1 2 3 3");
    CHECK_STR(IDS(t, "aaa!"), "1 7 8 8 9 2");
    CHECK_STR(IDS(t, "aaaaaaaaaa"), "1 7 8 8 8 2"); /* cut */
    CHECK_STR(IDS(t, "aaaaaaaaaaa"), "1 0 2 3");    /* too long a word */
    CHECK_STR(IDS(t, "unb \u6d77\u6d77"), "1 0 10 10 2");
    CHECK_STR(IDS(t, "\u00c9\t\u0301"), "1 11 2 3");
    CHECK_STR(IDS(t, "a[SEP]a"), "1 7 2 7 2");
    CHECK_STR(ids(t, "a\xff\0a", 4, NULL), "1 7 8 2"); /* U+FFFD and NUL are dropped */
    CHECK(text_token_id(t, "[PAD]") == 3 && text_token_id(t, "nope") == -1);
    text_tokenizer_destroy(t);
}

static void a_caller_fits_to_its_model(void)
{
    struct err e = { 0 };
    struct text_tokenizer *t = make(BERT, &e);
    REQUIRE(t);
    struct text_fit own = text_tokenizer_fit(t);
    CHECK(own.max_length == 6 && own.pad_length == 4 && own.pad_id == 3 && !own.pad_left);
    struct text_fit fit = { .max_length = 5, .pad_length = 7, .pad_id = 9, .cut_left = true };
    CHECK_STR(ids(t, "a!!!a", 5, &fit), "1 9 9 7 2 9 9");
    fit = (struct text_fit){ .pad_multiple = 4, .pad_left = true };
    CHECK_STR(ids(t, "a!a", 3, &fit), "0 0 0 1 7 9 7 2");
    fit = (struct text_fit){ .max_length = 2 };
    CHECK_STR(ids(t, "a!a", 3, &fit), "1 2");
    fit = (struct text_fit){ .max_length = 1 };
    CHECK_STR(ids(t, "a", 1, &fit), "error: max_length 1 is less than the 2 special tokens");
    fit = (struct text_fit){ .pad_length = TEXT_MAX_LENGTH + 1 };
    CHECK(strstr(ids(t, "a", 1, &fit), "error: tokens cut or padded") != NULL);

    struct text_ids out = { 0 };
    fit = (struct text_fit){ .pad_length = 4, .pad_id = 3, .pad_type = 8 };
    REQUIRE(text_encode(t, "a", 1, &fit, &out, &e) == ERR_NONE);
    CHECK(out.n == 4 && out.mask[2] == 1 && out.mask[3] == 0);
    CHECK(out.types[2] == 0 && out.types[3] == 8);
    text_ids_clear(&out);
    text_tokenizer_destroy(t);
}

/* Byte-level: U+0120 is a space, U+00C3 U+00A9 the two bytes of e with an acute. */
#define BYTE_LEVEL                                                                                 \
    "{'pre_tokenizer': {'type': 'ByteLevel', 'add_prefix_space': true},"                           \
    "'post_processor': {'type': 'TemplateProcessing', 'single': ["                                 \
    "{'SpecialToken': {'id': '<s>', 'type_id': 2}}, {'Sequence': {'id': 'A', 'type_id': 1}}],"     \
    "'special_tokens': {'<s>': {'id': '<s>', 'ids': [90, 91], 'tokens': ['<s>', '<s>']}}},"        \
    "'model': {'type': 'BPE', 'unk_token': null, 'vocab': {'\u0120': 0, 'a': 1, 'b': 2, 'ab': 3,"  \
    "'\u0120ab': 4, '\u00c3': 5, '\u00a9': 6, '\u00c3\u00a9': 7, 'bab': 8},"                       \
    "'merges': ['a b', ['\u0120', 'ab'], ['\u00c3', '\u00a9'], ['b', 'ab']]}}"

static void byte_pairs_merge_by_rank(void)
{
    struct err e = { 0 };
    struct text_tokenizer *t = make(BYTE_LEVEL, &e);
    REQUIRE(t);
    CHECK_STR(IDS(t, "ab"), "90 91 4");
    CHECK_STR(IDS(t, "ab ab  b"), "90 91 4 4 0 0 2");
    CHECK_STR(IDS(t, "bab"), "90 91 0 8");
    CHECK_STR(IDS(t, "\u00e9ba\u00e9"), "90 91 0 7 2 1 7");
    CHECK_STR(IDS(t, "axb"), "90 91 4"); /* no token for x, nor an unknown one: it is left out */
    struct text_ids out = { 0 };
    REQUIRE(text_encode(t, "ab", 2, NULL, &out, &e) == ERR_NONE);
    CHECK(out.n == 3 && out.types[1] == 2 && out.types[2] == 1);
    text_ids_clear(&out);
    text_tokenizer_destroy(t);
}

static void unknown_characters_fuse_or_fall_back_to_bytes(void)
{
#define UNKNOWNS(options)                                                                          \
    "{'model': {'type': 'BPE', 'unk_token': '<unk>', " options ","                                 \
    "'vocab': {'<unk>': 0, 'a': 1, '<0xC3>': 2, '<0xA9>': 3}, 'merges': []}}"
    static const struct {
        const char *json, *ids;
    } t[] = {
        { UNKNOWNS("'fuse_unk': false"), "1 0 0 0 1" },
        { UNKNOWNS("'fuse_unk': true"), "1 0 1" },
        { UNKNOWNS("'byte_fallback': true"), "1 2 3 0 0 1" },
    };
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        struct err e = { 0 };
        struct text_tokenizer *k = make(t[i].json, &e);
        REQUIRE(k);
        CHECK_STR(IDS(k, "a\u00e9\u6d77xa"), t[i].ids);
        text_tokenizer_destroy(k);
    }
}

/* Quadratic merging would take minutes. */
static void a_long_word_is_no_trap(void)
{
    struct err e = { 0 };
    struct text_tokenizer *t = make(BYTE_LEVEL, &e);
    size_t n = TEXT_MAX_BYTES;
    char *word = malloc(n);
    struct text_ids out = { 0 };
    REQUIRE(t && word);
    for (size_t i = 0; i < n; i++)
        word[i] = "ab"[i % 2];
    CHECK(text_encode(t, word, n, NULL, &out, &e) == ERR_NONE && out.n == 2 + n / 2);
    for (size_t i = 0; i + 4 <= n; i += 4) /* marks in the wrong order, for NFC to sort */
        memcpy(word + i, "\u0301\u0316", 4);
    text_tokenizer_destroy(t);
    t = make("{'normalizer': {'type': 'NFC'}," WORDPIECE "}", &e);
    REQUIRE(t);
    CHECK(text_encode(t, word, n, NULL, &out, &e) == ERR_NONE && out.n == 1 && out.ids[0] == 0);
    text_ids_clear(&out);
    free(word);
    text_tokenizer_destroy(t);
}

/* U+2581 shows a space. */
#define UNIGRAM(scheme)                                                                            \
    "{'pre_tokenizer': {'type': 'Metaspace', 'replacement': '\u2581', 'prepend_scheme': " scheme   \
    "}, 'model': {'type': 'Unigram', 'unk_id': 0, 'vocab': [['<unk>', 0.0], ['\u2581', -2.0],"     \
    "['a', -3.0], ['b', -3.0], ['ab', -5.0], ['\u2581a', -4.5], ['abc', -1.0]]}}"

static void unigram_takes_the_best_path(void)
{
    static const struct {
        const char *json, *text, *ids;
    } t[] = {
        { UNIGRAM("'always'"), "ab", "1 4" },      /* -7 beats -7.5 */
        { UNIGRAM("'always'"), "abc a", "1 6 5" }, /* -4.5 beats -5 */
        { UNIGRAM("'always'"), "axyza", "5 0 2" }, /* three unknown characters, one token */
        { UNIGRAM("'never'"), "a a", "2 5" },      { UNIGRAM("'first'"), "b b", "1 3 1 3" },
    };
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        struct err e = { 0 };
        struct text_tokenizer *k = make(t[i].json, &e);
        REQUIRE(k);
        CHECK_STR(IDS(k, t[i].text), t[i].ids);
        text_tokenizer_destroy(k);
    }
}

static void added_tokens_are_cut_out(void)
{
    static const char json[] =
        "{'added_tokens': [{'content': '<s>'}, {'content': '<s>>', 'lstrip': true},"
        "{'content': 'E', 'normalized': true, 'single_word': true}],"
        "'normalizer': {'type': 'Lowercase'}, 'pre_tokenizer': {'type': "
        "'WhitespaceSplit'}," WORDPIECE "}";
    struct err e = { 0 };
    struct text_tokenizer *t = make(json, &e);
    REQUIRE(t);
    CHECK(text_token_id(t, "<s>") == 12 && text_token_id(t, "<s>>") == 13);
    CHECK(text_token_id(t, "E") == 14);
    CHECK_STR(IDS(t, "a<s>a"), "7 12 7");
    CHECK_STR(IDS(t, "a  <s>>a"), "7 13 7"); /* the longest, with the space before it */
    CHECK_STR(IDS(t, "<S>"), "0");           /* not normalized: only as it is written */
    CHECK_STR(IDS(t, "a E e a"), "7 14 14 7");
    CHECK_STR(IDS(t, "ae"), "0"); /* inside a word */
    text_tokenizer_destroy(t);
}

static void cleaning_is_pythons(void)
{
    static const struct {
        const char *in, *plain, *canonical;
    } t[] = {
        { "", "", "" },
        { " \x1f\t ", "", "" },
        { "  A dog,\n\u00a0 running. ", "A dog, running.", "a dog running" },
        { "a - b", "a - b", "a  b" },
        { "\u039f\u0394\u039f\u03a3 \u03a3", "\u039f\u0394\u039f\u03a3 \u03a3",
          "\u03bf\u03b4\u03bf\u03c2 \u03c3" },
        { "\u0130\xff", "\u0130\ufffd", "i\u0307\ufffd" },
    };
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        struct buf plain = { 0 }, canonical = { 0 };
        CHECK(text_clean(&plain, t[i].in, strlen(t[i].in), false, NULL) == ERR_NONE);
        CHECK(text_clean(&canonical, t[i].in, strlen(t[i].in), true, NULL) == ERR_NONE);
        CHECK_STR(plain.data ? plain.data : "", t[i].plain);
        CHECK_STR(canonical.data ? canonical.data : "", t[i].canonical);
        buf_clear(&plain);
        buf_clear(&canonical);
    }
    struct buf out = { 0 };
    CHECK(text_clean(&out, "", TEXT_MAX_BYTES + 1, false, NULL) == ERR_LIMIT);
}

static void a_long_text_is_refused(void)
{
    struct err e = { 0 };
    struct text_tokenizer *t = make(BERT, &e);
    char *big = malloc(TEXT_MAX_BYTES + 1);
    REQUIRE(t && big);
    memset(big, 'a', TEXT_MAX_BYTES + 1);
    CHECK(strstr(ids(t, big, TEXT_MAX_BYTES + 1, NULL), "error: text of") != NULL);
    CHECK_STR(ids(t, big, TEXT_MAX_BYTES, NULL), "1 0 2 3");
    free(big);
    text_tokenizer_destroy(t);
}

static void refusals_name_what_is_wrong(void)
{
    static const struct {
        const char *json, *says;
        enum err_code code;
    } t[] = {
        { "{", "JSON line 1", ERR_CORRUPT },
        { "[]", "model type \"\" is not supported", ERR_UNSUPPORTED },
        { "{'model': {'type': 'WordPiece'}}", "\"unk_token\" is not a string", ERR_CORRUPT },
        { "{'pre_tokenizer': {'type': 'Foo'}," WORDPIECE "}",
          "tokenizer.json: pre_tokenizer type \"Foo\" is not supported", ERR_UNSUPPORTED },
        { "{'normalizer': {'type': 'Sequence', 'normalizers': [{'type': 'Nmt'}]}," WORDPIECE "}",
          "normalizer type \"Nmt\"", ERR_UNSUPPORTED },
        { "{'normalizer': {'type': 'Sequence'}," WORDPIECE "}", "without \"normalizers\"",
          ERR_CORRUPT },
        { "{'pre_tokenizer': {'type': 'Split', 'pattern': {'Regex': '('}}," WORDPIECE "}",
          "missing closing parenthesis", ERR_CORRUPT },
        { "{'pre_tokenizer': {'type': 'Split', 'pattern': {'Regex': '\\\\bx'}}," WORDPIECE "}",
          "pattern \"\\bx\": \\b is not supported", ERR_UNSUPPORTED },
        { "{'post_processor': {'type': 'BertProcessing'}," WORDPIECE "}", "cls and sep",
          ERR_CORRUPT },
        { "{'truncation': {'max_length': -1}," WORDPIECE "}", "\"max_length\" is not a count",
          ERR_CORRUPT },
        { "{'model': {'type': 'BPE', 'vocab': {'a': 0}, 'merges': ['a b']}}",
          "merge 0 (\"ab\") is not in the vocabulary", ERR_CORRUPT },
        { "{'model': {'type': 'BPE', 'vocab': {'a': 0}, 'merges': ['ab']}}",
          "a merge is not a pair", ERR_CORRUPT },
        { "{'model': {'type': 'BPE', 'dropout': 0.1, 'vocab': {}, 'merges': []}}", "dropout",
          ERR_UNSUPPORTED },
        { "{'model': {'type': 'Unigram', 'unk_id': 1, 'vocab': [['a', 0]]}}", "unk_id is not in",
          ERR_CORRUPT },
        { "{'model': {'type': 'Unigram', 'vocab': [['a']]}}", "piece 0 has no score", ERR_CORRUPT },
        { "{'normalizer': {'type': 'Precompiled', 'precompiled_charsmap': '*'}," WORDPIECE "}",
          "not Base64", ERR_CORRUPT },
        { "{'normalizer': {'type': 'Precompiled', 'precompiled_charsmap': 'CAAAAAAA'}," WORDPIECE
          "}",
          "no trie in its 6 bytes", ERR_CORRUPT },
        { "{'added_tokens': [{'content': 3}]," WORDPIECE "}", "\"content\" is not a string",
          ERR_CORRUPT },
        { "{'model': {'type': 'WordPiece', 'unk_token': '', 'continuing_subword_prefix': '',"
          "'vocab': {'a': -1}}}",
          "the id of \"a\" is not one", ERR_CORRUPT },
    };
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        struct err e = { 0 };
        CHECK(!make(t[i].json, &e) && e.code == t[i].code);
        if (!strstr(e.msg, t[i].says))
            CHECK_STR(e.msg, t[i].says);
    }
}

static const struct tap_case cases[] = {
    CASE(bert_makes_pieces),           CASE(a_caller_fits_to_its_model),
    CASE(byte_pairs_merge_by_rank),    CASE(unknown_characters_fuse_or_fall_back_to_bytes),
    CASE(unigram_takes_the_best_path), CASE(a_long_word_is_no_trap),
    CASE(added_tokens_are_cut_out),    CASE(cleaning_is_pythons),
    CASE(a_long_text_is_refused),      CASE(refusals_name_what_is_wrong),
};
TAP_MAIN(cases)
