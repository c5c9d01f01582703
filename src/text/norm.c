/* Normalizers: how a text is spelled before it is cut into words.
 *
 * A nested sequence is flattened when it is read, and BertNormalizer becomes the up to five steps
 * that it is made of, so that each step does one thing. */
#include <string.h>

#include "base/utf8.h"
#include "text/stage.h"

static enum err_code run_form(const struct text_norm *s, const char *p, size_t n, struct buf *out,
                              struct err *err)
{
    return text_normalize(s->form, p, n, out, err);
}

/* By characters, without context: that is what models were trained on. */
static enum err_code run_lower(const struct text_norm *s, const char *p, size_t n, struct buf *out,
                               struct err *err)
{
    (void)s;
    enum err_code rc = buf_reserve(out, n, err);
    for (size_t i = 0; i < n && rc == ERR_NONE;) {
        uint32_t cp, low[2];
        i += utf8_decode(p + i, n - i, &cp);
        size_t k = text_lower(cp, low);
        for (size_t j = 0; j < k && rc == ERR_NONE; j++)
            rc = text_put(out, low[j], err);
    }
    return rc;
}

static enum err_code run_drop(const struct text_norm *s, const char *p, size_t n, struct buf *out,
                              struct err *err)
{
    enum err_code rc = buf_reserve(out, n, err);
    for (size_t i = 0, k; i < n && rc == ERR_NONE; i += k) {
        uint32_t cp;
        k = utf8_decode(p + i, n - i, &cp);
        if (!s->drop(cp))
            rc = buf_append(out, p + i, k, err);
    }
    return rc;
}

/* BERT's clean_text: control characters and U+FFFD go, white space becomes a space. */
static enum err_code run_clean(const struct text_norm *s, const char *p, size_t n, struct buf *out,
                               struct err *err)
{
    (void)s;
    enum err_code rc = buf_reserve(out, n, err);
    for (size_t i = 0, k; i < n && rc == ERR_NONE; i += k) {
        uint32_t cp;
        k = utf8_decode(p + i, n - i, &cp);
        if (cp == 0 || cp == 0xfffd || text_is_control(cp))
            continue;
        rc = text_is_white(cp) ? buf_append(out, " ", 1, err) : buf_append(out, p + i, k, err);
    }
    return rc;
}

/* BERT's handle_chinese_chars: a space on either side, so that each becomes a word. */
static enum err_code run_ideographs(const struct text_norm *s, const char *p, size_t n,
                                    struct buf *out, struct err *err)
{
    (void)s;
    enum err_code rc = buf_reserve(out, n, err);
    for (size_t i = 0, k; i < n && rc == ERR_NONE; i += k) {
        uint32_t cp;
        k = utf8_decode(p + i, n - i, &cp);
        rc = text_is_ideograph(cp) ? buf_printf(out, err, " %.*s ", (int)k, p + i)
                                   : buf_append(out, p + i, k, err);
    }
    return rc;
}

static enum err_code run_replace(const struct text_norm *s, const char *p, size_t n,
                                 struct buf *out, struct err *err)
{
    struct text_matches m;
    size_t done = 0, start, end;
    bool found = true;
    enum err_code rc = text_matches_init(&m, s->regex, p, n, err);
    while (n && rc == ERR_NONE) {
        rc = text_matches_next(&m, &start, &end, &found, err);
        if (rc != ERR_NONE || !found)
            break;
        rc = buf_append(out, p + done, start - done, err);
        if (rc == ERR_NONE)
            rc = buf_append(out, s->content, s->n_content, err);
        done = end;
    }
    text_matches_clear(&m);
    return rc == ERR_NONE ? buf_append(out, p + done, n - done, err) : rc;
}

/* The reference leaves an empty text empty. */
static enum err_code run_prepend(const struct text_norm *s, const char *p, size_t n,
                                 struct buf *out, struct err *err)
{
    enum err_code rc = n ? buf_append(out, s->content, s->n_content, err) : ERR_NONE;
    return rc == ERR_NONE ? buf_append(out, p, n, err) : rc;
}

static enum err_code run_bytes(const struct text_norm *s, const char *p, size_t n, struct buf *out,
                               struct err *err)
{
    (void)s;
    return text_put_bytes(out, p, n, err);
}

static enum err_code run_map(const struct text_norm *s, const char *p, size_t n, struct buf *out,
                             struct err *err)
{
    return text_charsmap_run(s->map, p, n, out, err);
}

static enum err_code run_strip(const struct text_norm *s, const char *p, size_t n, struct buf *out,
                               struct err *err)
{
    size_t first = n, end = 0; /* of what is not white */
    for (size_t i = 0, k; i < n; i += k) {
        uint32_t cp;
        k = utf8_decode(p + i, n - i, &cp);
        if (text_is_white(cp))
            continue;
        first = i < first ? i : first;
        end = i + k;
    }
    size_t from = s->left ? first : 0, to = s->right ? end : n;
    return buf_append(out, p + from, to > from ? to - from : 0, err);
}

static enum err_code add(struct text_tokenizer *t, struct text_norm s, struct err *err)
{
    if (t->n_norm == TEXT_MAX_STEPS)
        return err_set(err, ERR_LIMIT, "normalizer of more than %d steps", TEXT_MAX_STEPS);
    t->norm[t->n_norm++] = s;
    return ERR_NONE;
}

static enum err_code load_bert(struct text_tokenizer *t, const struct json *v, struct err *err)
{
    bool clean = true, ideographs = true, lower = true;
    enum err_code rc = text_bool(v, "clean_text", &clean, err);
    if (rc == ERR_NONE)
        rc = text_bool(v, "handle_chinese_chars", &ideographs, err);
    if (rc == ERR_NONE)
        rc = text_bool(v, "lowercase", &lower, err);
    bool accents = lower; /* strip_accents null: as lowercase */
    if (rc == ERR_NONE)
        rc = text_bool(v, "strip_accents", &accents, err);
    if (rc == ERR_NONE && clean)
        rc = add(t, (struct text_norm){ .run = run_clean }, err);
    if (rc == ERR_NONE && ideographs)
        rc = add(t, (struct text_norm){ .run = run_ideographs }, err);
    if (rc == ERR_NONE && accents)
        rc = add(t, (struct text_norm){ .run = run_form, .form = TEXT_NFD }, err);
    if (rc == ERR_NONE && accents)
        rc = add(t, (struct text_norm){ .run = run_drop, .drop = text_is_nonspacing }, err);
    if (rc == ERR_NONE && lower)
        rc = add(t, (struct text_norm){ .run = run_lower }, err);
    return rc;
}

static enum err_code load_sequence(struct text_tokenizer *t, const struct json *v, struct err *err)
{
    const struct json *list = json_get(v, "normalizers");
    enum err_code rc = ERR_NONE;
    if (!json_is_array(list))
        return err_set(err, ERR_CORRUPT, "normalizer: a Sequence without \"normalizers\"");
    for (size_t i = 0; i < json_len(list) && rc == ERR_NONE; i++)
        rc = text_norm_load(t, json_at(list, i), err);
    return rc;
}

static enum err_code load_replace(struct text_tokenizer *t, const struct json *v, struct err *err)
{
    struct text_norm s = { .run = run_replace };
    enum err_code rc = text_pattern(t, v, &s.regex, err);
    if (rc == ERR_NONE)
        rc = text_string(v, "content", &s.content, &s.n_content, &t->mem, err);
    return rc == ERR_NONE ? add(t, s, err) : rc;
}

static enum err_code load_prepend(struct text_tokenizer *t, const struct json *v, struct err *err)
{
    struct text_norm s = { .run = run_prepend };
    enum err_code rc = text_string(v, "prepend", &s.content, &s.n_content, &t->mem, err);
    return rc == ERR_NONE ? add(t, s, err) : rc;
}

static enum err_code load_map(struct text_tokenizer *t, const struct json *v, struct err *err)
{
    struct text_norm s = { .run = run_map };
    enum err_code rc = text_charsmap_load(&s.map, v, &t->mem, err);
    return rc == ERR_NONE ? add(t, s, err) : rc;
}

static enum err_code load_strip(struct text_tokenizer *t, const struct json *v, struct err *err)
{
    struct text_norm s = { .run = run_strip, .left = true, .right = true };
    enum err_code rc = text_bool(v, "strip_left", &s.left, err);
    if (rc == ERR_NONE)
        rc = text_bool(v, "strip_right", &s.right, err);
    return rc == ERR_NONE ? add(t, s, err) : rc;
}

enum err_code text_norm_load(struct text_tokenizer *t, const struct json *v, struct err *err)
{
    static const struct {
        const char *type;
        enum err_code (*load)(struct text_tokenizer *t, const struct json *v, struct err *err);
        struct text_norm step; /* of those that have nothing to load */
    } kinds[] = {
        { "Sequence", load_sequence, { 0 } },
        { "BertNormalizer", load_bert, { 0 } },
        { "NFC", NULL, { .run = run_form, .form = TEXT_NFC } },
        { "NFD", NULL, { .run = run_form, .form = TEXT_NFD } },
        { "NFKC", NULL, { .run = run_form, .form = TEXT_NFKC } },
        { "NFKD", NULL, { .run = run_form, .form = TEXT_NFKD } },
        { "ByteLevel", NULL, { .run = run_bytes } },
        { "Lowercase", NULL, { .run = run_lower } },
        { "StripAccents", NULL, { .run = run_drop, .drop = text_is_mark } },
        { "Precompiled", load_map, { 0 } },
        { "Replace", load_replace, { 0 } },
        { "Prepend", load_prepend, { 0 } },
        { "Strip", load_strip, { 0 } },
    };
    if (!v || json_is_null(v))
        return ERR_NONE;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (!strcmp(kinds[i].type, text_type_of(v)))
            return kinds[i].load ? kinds[i].load(t, v, err) : add(t, kinds[i].step, err);
    return text_unsupported("normalizer", v, err);
}

enum err_code text_norm_run(const struct text_tokenizer *t, const char *p, size_t n,
                            struct buf *out, struct buf *spare, struct err *err)
{
    buf_reset(out);
    enum err_code rc = buf_append(out, p, n, err);
    for (size_t i = 0; i < t->n_norm && rc == ERR_NONE; i++) {
        struct buf in = *out;
        *out = *spare;
        *spare = in;
        buf_reset(out);
        rc = t->norm[i].run(&t->norm[i], spare->data, spare->len, out, err);
    }
    return rc;
}
