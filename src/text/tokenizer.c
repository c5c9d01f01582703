#include "text/text.h"

#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "text/stage.h"

const char *text_type_of(const struct json *v)
{
    const char *type = json_as_string(json_get(v, "type"), NULL);
    return type ? type : "";
}

enum err_code text_unsupported(const char *stage, const struct json *v, struct err *err)
{
    return err_set(err, ERR_UNSUPPORTED, "tokenizer.json: %s type \"%s\" is not supported", stage,
                   text_type_of(v));
}

enum err_code text_string(const struct json *v, const char *key, const char **out, size_t *n,
                          struct arena *mem, struct err *err)
{
    const char *s = json_as_string(json_get(v, key), n);
    if (!s)
        return err_set(err, ERR_CORRUPT, "%s: \"%s\" is not a string", text_type_of(v), key);
    *out = arena_strndup(mem, s, *n, err);
    return *out ? ERR_NONE : ERR_NOMEM;
}

enum err_code text_bool(const struct json *v, const char *key, bool *out, struct err *err)
{
    const struct json *m = json_get(v, key);
    if (m && !json_is_null(m) && !json_as_bool(m, out))
        return err_set(err, ERR_CORRUPT, "%s: \"%s\" is not true or false", text_type_of(v), key);
    return ERR_NONE;
}

enum err_code text_pattern(struct text_tokenizer *t, const struct json *v,
                           const struct text_regex **out, struct err *err)
{
    const struct json *pattern = json_get(v, "pattern");
    size_t n = 0;
    const char *s = json_as_string(json_get(pattern, "String"), &n);
    bool literal = s != NULL;
    if (!s)
        s = json_as_string(json_get(pattern, "Regex"), &n);
    if (!s)
        return err_set(err, ERR_CORRUPT, "%s without a pattern", text_type_of(v));
    enum err_code rc = text_regex_compile(&t->regexes, s, n, literal, err);
    *out = t->regexes;
    return rc;
}

enum err_code text_model_load(struct text_tokenizer *t, const struct json *v, struct err *err)
{
    static const struct {
        const char *type;
        enum err_code (*load)(struct text_model **out, const struct json *v, struct arena *mem,
                              struct err *err);
    } kinds[] = {
        { "BPE", text_bpe_load },
        { "Unigram", text_unigram_load },
        { "WordPiece", text_wordpiece_load },
    };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (!strcmp(kinds[i].type, text_type_of(v)))
            return kinds[i].load(&t->model, v, &t->mem, err);
    return text_unsupported("model", v, err);
}

/* The parts in the order in which they need each other. */
static enum err_code load(struct text_tokenizer *t, const struct json *v, struct err *err)
{
    enum err_code rc = text_model_load(t, json_get(v, "model"), err);
    if (rc == ERR_NONE)
        rc = text_norm_load(t, json_get(v, "normalizer"), err);
    if (rc == ERR_NONE)
        rc = text_pre_load(t, json_get(v, "pre_tokenizer"), err);
    if (rc == ERR_NONE)
        rc = text_post_load(t, json_get(v, "post_processor"), err);
    if (rc == ERR_NONE)
        rc = text_fit_load(t, json_get(v, "truncation"), json_get(v, "padding"), err);
    if (rc == ERR_NONE) /* last: their spellings go through the normalizer */
        rc = text_added_load(t, json_get(v, "added_tokens"), err);
    return rc;
}

enum err_code text_tokenizer_create(struct text_tokenizer **out, const char *json, size_t n,
                                    struct err *err)
{
    *out = NULL;
    if (n > TEXT_MAX_JSON_BYTES)
        return err_set(err, ERR_LIMIT, "tokenizer.json of %zu bytes (limit %zu)", n,
                       TEXT_MAX_JSON_BYTES);
    struct json *v = NULL;
    struct text_tokenizer *t = calloc(1, sizeof *t);
    if (!t)
        return err_set(err, ERR_NOMEM, "tokenizer");
    struct err parse = { 0 };
    enum err_code rc = json_parse(json, n, &v, &parse);
    if (rc != ERR_NONE) /* ill-formed JSON is a broken file here, not a bad request */
        rc = err_set(err, rc == ERR_INVALID ? ERR_CORRUPT : rc, "%s", parse.msg);
    if (rc == ERR_NONE)
        rc = load(t, v, err);
    json_destroy(v);
    if (rc != ERR_NONE) {
        text_tokenizer_destroy(t);
        return rc;
    }
    *out = t;
    return ERR_NONE;
}

void text_tokenizer_destroy(struct text_tokenizer *t)
{
    if (!t)
        return;
    text_regex_destroy_all(t->regexes);
    arena_clear(&t->mem);
    free(t);
}

int32_t text_token_id(const struct text_tokenizer *t, const char *token)
{
    size_t n = strlen(token);
    int32_t place = text_vocab_find(&t->added_places, token, n);
    return place >= 0 ? t->added[place].id : text_vocab_find(&t->model->vocab, token, n);
}

int32_t text_greatest_id(const struct text_tokenizer *t)
{
    const struct text_vocab *v = &t->model->vocab;
    int32_t greatest = -1;
    for (size_t i = 0; i <= v->mask; i++)
        greatest = v->slots[i].id > greatest ? v->slots[i].id : greatest;
    for (size_t i = 0; i < t->n_added; i++)
        greatest = t->added[i].id > greatest ? t->added[i].id : greatest;
    return greatest;
}

struct text_fit text_tokenizer_fit(const struct text_tokenizer *t)
{
    return t->fit;
}

/* Whether the ids so far are all that truncation will leave. */
static bool enough(const struct text_fit *fit, const struct text_ids *out)
{
    return fit->max_length && !fit->cut_left && out->n >= fit->max_length;
}

static enum err_code encode_words(const struct text_tokenizer *t, const char *p, size_t n,
                                  size_t n_first, const struct text_fit *fit, struct text_work *w,
                                  struct err *err)
{
    enum err_code rc = text_pre_run(t, p, n, n_first, w, err);
    for (size_t i = 0; i < w->words.n && rc == ERR_NONE && !enough(fit, w->out); i++) {
        struct text_span s = w->words.v[i];
        rc = t->model->run(t->model, w->words.text.data + s.at, s.n, w, err);
    }
    return rc;
}

/* Text without raw added tokens in it. */
static enum err_code encode_plain(const struct text_tokenizer *t, const char *p, size_t n,
                                  size_t n_first, const struct text_fit *fit, struct text_work *w,
                                  struct err *err)
{
    struct text_cut cut;
    struct text_part part;
    enum err_code rc = text_norm_run(t, p, n, &w->normal, &w->spare, err);
    text_cut_init(&cut, &t->normal, w->normal.data, w->normal.len);
    while (rc == ERR_NONE && !enough(fit, w->out) && text_cut_next(&cut, &part)) {
        size_t at = part.span.at, first = n_first > at ? n_first - at : 0;
        rc = part.id >= 0 ? text_ids_push(w->out, part.id, err)
                          : encode_words(t, w->normal.data + at, part.span.n, first, fit, w, err);
    }
    return rc;
}

/* How many bytes the first character of a text normalizes to. A pre-tokenizer may treat the first
 * word in its own way, but not one that comes first only since what was before it is gone. */
static enum err_code measure_first(const struct text_tokenizer *t, const char *p, size_t n,
                                   struct text_work *w, size_t *n_first, struct err *err)
{
    uint32_t cp;
    size_t k = n ? utf8_decode(p, n, &cp) : 0;
    enum err_code rc = text_norm_run(t, p, k, &w->normal, &w->spare, err);
    *n_first = w->normal.len;
    return rc;
}

static enum err_code encode(const struct text_tokenizer *t, const char *p, size_t n,
                            const struct text_fit *fit, struct text_work *w, struct err *err)
{
    struct text_cut cut;
    struct text_part part;
    size_t n_first = 0;
    enum err_code rc = ERR_NONE;
    if (!utf8_valid(p, n)) {
        rc = utf8_repair(&w->repaired, p, n, err);
        p = w->repaired.data;
        n = w->repaired.len;
    }
    if (rc == ERR_NONE && t->asks_first)
        rc = measure_first(t, p, n, w, &n_first, err);
    text_cut_init(&cut, &t->raw, p, n);
    while (rc == ERR_NONE && !enough(fit, w->out) && text_cut_next(&cut, &part)) {
        size_t at = part.span.at;
        rc = part.id >= 0 ? text_ids_push(w->out, part.id, err)
                          : encode_plain(t, p + at, part.span.n, at ? 0 : n_first, fit, w, err);
    }
    return rc == ERR_NONE ? text_post_run(t, fit, w->out, err) : rc;
}

enum err_code text_encode(const struct text_tokenizer *t, const char *text, size_t n,
                          const struct text_fit *fit, struct text_ids *out, struct err *err)
{
    out->n = 0;
    if (!fit)
        fit = &t->fit;
    if (n > TEXT_MAX_BYTES)
        return err_set(err, ERR_LIMIT, "text of %zu bytes (limit %zu)", n, TEXT_MAX_BYTES);
    if (fit->max_length > TEXT_MAX_LENGTH || fit->pad_length > TEXT_MAX_LENGTH ||
        fit->pad_multiple > TEXT_MAX_LENGTH)
        return err_set(err, ERR_LIMIT, "tokens cut or padded to more than %zu", TEXT_MAX_LENGTH);
    struct text_work w = { .out = out };
    enum err_code rc = encode(t, text, n, fit, &w, err);
    if (rc != ERR_NONE)
        out->n = 0;
    buf_clear(&w.repaired);
    buf_clear(&w.normal);
    buf_clear(&w.spare);
    buf_clear(&w.model);
    text_words_clear(&w.words);
    text_words_clear(&w.other);
    return rc;
}
