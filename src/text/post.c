/* Post-processors: special tokens around the ids, truncation before that, padding after it. All of
 * them come down to a template: ids, with a place in it where the text's own ids go. */
#include <stdlib.h>
#include <string.h>

#include "text/stage.h"

static enum err_code add(struct text_tokenizer *t, int64_t id, int64_t type, struct err *err)
{
    if (t->n_post == TEXT_MAX_STEPS)
        return err_set(err, ERR_LIMIT, "post_processor of more than %d pieces", TEXT_MAX_STEPS);
    if (id < -1 || id > INT32_MAX || type < 0 || type > INT32_MAX)
        return err_set(err, ERR_CORRUPT, "post_processor: id or type out of range");
    t->post[t->n_post++] = (struct text_piece){ (int32_t)id, (int32_t)type };
    return ERR_NONE;
}

/* BertProcessing and RobertaProcessing: "cls": ["[CLS]", 101], "sep": ["[SEP]", 102]. */
static enum err_code load_cls_sep(struct text_tokenizer *t, const struct json *v, struct err *err)
{
    int64_t cls, sep;
    if (!json_as_i64(json_at(json_get(v, "cls"), 1), &cls) || cls < 0 ||
        !json_as_i64(json_at(json_get(v, "sep"), 1), &sep) || sep < 0)
        return err_set(err, ERR_CORRUPT, "post_processor: cls and sep must be [token, id]");
    enum err_code rc = add(t, cls, 0, err);
    if (rc == ERR_NONE)
        rc = add(t, -1, 0, err);
    return rc == ERR_NONE ? add(t, sep, 0, err) : rc;
}

static enum err_code load_special(struct text_tokenizer *t, const struct json *special,
                                  const struct json *piece, int64_t type, struct err *err)
{
    const char *name = json_as_string(json_get(piece, "id"), NULL);
    const struct json *ids = name ? json_get(json_get(special, name), "ids") : NULL;
    enum err_code rc = ERR_NONE;
    if (!json_is_array(ids))
        return err_set(err, ERR_CORRUPT, "post_processor: no special token \"%s\"",
                       name ? name : "?");
    for (size_t i = 0; i < json_len(ids) && rc == ERR_NONE; i++) {
        int64_t id;
        if (!json_as_i64(json_at(ids, i), &id) || id < 0)
            return err_set(err, ERR_CORRUPT, "post_processor: \"%s\" has a bad id", name);
        rc = add(t, id, type, err);
    }
    return rc;
}

/* TemplateProcessing's template for one text; the one for pairs has no use here. */
static enum err_code load_template(struct text_tokenizer *t, const struct json *v, struct err *err)
{
    const struct json *single = json_get(v, "single");
    enum err_code rc = ERR_NONE;
    if (!json_is_array(single))
        return err_set(err, ERR_CORRUPT, "post_processor: a template without \"single\"");
    for (size_t i = 0; i < json_len(single) && rc == ERR_NONE; i++) {
        const struct json *sequence = json_get(json_at(single, i), "Sequence");
        const struct json *token = json_get(json_at(single, i), "SpecialToken");
        const struct json *piece = sequence ? sequence : token;
        const char *which = sequence ? json_as_string(json_get(sequence, "id"), NULL) : "A";
        int64_t type;
        if (!json_as_i64(json_get(piece, "type_id"), &type) || !which || strcmp(which, "A") != 0)
            return err_set(err, ERR_CORRUPT, "post_processor: piece %zu of \"single\"", i);
        rc = sequence ? add(t, -1, type, err)
                      : load_special(t, json_get(v, "special_tokens"), token, type, err);
    }
    return rc;
}

static enum err_code load_any(struct text_tokenizer *t, const struct json *v, struct err *err);

static enum err_code load_sequence(struct text_tokenizer *t, const struct json *v, struct err *err)
{
    const struct json *list = json_get(v, "processors");
    enum err_code rc = ERR_NONE;
    if (!json_is_array(list))
        return err_set(err, ERR_CORRUPT, "post_processor: a Sequence without \"processors\"");
    for (size_t i = 0; i < json_len(list) && rc == ERR_NONE; i++)
        rc = load_any(t, json_at(list, i), err);
    return rc;
}

static enum err_code load_any(struct text_tokenizer *t, const struct json *v, struct err *err)
{
    static const struct {
        const char *type;
        enum err_code (*load)(struct text_tokenizer *t, const struct json *v, struct err *err);
    } kinds[] = {
        { "BertProcessing", load_cls_sep },
        { "RobertaProcessing", load_cls_sep },
        { "TemplateProcessing", load_template },
    };
    if (!strcmp(text_type_of(v), "Sequence"))
        return load_sequence(t, v, err);
    if (!strcmp(text_type_of(v), "ByteLevel")) /* moves offsets, which are not computed here */
        return ERR_NONE;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (strcmp(kinds[i].type, text_type_of(v)) != 0)
            continue;
        if (t->n_post) /* one template around another */
            return err_set(err, ERR_UNSUPPORTED, "tokenizer.json: two post_processors that add");
        return kinds[i].load(t, v, err);
    }
    return text_unsupported("post_processor", v, err);
}

enum err_code text_post_load(struct text_tokenizer *t, const struct json *v, struct err *err)
{
    enum err_code rc = v && !json_is_null(v) ? load_any(t, v, err) : ERR_NONE;
    return rc == ERR_NONE && !t->n_post ? add(t, -1, 0, err) : rc;
}

/* A member that is a count within TEXT_MAX_LENGTH; absent or null: 0. */
static enum err_code count(const struct json *v, const char *key, size_t *out, struct err *err)
{
    const struct json *m = json_get(v, key);
    int64_t n = 0;
    if (m && !json_is_null(m) && (!json_as_i64(m, &n) || n < 0))
        return err_set(err, ERR_CORRUPT, "\"%s\" is not a count", key);
    if ((uint64_t)n > TEXT_MAX_LENGTH)
        return err_set(err, ERR_LIMIT, "\"%s\" of %lld (limit %zu)", key, (long long)n,
                       TEXT_MAX_LENGTH);
    *out = (size_t)n;
    return ERR_NONE;
}

static bool is_left(const struct json *v)
{
    const char *d = json_as_string(json_get(v, "direction"), NULL);
    return d && !strcmp(d, "Left");
}

/* "strategy" is {"Fixed": n}, or "BatchLongest", which for one text pads to nothing. */
static enum err_code load_padding(struct text_fit *f, const struct json *v, struct err *err)
{
    int64_t id = 0, type = 0;
    enum err_code rc = count(json_get(v, "strategy"), "Fixed", &f->pad_length, err);
    if (rc == ERR_NONE)
        rc = count(v, "pad_to_multiple_of", &f->pad_multiple, err);
    if (rc != ERR_NONE)
        return rc;
    (void)json_as_i64(json_get(v, "pad_id"), &id);
    (void)json_as_i64(json_get(v, "pad_type_id"), &type);
    if (id < 0 || id > INT32_MAX || type < 0 || type > INT32_MAX)
        return err_set(err, ERR_CORRUPT, "padding: id or type out of range");
    f->pad_id = (int32_t)id;
    f->pad_type = (int32_t)type;
    f->pad_left = is_left(v);
    return ERR_NONE;
}

enum err_code text_fit_load(struct text_tokenizer *t, const struct json *truncation,
                            const struct json *padding, struct err *err)
{
    struct text_fit f = { 0 };
    enum err_code rc = ERR_NONE;
    if (json_is_object(truncation)) {
        rc = count(truncation, "max_length", &f.max_length, err);
        if (rc == ERR_NONE && !f.max_length)
            rc = err_set(err, ERR_CORRUPT, "truncation without a max_length");
        f.cut_left = is_left(truncation);
    }
    if (rc == ERR_NONE && json_is_object(padding))
        rc = load_padding(&f, padding, err);
    t->fit = f;
    return rc;
}

/* Room for cap tokens. */
static enum err_code grow(struct text_ids *out, size_t cap, struct err *err)
{
    int32_t **const arrays[] = { &out->ids, &out->mask, &out->types };
    if (cap <= out->cap)
        return ERR_NONE;
    for (size_t i = 0; i < 3; i++) {
        int32_t *p = realloc(*arrays[i], cap * sizeof *p);
        if (!p)
            return err_set(err, ERR_NOMEM, "%zu tokens", cap);
        *arrays[i] = p;
    }
    out->cap = cap;
    return ERR_NONE;
}

enum err_code text_ids_push(struct text_ids *out, int32_t id, struct err *err)
{
    enum err_code rc = out->n < out->cap ? ERR_NONE : grow(out, out->cap ? 2 * out->cap : 128, err);
    if (rc == ERR_NONE)
        out->ids[out->n++] = id;
    return rc;
}

void text_ids_clear(struct text_ids *out)
{
    free(out->ids);
    free(out->mask);
    free(out->types);
    *out = (struct text_ids){ 0 };
}

static void fill(struct text_ids *out, size_t at, size_t n, struct text_piece what, int32_t mask)
{
    for (size_t i = at; i < at + n; i++) {
        if (what.id >= 0)
            out->ids[i] = what.id;
        out->types[i] = what.type;
        out->mask[i] = mask;
    }
}

/* The template around the text's ids in tail[0..n_text), written from at on. */
static void expand(const struct text_tokenizer *t, struct text_ids *out, size_t at,
                   const int32_t *tail, size_t n_text)
{
    for (size_t i = 0; i < t->n_post; i++) {
        size_t n = t->post[i].id < 0 ? n_text : 1;
        if (t->post[i].id < 0)
            memmove(out->ids + at, tail, n * sizeof *tail);
        fill(out, at, n, t->post[i], 1);
        at += n;
    }
}

enum err_code text_post_run(const struct text_tokenizer *t, const struct text_fit *fit,
                            struct text_ids *out, struct err *err)
{
    size_t n_places = 0, n_text = out->n, first = 0;
    for (size_t i = 0; i < t->n_post; i++)
        n_places += t->post[i].id < 0;
    size_t n_special = t->n_post - n_places;
    if (fit->max_length && fit->max_length < n_special)
        return err_set(err, ERR_LIMIT, "max_length %zu is less than the %zu special tokens",
                       fit->max_length, n_special);
    size_t room = fit->max_length ? fit->max_length - n_special : SIZE_MAX;
    if (n_text > room) {
        first = fit->cut_left ? n_text - room : 0;
        n_text = room;
    }
    size_t used = n_special + n_places * n_text,
           n = used > fit->pad_length ? used : fit->pad_length;
    if (fit->pad_multiple)
        n = (n + fit->pad_multiple - 1) / fit->pad_multiple * fit->pad_multiple;
    /* The text's ids wait behind the place of the whole, so that nothing is written over them. One
     * more, so that there are arrays to point to even where there is no token. */
    enum err_code rc = grow(out, n + n_text + 1, err);
    if (rc != ERR_NONE)
        return rc;
    memmove(out->ids + n, out->ids + first, n_text * sizeof *out->ids);
    struct text_piece pad = { fit->pad_id, fit->pad_type };
    expand(t, out, fit->pad_left ? n - used : 0, out->ids + n, n_text);
    fill(out, fit->pad_left ? 0 : used, n - used, pad, 0);
    out->n = n;
    return ERR_NONE;
}
