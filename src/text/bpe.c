/* Byte pair encoding (Sennrich et al. 2016): a word's characters, of which neighbours are merged,
 * always the pair that the training merged first, until no pair is left that it knew.
 *
 * Neighbours are a linked list and candidate merges a heap, so a word of n characters takes
 * O(n log n) however long it is. What the reference does about unknown characters is kept, also
 * where it is odd. */
#include <stdint.h>
#include <string.h>

#include "base/utf8.h"
#include "text/stage.h"

/* A pair of ids and what it becomes; new_id -1: empty slot. */
struct merge {
    int32_t a, b, new_id, rank;
};

struct bpe {
    struct text_model model;
    struct merge *merges; /* open addressing, [mask + 1] */
    size_t mask;
    const char *unk_token, *prefix, *suffix; /* "" where there is none */
    size_t n_unk, n_prefix, n_suffix;
    int32_t unk, byte_ids[256]; /* -1: not in the vocabulary */
    bool has_unk, fuse_unk, byte_fallback, ignore_merges;
};

/* A part of the word; prev and next are places in the word, -1 at its ends. */
struct symbol {
    int32_t id, prev, next;
    bool gone; /* merged into the one before it */
};

struct candidate {
    int32_t rank, at, new_id;
};

/* One word: symbols [n], and a min-heap by rank, then place. A symbol starts at most one candidate,
 * a merge at most two, so 3 n candidates are enough. */
struct word {
    struct symbol *v;
    struct candidate *heap;
    size_t n, n_heap;
};

static struct merge *slot_of(const struct bpe *m, int32_t a, int32_t b)
{
    uint64_t h = ((uint64_t)(uint32_t)a << 32 | (uint32_t)b) * 0x9e3779b97f4a7c15u;
    for (size_t i = (h >> 32) & m->mask;; i = (i + 1) & m->mask) {
        struct merge *e = &m->merges[i];
        if (e->new_id < 0 || (e->a == a && e->b == b))
            return e;
    }
}

/* At one rank the left one is first: "aaa" becomes "aa a". */
static bool before(struct candidate x, struct candidate y)
{
    return x.rank != y.rank ? x.rank < y.rank : x.at < y.at;
}

static void heap_push(struct word *w, struct candidate c)
{
    size_t i = w->n_heap++;
    for (; i && before(c, w->heap[(i - 1) / 2]); i = (i - 1) / 2)
        w->heap[i] = w->heap[(i - 1) / 2];
    w->heap[i] = c;
}

static struct candidate heap_pop(struct word *w)
{
    struct candidate top = w->heap[0], last = w->heap[--w->n_heap];
    size_t i = 0;
    for (size_t k; (k = 2 * i + 1) < w->n_heap; i = k) {
        if (k + 1 < w->n_heap && before(w->heap[k + 1], w->heap[k]))
            k++;
        if (!before(w->heap[k], last))
            break;
        w->heap[i] = w->heap[k];
    }
    w->heap[i] = last;
    return top;
}

/* Queue the merge of the symbol at i with the one after it, if the training knew it. */
static void consider(const struct bpe *m, struct word *w, int32_t i)
{
    if (i < 0 || w->v[i].next < 0)
        return;
    const struct merge *e = slot_of(m, w->v[i].id, w->v[w->v[i].next].id);
    if (e->new_id >= 0)
        heap_push(w, (struct candidate){ e->rank, i, e->new_id });
}

/* Until the heap is empty. Nothing is taken out of it when a symbol changes: a candidate that no
 * longer fits is seen to be stale when its turn comes, by what its pair would become now. */
static void merge_all(const struct bpe *m, struct word *w)
{
    for (size_t i = 0; i + 1 < w->n; i++)
        consider(m, w, (int32_t)i);
    while (w->n_heap) {
        struct candidate c = heap_pop(w);
        struct symbol *s = &w->v[c.at];
        if (s->gone || s->next < 0)
            continue;
        struct symbol *right = &w->v[s->next];
        if (slot_of(m, s->id, right->id)->new_id != c.new_id) /* a neighbour has changed since */
            continue;
        s->id = c.new_id;
        right->gone = true;
        s->next = right->next;
        if (s->next >= 0)
            w->v[s->next].prev = c.at;
        consider(m, w, s->prev);
        consider(m, w, c.at);
    }
}

static void add_symbol(struct word *w, int32_t id)
{
    int32_t i = (int32_t)w->n++;
    w->v[i] = (struct symbol){ .id = id, .prev = i - 1, .next = -1 };
    if (i)
        w->v[i - 1].next = i;
}

/* key as its bytes' own tokens; false if the vocabulary lacks one of them. */
static bool add_bytes(const struct bpe *m, struct word *w, const char *key, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (m->byte_ids[(unsigned char)key[i]] < 0)
            return false;
    for (size_t i = 0; i < n; i++)
        add_symbol(w, m->byte_ids[(unsigned char)key[i]]);
    return true;
}

/* One character, with its affixes. An unknown one stays pending until the next known one, so that
 * a run of them can become one token. */
static enum err_code add_char(const struct bpe *m, struct word *w, const char *key, size_t n,
                              bool *pending, struct err *err)
{
    int32_t id = text_vocab_find(&m->model.vocab, key, n);
    if (id >= 0) {
        if (*pending)
            add_symbol(w, m->unk);
        *pending = false;
        add_symbol(w, id);
        return ERR_NONE;
    }
    if (m->byte_fallback && add_bytes(m, w, key, n))
        return ERR_NONE;
    if (!m->has_unk) /* the character is left out */
        return ERR_NONE;
    if (m->unk < 0)
        return err_set(err, ERR_CORRUPT, "BPE: the vocabulary lacks its unknown token");
    if (*pending && !m->fuse_unk)
        add_symbol(w, m->unk);
    *pending = true;
    return ERR_NONE;
}

/* The characters of p[0..n), each looked up with the affixes of its place: a prefix on all but the
 * first, a suffix on the last. */
static enum err_code add_chars(const struct bpe *m, struct word *w, const char *p, size_t n,
                               struct err *err)
{
    enum err_code rc = ERR_NONE;
    bool pending = false;
    for (size_t i = 0, k; i < n && rc == ERR_NONE; i += k) {
        char key[2 * TEXT_MAX_AFFIX + 4];
        size_t len = 0;
        uint32_t cp;
        k = utf8_decode(p + i, n - i, &cp);
        if (i) {
            memcpy(key, m->prefix, m->n_prefix);
            len = m->n_prefix;
        }
        memcpy(key + len, p + i, k);
        len += k;
        if (i + k == n) {
            memcpy(key + len, m->suffix, m->n_suffix);
            len += m->n_suffix;
        }
        rc = add_char(m, w, key, len, &pending, err);
    }
    if (rc == ERR_NONE && pending)
        add_symbol(w, m->unk);
    return rc;
}

static enum err_code run(const struct text_model *model, const char *p, size_t n,
                         struct text_work *work, struct err *err)
{
    const struct bpe *m = (const struct bpe *)model;
    int32_t whole = m->ignore_merges ? text_vocab_find(&model->vocab, p, n) : -1;
    if (whole >= 0)
        return text_ids_push(work->out, whole, err);
    size_t most = text_count_chars(p, n); /* symbols to begin with */
    if (m->byte_fallback)
        most = n + m->n_prefix * most + m->n_suffix;
    buf_reset(&work->model);
    enum err_code rc = buf_reserve(
        &work->model, most * (sizeof(struct symbol) + 3 * sizeof(struct candidate)), err);
    if (rc != ERR_NONE)
        return rc;
    struct word w = { .v = (struct symbol *)(void *)work->model.data };
    w.heap = (struct candidate *)(void *)(w.v + most);
    rc = add_chars(m, &w, p, n, err);
    if (rc == ERR_NONE)
        merge_all(m, &w);
    for (size_t i = 0; i < w.n && rc == ERR_NONE; i++)
        if (!w.v[i].gone)
            rc = text_ids_push(work->out, w.v[i].id, err);
    return rc;
}

/* Merge i of the file: a pair of spellings, or in older files one string with a space. */
static enum err_code read_pair(const struct json *v, const char **a, size_t *n_a, const char **b,
                               size_t *n_b, struct err *err)
{
    size_t n;
    const char *line = json_as_string(v, &n);
    if (line) {
        const char *space = memchr(line, ' ', n);
        *a = line;
        *n_a = space ? (size_t)(space - line) : 0;
        *b = space ? space + 1 : NULL;
        *n_b = space ? n - *n_a - 1 : 0;
        if (*b && memchr(*b, ' ', *n_b))
            *b = NULL;
    } else {
        *a = json_as_string(json_at(v, 0), n_a);
        *b = json_as_string(json_at(v, 1), n_b);
    }
    return *a && *b ? ERR_NONE : err_set(err, ERR_CORRUPT, "BPE: a merge is not a pair");
}

/* The merge of that rank. Both parts and the whole, less the prefix inside it, must be tokens; of
 * two merges of one pair the later counts. */
static enum err_code load_merge(struct bpe *m, const struct json *v, int32_t rank, struct buf *both,
                                struct err *err)
{
    const char *a, *b;
    size_t n_a, n_b;
    enum err_code rc = read_pair(v, &a, &n_a, &b, &n_b, err);
    if (rc != ERR_NONE)
        return rc;
    if (n_b < m->n_prefix)
        return err_set(err, ERR_CORRUPT, "BPE: merge %d lacks the subword prefix", rank);
    buf_reset(both);
    rc = buf_append(both, a, n_a, err);
    if (rc == ERR_NONE)
        rc = buf_append(both, b + m->n_prefix, n_b - m->n_prefix, err);
    if (rc != ERR_NONE)
        return rc;
    int32_t a_id = text_vocab_find(&m->model.vocab, a, n_a);
    int32_t b_id = text_vocab_find(&m->model.vocab, b, n_b);
    int32_t new_id = text_vocab_find(&m->model.vocab, both->data, both->len);
    if (a_id < 0 || b_id < 0 || new_id < 0)
        return err_set(err, ERR_CORRUPT, "BPE: merge %d (\"%s\") is not in the vocabulary", rank,
                       both->data);
    *slot_of(m, a_id, b_id) = (struct merge){ a_id, b_id, new_id, rank };
    return ERR_NONE;
}

static enum err_code load_merges(struct bpe *m, const struct json *list, struct arena *mem,
                                 struct err *err)
{
    enum { MAX_MERGES = 1 << 22 };
    size_t n = json_len(list), cap = 16;
    struct buf both = { 0 };
    enum err_code rc = ERR_NONE;
    if (!json_is_array(list))
        return err_set(err, ERR_CORRUPT, "BPE without \"merges\"");
    if (n > MAX_MERGES)
        return err_set(err, ERR_LIMIT, "BPE: %zu merges (limit %d)", n, MAX_MERGES);
    while (cap < 2 * n)
        cap *= 2;
    m->mask = cap - 1;
    m->merges = arena_alloc(mem, cap, sizeof *m->merges, err);
    if (!m->merges)
        return ERR_NOMEM;
    for (size_t i = 0; i < cap; i++)
        m->merges[i].new_id = -1;
    for (size_t i = 0; i < n && rc == ERR_NONE; i++) {
        const char *line = json_as_string(json_at(list, i), NULL);
        if (!line || strncmp(line, "#version", 8) != 0)
            rc = load_merge(m, json_at(list, i), (int32_t)i, &both, err);
    }
    buf_clear(&both);
    return rc;
}

/* A string that may be absent or null, then "". */
static enum err_code optional(const struct json *v, const char *key, const char **out, size_t *n,
                              struct arena *mem, struct err *err)
{
    const struct json *s = json_get(v, key);
    *out = "";
    *n = 0;
    return s && !json_is_null(s) ? text_string(v, key, out, n, mem, err) : ERR_NONE;
}

static enum err_code load_options(struct bpe *m, const struct json *v, struct arena *mem,
                                  struct err *err)
{
    double dropout = 0;
    enum err_code rc = optional(v, "unk_token", &m->unk_token, &m->n_unk, mem, err);
    if (rc == ERR_NONE)
        rc = optional(v, "continuing_subword_prefix", &m->prefix, &m->n_prefix, mem, err);
    if (rc == ERR_NONE)
        rc = optional(v, "end_of_word_suffix", &m->suffix, &m->n_suffix, mem, err);
    if (rc == ERR_NONE)
        rc = text_bool(v, "fuse_unk", &m->fuse_unk, err);
    if (rc == ERR_NONE)
        rc = text_bool(v, "byte_fallback", &m->byte_fallback, err);
    if (rc == ERR_NONE)
        rc = text_bool(v, "ignore_merges", &m->ignore_merges, err);
    if (rc != ERR_NONE)
        return rc;
    m->has_unk = json_as_string(json_get(v, "unk_token"), NULL) != NULL;
    if (m->n_prefix > TEXT_MAX_AFFIX || m->n_suffix > TEXT_MAX_AFFIX)
        return err_set(err, ERR_LIMIT, "BPE: prefix or suffix longer than %d bytes",
                       TEXT_MAX_AFFIX);
    if (json_as_f64(json_get(v, "dropout"), &dropout) && dropout != 0)
        return err_set(err, ERR_UNSUPPORTED, "tokenizer.json: BPE with dropout is not supported");
    return ERR_NONE;
}

enum err_code text_bpe_load(struct text_model **out, const struct json *v, struct arena *mem,
                            struct err *err)
{
    struct bpe *m = arena_alloc(mem, 1, sizeof *m, err);
    if (!m)
        return ERR_NOMEM;
    m->model.run = run;
    enum err_code rc = load_options(m, v, mem, err);
    if (rc == ERR_NONE)
        rc = text_vocab_load(&m->model.vocab, json_get(v, "vocab"), mem, err);
    if (rc == ERR_NONE)
        rc = load_merges(m, json_get(v, "merges"), mem, err);
    if (rc != ERR_NONE)
        return rc;
    m->unk = text_vocab_find(&m->model.vocab, m->unk_token, m->n_unk);
    text_byte_ids(&m->model.vocab, m->byte_ids);
    *out = &m->model;
    return ERR_NONE;
}
