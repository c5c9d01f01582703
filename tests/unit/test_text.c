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
    CASE(bert_makes_pieces),
    CASE(a_caller_fits_to_its_model),
    CASE(a_long_text_is_refused),
    CASE(refusals_name_what_is_wrong),
};
TAP_MAIN(cases)
