/* Pre-tokenizers: where a text is cut into words, which the model then looks at one by one.
 *
 * Most steps only cut finer: they hand the text on and write new spans. Two rewrite the text as
 * well, run_prefix and run_bytes. ByteLevel and Metaspace are flattened into such steps when they
 * are read. */
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "text/stage.h"

void text_words_clear(struct text_words *w)
{
    buf_clear(&w->text);
    free(w->v);
    *w = (struct text_words){ 0 };
}

static enum err_code push(struct text_words *w, size_t at, size_t n, struct err *err)
{
    if (w->n == w->cap) {
        size_t cap = w->cap ? 2 * w->cap : 64;
        struct text_span *v = realloc(w->v, cap * sizeof *v);
        if (!v)
            return err_set(err, ERR_NOMEM, "%zu words", cap);
        w->v = v;
        w->cap = cap;
    }
    w->v[w->n++] = (struct text_span){ at, n };
    return ERR_NONE;
}

/* The parts of one word, matches and what is between them, as they come from the left. */
struct split {
    const struct text_pre *step;
    struct text_words *out;
    size_t base, first; /* the word begins at base; its parts at out->v[first] */
    bool last_match;
};

/* Part [start, end) of the word: joined to the part before it, or kept, or dropped. */
static enum err_code split_part(struct split *s, size_t start, size_t end, bool match,
                                struct err *err)
{
    bool any = s->out->n > s->first, join = false;
    switch (s->step->behavior) {
    case TEXT_REMOVED:
        if (match)
            return ERR_NONE;
        break;
    case TEXT_ISOLATED: break;
    case TEXT_CONTIGUOUS: join = match == s->last_match; break;
    case TEXT_WITH_PREVIOUS: join = match && !s->last_match; break;
    case TEXT_WITH_NEXT: join = !match && s->last_match; break;
    }
    s->last_match = match;
    if (join && any) {
        s->out->v[s->out->n - 1].n += end - start;
        return ERR_NONE;
    }
    return push(s->out, s->base + start, end - start, err);
}

/* The text between the last match and this one, then this one. */
static enum err_code split_match(struct split *s, size_t *done, size_t start, size_t end,
                                 struct err *err)
{
    bool invert = s->step->invert;
    enum err_code rc = ERR_NONE;
    if (*done != start)
        rc = split_part(s, *done, start, invert, err);
    *done = end;
    return rc == ERR_NONE ? split_part(s, start, end, !invert, err) : rc;
}

static enum err_code split_by_regex(struct split *s, const char *p, size_t n, size_t *done,
                                    struct err *err)
{
    struct text_matches m;
    size_t start, end;
    bool found = true;
    enum err_code rc = text_matches_init(&m, s->step->regex, p, n, err);
    while (rc == ERR_NONE) {
        rc = text_matches_next(&m, &start, &end, &found, err);
        if (rc != ERR_NONE || !found)
            break;
        rc = split_match(s, done, start, end, err);
    }
    text_matches_clear(&m);
    return rc;
}

static enum err_code split_by_char(struct split *s, const char *p, size_t n, size_t *done,
                                   struct err *err)
{
    enum err_code rc = ERR_NONE;
    for (size_t i = 0, k; i < n && rc == ERR_NONE; i += k) {
        uint32_t cp;
        k = utf8_decode(p + i, n - i, &cp);
        if (s->step->is(cp))
            rc = split_match(s, done, i, i + k, err);
    }
    return rc;
}

/* Empty parts count while parts are joined, and are no words in the end. */
static void drop_empty(struct text_words *w, size_t from)
{
    size_t n = from;
    for (size_t i = from; i < w->n; i++)
        if (w->v[i].n)
            w->v[n++] = w->v[i];
    w->n = n;
}

static enum err_code run_split(const struct text_pre *step, struct text_words *in,
                               struct text_words *out, struct err *err)
{
    enum err_code rc = ERR_NONE;
    for (size_t i = 0; i < in->n && rc == ERR_NONE; i++) {
        const char *p = in->text.data + in->v[i].at;
        size_t n = in->v[i].n, done = 0;
        struct split s = { .step = step, .out = out, .base = in->v[i].at, .first = out->n };
        rc = step->regex ? split_by_regex(&s, p, n, &done, err)
                         : split_by_char(&s, p, n, &done, err);
        if (rc == ERR_NONE && done != n)
            rc = split_part(&s, done, n, step->invert, err);
        drop_empty(out, s.first);
    }
    struct buf text = in->text; /* the same text, cut finer */
    in->text = out->text;
    out->text = text;
    return rc;
}

/* 0 white, 1 word, 2 other: Whitespace keeps runs of words and runs of others. */
static int kind_of(uint32_t cp)
{
    return text_is_word(cp) ? 1 : text_is_white(cp) ? 0 : 2;
}

static enum err_code run_kinds(const struct text_pre *step, struct text_words *in,
                               struct text_words *out, struct err *err)
{
    (void)step;
    enum err_code rc = ERR_NONE;
    for (size_t w = 0; w < in->n && rc == ERR_NONE; w++) {
        int last = 0;
        for (size_t i = in->v[w].at, end = i + in->v[w].n, k; i < end && rc == ERR_NONE; i += k) {
            uint32_t cp;
            k = utf8_decode(in->text.data + i, end - i, &cp);
            int kind = kind_of(cp);
            if (kind && kind == last)
                out->v[out->n - 1].n += k;
            else if (kind)
                rc = push(out, i, k, err);
            last = kind;
        }
    }
    struct buf text = in->text;
    in->text = out->text;
    out->text = text;
    return rc;
}

/* A word with each space as the step's prefix, and one before it where the step wants it. */
static enum err_code prefix_word(const struct text_pre *step, const char *p, size_t n, bool first,
                                 struct buf *out, struct err *err)
{
    bool wanted = step->prepend == TEXT_ALWAYS || (step->prepend == TEXT_FIRST && first);
    bool there = *p == ' ' || (n >= step->n_prefix && !memcmp(p, step->prefix, step->n_prefix));
    enum err_code rc = ERR_NONE;
    if (wanted && !there)
        rc = buf_append(out, step->prefix, step->n_prefix, err);
    for (size_t i = 0; i < n && rc == ERR_NONE; i++)
        rc = p[i] == ' ' ? buf_append(out, step->prefix, step->n_prefix, err)
                         : buf_append(out, p + i, 1, err);
    return rc;
}

/* Metaspace; and ByteLevel's add_prefix_space, whose prefix is the space itself. */
static enum err_code run_prefix(const struct text_pre *step, struct text_words *in,
                                struct text_words *out, struct err *err)
{
    enum err_code rc = ERR_NONE;
    for (size_t i = 0; i < in->n && rc == ERR_NONE; i++) {
        size_t at = out->text.len;
        bool first = in->v[i].at < in->n_first;
        rc = prefix_word(step, in->text.data + in->v[i].at, in->v[i].n, first, &out->text, err);
        if (rc == ERR_NONE)
            rc = push(out, at, out->text.len - at, err);
    }
    return rc;
}

static enum err_code run_bytes(const struct text_pre *step, struct text_words *in,
                               struct text_words *out, struct err *err)
{
    (void)step;
    enum err_code rc = ERR_NONE;
    for (size_t i = 0; i < in->n && rc == ERR_NONE; i++) {
        size_t at = out->text.len;
        rc = text_put_bytes(&out->text, in->text.data + in->v[i].at, in->v[i].n, err);
        if (rc == ERR_NONE)
            rc = push(out, at, out->text.len - at, err);
    }
    return rc;
}

static enum err_code add(struct text_tokenizer *t, struct text_pre s, struct err *err)
{
    if (t->n_pre == TEXT_MAX_STEPS)
        return err_set(err, ERR_LIMIT, "pre-tokenizer of more than %d steps", TEXT_MAX_STEPS);
    t->pre[t->n_pre++] = s;
    t->asks_first |= s.prepend == TEXT_FIRST;
    return ERR_NONE;
}

static enum err_code load_sequence(struct text_tokenizer *t, const struct json *v, struct err *err)
{
    const struct json *list = json_get(v, "pretokenizers");
    enum err_code rc = ERR_NONE;
    if (!json_is_array(list))
        return err_set(err, ERR_CORRUPT, "pre_tokenizer: a Sequence without \"pretokenizers\"");
    for (size_t i = 0; i < json_len(list) && rc == ERR_NONE; i++)
        rc = text_pre_load(t, json_at(list, i), err);
    return rc;
}

static enum err_code load_bert(struct text_tokenizer *t, const struct json *v, struct err *err)
{
    (void)v;
    struct text_pre white = { .run = run_split, .is = text_is_white, .behavior = TEXT_REMOVED };
    struct text_pre punct = { .run = run_split, .is = text_is_punct, .behavior = TEXT_ISOLATED };
    enum err_code rc = add(t, white, err);
    return rc == ERR_NONE ? add(t, punct, err) : rc;
}

static enum err_code load_behavior(const struct json *v, enum text_behavior *out, struct err *err)
{
    static const char *const names[] = {
        [TEXT_REMOVED] = "Removed",
        [TEXT_ISOLATED] = "Isolated",
        [TEXT_WITH_PREVIOUS] = "MergedWithPrevious",
        [TEXT_WITH_NEXT] = "MergedWithNext",
        [TEXT_CONTIGUOUS] = "Contiguous",
    };
    const struct json *b = json_get(v, "behavior");
    const char *name = json_as_string(b, NULL);
    for (size_t i = 0; name && i < sizeof names / sizeof *names; i++)
        if (!strcmp(name, names[i]))
            return *out = (enum text_behavior)i, ERR_NONE;
    return b ? err_set(err, ERR_CORRUPT, "pre_tokenizer: unknown behavior \"%s\"",
                       name ? name : "?")
             : ERR_NONE;
}

static enum err_code load_punctuation(struct text_tokenizer *t, const struct json *v,
                                      struct err *err)
{
    struct text_pre s = { .run = run_split, .is = text_is_punct, .behavior = TEXT_ISOLATED };
    enum err_code rc = load_behavior(v, &s.behavior, err);
    return rc == ERR_NONE ? add(t, s, err) : rc;
}

static enum err_code load_split(struct text_tokenizer *t, const struct json *v, struct err *err)
{
    struct text_pre s = { .run = run_split };
    enum err_code rc = text_pattern(t, v, &s.regex, err);
    if (rc == ERR_NONE)
        rc = load_behavior(v, &s.behavior, err);
    if (rc == ERR_NONE)
        rc = text_bool(v, "invert", &s.invert, err);
    return rc == ERR_NONE ? add(t, s, err) : rc;
}

static enum err_code load_bytes(struct text_tokenizer *t, const struct json *v, struct err *err)
{
    /* GPT-2's own, github.com/openai/gpt-2 src/encoder.py */
    static const char words[] = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+"
                                "|\\s+(?!\\S)|\\s+";
    struct text_pre split = { .run = run_split, .behavior = TEXT_ISOLATED };
    bool prefix = true, use_regex = true;
    enum err_code rc = text_bool(v, "add_prefix_space", &prefix, err);
    if (rc == ERR_NONE)
        rc = text_bool(v, "use_regex", &use_regex, err);
    if (rc == ERR_NONE && prefix)
        rc = add(t, (struct text_pre){ .run = run_prefix, .prefix = " ", .n_prefix = 1 }, err);
    if (rc == ERR_NONE && use_regex)
        rc = text_regex_compile(&t->regexes, words, sizeof words - 1, false, err);
    split.regex = t->regexes;
    if (rc == ERR_NONE && use_regex)
        rc = add(t, split, err);
    return rc == ERR_NONE ? add(t, (struct text_pre){ .run = run_bytes }, err) : rc;
}

/* "prepend_scheme", or in older files "add_prefix_space". */
static enum err_code load_prepend(const struct json *v, enum text_prepend *out, struct err *err)
{
    static const char *const names[] = {
        [TEXT_ALWAYS] = "always", [TEXT_FIRST] = "first", [TEXT_NEVER] = "never"
    };
    const struct json *scheme = json_get(v, "prepend_scheme");
    const char *name = json_as_string(scheme, NULL);
    bool prefix = true;
    for (size_t i = 0; name && i < sizeof names / sizeof *names; i++)
        if (!strcmp(name, names[i]))
            return *out = (enum text_prepend)i, ERR_NONE;
    if (scheme)
        return err_set(err, ERR_CORRUPT, "Metaspace: unknown prepend_scheme \"%s\"",
                       name ? name : "?");
    enum err_code rc = text_bool(v, "add_prefix_space", &prefix, err);
    *out = prefix ? TEXT_ALWAYS : TEXT_NEVER;
    return rc;
}

static enum err_code load_metaspace(struct text_tokenizer *t, const struct json *v, struct err *err)
{
    struct text_pre prefix = { .run = run_prefix };
    struct text_pre split = { .run = run_split, .behavior = TEXT_WITH_NEXT };
    bool wants_split = true;
    enum err_code rc = load_prepend(v, &prefix.prepend, err);
    if (rc == ERR_NONE)
        rc = text_bool(v, "split", &wants_split, err);
    if (rc == ERR_NONE)
        rc = text_string(v, "replacement", &prefix.prefix, &prefix.n_prefix, &t->mem, err);
    if (rc == ERR_NONE && !prefix.n_prefix)
        rc = err_set(err, ERR_CORRUPT, "Metaspace: the replacement is empty");
    if (rc == ERR_NONE)
        rc = add(t, prefix, err);
    if (rc != ERR_NONE || !wants_split)
        return rc;
    rc = text_regex_compile(&t->regexes, prefix.prefix, prefix.n_prefix, true, err);
    split.regex = t->regexes;
    return rc == ERR_NONE ? add(t, split, err) : rc;
}

/* A run of digits is one word, or each digit is. */
static enum err_code load_digits(struct text_tokenizer *t, const struct json *v, struct err *err)
{
    bool each = false;
    enum err_code rc = text_bool(v, "individual_digits", &each, err);
    struct text_pre s = { .run = run_split,
                          .is = text_is_numeric,
                          .behavior = each ? TEXT_ISOLATED : TEXT_CONTIGUOUS };
    return rc == ERR_NONE ? add(t, s, err) : rc;
}

enum err_code text_pre_load(struct text_tokenizer *t, const struct json *v, struct err *err)
{
    static const struct {
        const char *type;
        enum err_code (*load)(struct text_tokenizer *t, const struct json *v, struct err *err);
        struct text_pre step; /* of those that have nothing to load */
    } kinds[] = {
        { "Sequence", load_sequence, { 0 } },
        { "BertPreTokenizer", load_bert, { 0 } },
        { "Whitespace", NULL, { .run = run_kinds } },
        { "WhitespaceSplit", NULL, { .run = run_split, .is = text_is_white } },
        { "Punctuation", load_punctuation, { 0 } },
        { "Split", load_split, { 0 } },
        { "Digits", load_digits, { 0 } },
        { "ByteLevel", load_bytes, { 0 } },
        { "Metaspace", load_metaspace, { 0 } },
    };
    if (!v || json_is_null(v))
        return ERR_NONE;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (!strcmp(kinds[i].type, text_type_of(v)))
            return kinds[i].load ? kinds[i].load(t, v, err) : add(t, kinds[i].step, err);
    return text_unsupported("pre_tokenizer", v, err);
}

enum err_code text_pre_run(const struct text_tokenizer *t, const char *p, size_t n, size_t n_first,
                           struct text_work *w, struct err *err)
{
    buf_reset(&w->words.text);
    w->words.n = 0;
    w->words.n_first = n_first;
    enum err_code rc = buf_append(&w->words.text, p, n, err);
    if (rc == ERR_NONE && n)
        rc = push(&w->words, 0, n, err);
    for (size_t i = 0; i < t->n_pre && rc == ERR_NONE; i++) {
        struct text_words in = w->words;
        w->words = w->other;
        w->other = in;
        buf_reset(&w->words.text);
        w->words.n = 0;
        w->words.n_first = n_first;
        rc = t->pre[i].run(&t->pre[i], &w->other, &w->words, err);
    }
    return rc;
}
