/* WordPiece (Schuster and Nakajima 2012, as BERT uses it): the longest piece that the vocabulary
 * holds, again and again; a word that does not come out even is unknown as a whole. */
#include <stdint.h>
#include <string.h>

#include "base/utf8.h"
#include "text/stage.h"

struct wordpiece {
    struct text_model model;
    const char *prefix; /* of pieces inside a word: "##" */
    size_t n_prefix, max_chars;
    int32_t unk; /* -1: the vocabulary lacks it */
};

/* The longest piece at word[start..n): its id, and its end in *end; -1 if there is none. The prefix
 * is written over what is done, for which the word has room in front. */
static int32_t longest_at(const struct wordpiece *m, char *word, size_t start, size_t n,
                          size_t *end)
{
    size_t extra = start ? m->n_prefix : 0, longest = m->model.vocab.longest;
    char *key = word + start - extra;
    if (extra)
        memcpy(key, m->prefix, extra);
    size_t stop = longest > extra && n - start > longest - extra ? start + longest - extra : n;
    while (stop > start && stop < n && ((unsigned char)word[stop] & 0xc0) == 0x80)
        stop--;
    while (stop > start) {
        int32_t id = text_vocab_find(&m->model.vocab, key, extra + (stop - start));
        if (id >= 0)
            return *end = stop, id;
        do
            stop--;
        while (stop > start && ((unsigned char)word[stop] & 0xc0) == 0x80);
    }
    return -1;
}

static enum err_code run(const struct text_model *model, const char *word, size_t n,
                         struct text_work *w, struct err *err)
{
    const struct wordpiece *m = (const struct wordpiece *)model;
    size_t was = w->out->n, start = 0;
    bool known = text_count_chars(word, n) <= m->max_chars;
    w->model.len = 0;
    enum err_code rc = buf_append(&w->model, m->prefix, m->n_prefix, err);
    if (rc == ERR_NONE)
        rc = buf_append(&w->model, word, n, err);
    while (rc == ERR_NONE && known && start < n) {
        int32_t id = longest_at(m, w->model.data + m->n_prefix, start, n, &start);
        known = id >= 0;
        if (known)
            rc = text_ids_push(w->out, id, err);
    }
    if (rc != ERR_NONE || known)
        return rc;
    w->out->n = was;
    if (m->unk < 0)
        return err_set(err, ERR_CORRUPT, "WordPiece: the vocabulary lacks its unknown token");
    return text_ids_push(w->out, m->unk, err);
}

enum err_code text_wordpiece_load(struct text_model **out, const struct json *v, struct arena *mem,
                                  struct err *err)
{
    struct wordpiece *m = arena_alloc(mem, 1, sizeof *m, err);
    const char *unk;
    size_t n_unk;
    int64_t max_chars = 100;
    if (!m)
        return ERR_NOMEM;
    m->model.run = run;
    enum err_code rc = text_string(v, "unk_token", &unk, &n_unk, mem, err);
    if (rc == ERR_NONE)
        rc = text_string(v, "continuing_subword_prefix", &m->prefix, &m->n_prefix, mem, err);
    if (rc == ERR_NONE)
        rc = text_vocab_load(&m->model.vocab, json_get(v, "vocab"), mem, err);
    if (rc != ERR_NONE)
        return rc;
    if (json_get(v, "max_input_chars_per_word") &&
        (!json_as_i64(json_get(v, "max_input_chars_per_word"), &max_chars) || max_chars < 0))
        return err_set(err, ERR_CORRUPT, "WordPiece: max_input_chars_per_word is not a number");
    m->max_chars = (size_t)max_chars;
    m->unk = text_vocab_find(&m->model.vocab, unk, n_unk);
    *out = &m->model;
    return ERR_NONE;
}
