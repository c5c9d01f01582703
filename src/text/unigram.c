/* Unigram (Kudo 2018): of all ways to cut a word into pieces of the vocabulary the one with the
 * greatest sum of scores, by Viterbi's dynamic programme over the places in the word. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"
#include "text/stage.h"

struct unigram {
    struct text_model model;
    double *scores;     /* [vocabulary size], by id */
    double unk_score;   /* of a character that is in no piece by itself */
    int32_t unk;        /* -1: the file names none */
    int32_t bytes[256]; /* ids of <0x00> ...; -1: not in the vocabulary */
    bool byte_fallback;
};

/* The best way to get to a place: its score, where its last piece begins (-1: no way yet; from the
 * front later: where the next piece ends) and that piece. */
struct best {
    double score;
    int32_t link, id;
};

static void offer(struct best *to, double score, size_t start, int32_t id)
{
    if (to->link >= 0 && score <= to->score)
        return;
    *to = (struct best){ score, (int32_t)start, id };
}

/* Every piece that begins at p[at], to where it ends. */
static enum err_code extend(const struct unigram *m, struct best *best, const char *p, size_t n,
                            size_t at, size_t char_len, struct err *err)
{
    double here = best[at].score;
    bool single = false;
    size_t end = n - at > m->model.vocab.longest ? at + m->model.vocab.longest : n;
    for (size_t i = at + 1; i <= end; i++) {
        if (i < n && ((unsigned char)p[i] & 0xc0) == 0x80)
            continue;
        int32_t id = text_vocab_find(&m->model.vocab, p + at, i - at);
        if (id < 0)
            continue;
        offer(&best[i], here + m->scores[id], at, id);
        single |= i - at == char_len;
    }
    if (single)
        return ERR_NONE;
    if (m->unk < 0)
        return err_set(err, ERR_CORRUPT, "Unigram: no unknown token for this text");
    offer(&best[at + char_len], here + m->unk_score, at, m->unk);
    return ERR_NONE;
}

/* Turn the links around: from where a piece begins to where it ends. */
static void reverse(struct best *best, size_t n)
{
    int32_t end = (int32_t)n, id = best[n].id;
    for (int32_t at = best[n].link; end > 0;) {
        int32_t before = best[at].link, before_id = best[at].id;
        best[at].link = end;
        best[at].id = id;
        end = at;
        id = before_id;
        at = before;
    }
}

/* A run of unknown characters is one token, or its bytes' own. */
static enum err_code push_unknown(const struct unigram *m, const char *p, size_t n,
                                  struct text_ids *out, struct err *err)
{
    int32_t id = text_vocab_find(&m->model.vocab, p, n);
    bool bytes = id < 0 && m->byte_fallback;
    enum err_code rc = ERR_NONE;
    for (size_t i = 0; i < n && bytes; i++)
        bytes = m->bytes[(unsigned char)p[i]] >= 0;
    if (!bytes)
        return text_ids_push(out, id < 0 ? m->unk : id, err);
    for (size_t i = 0; i < n && rc == ERR_NONE; i++)
        rc = text_ids_push(out, m->bytes[(unsigned char)p[i]], err);
    return rc;
}

static enum err_code push_pieces(const struct unigram *m, const struct best *best, const char *p,
                                 size_t n, struct text_ids *out, struct err *err)
{
    enum err_code rc = ERR_NONE;
    for (size_t at = 0, end; at < n && rc == ERR_NONE; at = end) {
        int32_t id = best[at].id;
        end = (size_t)best[at].link;
        while (id == m->unk && end < n && best[end].id == m->unk)
            end = (size_t)best[end].link;
        rc = id == m->unk ? push_unknown(m, p + at, end - at, out, err)
                          : text_ids_push(out, id, err);
    }
    return rc;
}

static enum err_code run(const struct text_model *model, const char *p, size_t n,
                         struct text_work *w, struct err *err)
{
    const struct unigram *m = (const struct unigram *)model;
    buf_reset(&w->model);
    enum err_code rc = buf_reserve(&w->model, (n + 1) * sizeof(struct best), err);
    if (rc != ERR_NONE)
        return rc;
    struct best *best = (struct best *)(void *)w->model.data;
    for (size_t i = 0; i <= n; i++)
        best[i] = (struct best){ .link = -1 };
    for (size_t at = 0, k; at < n && rc == ERR_NONE; at += k) {
        uint32_t cp;
        k = utf8_decode(p + at, n - at, &cp);
        rc = extend(m, best, p, n, at, k, err);
    }
    if (rc != ERR_NONE)
        return rc;
    reverse(best, n);
    return push_pieces(m, best, p, n, w->out, err);
}

/* "vocab": [["<unk>", 0.0], ["▁the", -3.5], ...]; an id is a place in it. */
static enum err_code load_vocab(struct unigram *m, const struct json *list, struct arena *mem,
                                struct err *err)
{
    size_t n = json_len(list), n_bytes = 0, len;
    double least = INFINITY;
    for (size_t i = 0; i < n; i++) {
        if (!json_as_string(json_at(json_at(list, i), 0), &len))
            return err_set(err, ERR_CORRUPT, "Unigram: piece %zu is not [text, score]", i);
        n_bytes += len;
    }
    enum err_code rc = text_vocab_init(&m->model.vocab, n, n_bytes, mem, err);
    if (rc != ERR_NONE)
        return rc;
    m->scores = arena_alloc(mem, n + 1, sizeof *m->scores, err);
    if (!m->scores)
        return ERR_NOMEM;
    for (size_t i = 0; i < n; i++) {
        const char *s = json_as_string(json_at(json_at(list, i), 0), &len);
        if (!json_as_f64(json_at(json_at(list, i), 1), &m->scores[i]))
            return err_set(err, ERR_CORRUPT, "Unigram: piece %zu has no score", i);
        least = m->scores[i] < least ? m->scores[i] : least;
        text_vocab_add(&m->model.vocab, s, len, (int32_t)i);
    }
    m->unk_score = least - 10; /* SentencePiece's penalty */
    return ERR_NONE;
}

enum err_code text_unigram_load(struct text_model **out, const struct json *v, struct arena *mem,
                                struct err *err)
{
    struct unigram *m = arena_alloc(mem, 1, sizeof *m, err);
    const struct json *unk = json_get(v, "unk_id");
    int64_t id = -1;
    if (!m)
        return ERR_NOMEM;
    m->model.run = run;
    if (!json_is_array(json_get(v, "vocab")))
        return err_set(err, ERR_CORRUPT, "Unigram without \"vocab\"");
    enum err_code rc = load_vocab(m, json_get(v, "vocab"), mem, err);
    if (rc == ERR_NONE)
        rc = text_bool(v, "byte_fallback", &m->byte_fallback, err);
    if (rc != ERR_NONE)
        return rc;
    if (unk && !json_is_null(unk) &&
        (!json_as_i64(unk, &id) || id < 0 || (size_t)id >= json_len(json_get(v, "vocab"))))
        return err_set(err, ERR_CORRUPT, "Unigram: unk_id is not in the vocabulary");
    m->unk = (int32_t)id;
    text_byte_ids(&m->model.vocab, m->bytes);
    *out = &m->model;
    return ERR_NONE;
}
