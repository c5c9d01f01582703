/* Added tokens: strings that are one token wherever they stand, whatever the model would make of
 * them. Those with normalized = false are looked for in the text as it came, the others after the
 * normalizer, in a spelling that went through it too. Of several at one place the longest wins. */
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "text/stage.h"

/* The character that ends at p[n]. */
static uint32_t char_before(const char *p, size_t n)
{
    size_t at = n - 1;
    uint32_t cp;
    while (at > 0 && ((unsigned char)p[at] & 0xc0) == 0x80)
        at--;
    utf8_decode(p + at, n - at, &cp);
    return cp;
}

/* Whether a letter or the like touches [start, end): it is then no word by itself. */
static bool word_around(const struct text_cut *c, size_t start, size_t end)
{
    uint32_t cp;
    if (start > 0 && text_is_word(char_before(c->p, start)))
        return true;
    if (end == c->n)
        return false;
    utf8_decode(c->p + end, c->n - end, &cp);
    return text_is_word(cp);
}

static size_t skip_white(const char *p, size_t at, size_t n)
{
    for (size_t k; at < n; at += k) {
        uint32_t cp;
        k = utf8_decode(p + at, n - at, &cp);
        if (!text_is_white(cp))
            break;
    }
    return at;
}

static size_t skip_white_back(const char *p, size_t at)
{
    while (at > 0) {
        uint32_t cp = char_before(p, at);
        char enc[4];
        if (!text_is_white(cp))
            break;
        at -= utf8_encode(cp, enc);
    }
    return at;
}

/* First in [lo, hi), whose matches agree before byte k, that has a byte >= b there. */
static size_t lower(const struct text_added *set, size_t lo, size_t hi, size_t k, unsigned b)
{
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        const struct text_added_token *t = set->v[mid];
        bool less = t->n_match <= k || (unsigned char)t->match[k] < b;
        if (less)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* The longest token that p[0..n) begins with; NULL if none. */
static const struct text_added_token *longest(const struct text_added *set, const char *p, size_t n)
{
    const struct text_added_token *best = NULL;
    size_t lo = 0, hi = set->n;
    for (size_t k = 0; k < n && lo < hi; k++) {
        unsigned b = (unsigned char)p[k];
        lo = lower(set, lo, hi, k, b);
        hi = lower(set, lo, hi, k, b + 1);
        if (lo < hi && set->v[lo]->n_match == k + 1) /* the shortest of a range sorts first */
            best = set->v[lo];
    }
    return best;
}

void text_cut_init(struct text_cut *c, const struct text_added *set, const char *p, size_t n)
{
    *c = (struct text_cut){ .set = set, .p = p, .n = n };
}

/* The next token from c->from on, with the white space it takes along, to c->pending. */
static bool find(struct text_cut *c)
{
    while (c->from < c->n) {
        const char *p = c->p + c->from;
        const struct text_added_token *t = NULL;
        if (c->set->starts[(unsigned char)*p])
            t = longest(c->set, p, c->n - c->from);
        if (!t) {
            c->from++;
            continue;
        }
        size_t start = c->from, end = c->from + t->n_match;
        c->from = end;
        if (t->single_word && word_around(c, start, end))
            continue;
        if (t->lstrip) {
            start = skip_white_back(c->p, start);
            start = start < c->done ? c->done : start;
        }
        if (t->rstrip)
            end = skip_white(c->p, end, c->n);
        if (end <= start) /* all of it went to the token before */
            continue;
        c->pending = t;
        c->pending_span = (struct text_span){ start, end - start };
        return true;
    }
    return false;
}

bool text_cut_next(struct text_cut *c, struct text_part *part)
{
    if (!c->pending && c->set->n && !find(c))
        c->from = c->n;
    size_t stop = c->pending ? c->pending_span.at : c->n;
    if (c->done < stop) { /* text before the token, or after the last one */
        *part = (struct text_part){ { c->done, stop - c->done }, -1 };
        c->done = stop;
        return true;
    }
    if (!c->pending)
        return false;
    *part = (struct text_part){ c->pending_span, c->pending->id };
    c->done = c->pending_span.at + c->pending_span.n;
    c->pending = NULL;
    return true;
}

/* By bytes, a shorter one before those that continue it. */
static int by_match(const void *a, const void *b)
{
    const struct text_added_token *x = *(struct text_added_token *const *)a;
    const struct text_added_token *y = *(struct text_added_token *const *)b;
    size_t n = x->n_match < y->n_match ? x->n_match : y->n_match;
    int d = memcmp(x->match, y->match, n);
    return d ? d : (x->n_match > y->n_match) - (x->n_match < y->n_match);
}

/* The tokens of one kind, sorted. One that normalizes to nothing can never be found. */
static enum err_code build(struct text_tokenizer *t, struct text_added *set, bool normalized,
                           struct err *err)
{
    set->v = arena_alloc(&t->mem, t->n_added + 1, sizeof(struct text_added_token *), err);
    if (!set->v)
        return ERR_NOMEM;
    for (size_t i = 0; i < t->n_added; i++) {
        struct text_added_token *a = &t->added[i];
        if (a->normalized == normalized && a->n_match) {
            set->v[set->n++] = a;
            set->starts[(unsigned char)*a->match] = true;
        }
    }
    qsort(set->v, set->n, sizeof *set->v, by_match);
    return ERR_NONE;
}

/* What the token looks like in a text that went through the normalizer. */
static enum err_code normalize_match(struct text_tokenizer *t, struct text_added_token *a,
                                     struct err *err)
{
    struct buf out = { 0 }, spare = { 0 };
    enum err_code rc = text_norm_run(t, a->content, a->n_content, &out, &spare, err);
    if (rc == ERR_NONE) {
        a->n_match = out.len;
        a->match = arena_strndup(&t->mem, out.data ? out.data : "", out.len, err);
        rc = a->match ? ERR_NONE : ERR_NOMEM;
    }
    buf_clear(&out);
    buf_clear(&spare);
    return rc;
}

static enum err_code load_one(struct text_tokenizer *t, const struct json *v,
                              struct text_added_token *a, struct err *err)
{
    static const struct {
        const char *key;
        size_t at;
    } flags[] = {
        { "single_word", offsetof(struct text_added_token, single_word) },
        { "lstrip", offsetof(struct text_added_token, lstrip) },
        { "rstrip", offsetof(struct text_added_token, rstrip) },
        { "normalized", offsetof(struct text_added_token, normalized) },
    };
    enum err_code rc = text_string(v, "content", &a->content, &a->n_content, &t->mem, err);
    for (size_t i = 0; i < sizeof flags / sizeof *flags && rc == ERR_NONE; i++)
        rc = text_bool(v, flags[i].key, (bool *)((char *)a + flags[i].at), err);
    a->match = a->content;
    a->n_match = a->n_content;
    return rc == ERR_NONE && a->normalized ? normalize_match(t, a, err) : rc;
}

/* The tokens read, each spelling once: the last of a spelling counts, in the place and with the id
 * of the first. As in the reference, the id is the vocabulary's, or the next free one; what the
 * file says is not asked. */
static enum err_code number(struct text_tokenizer *t, size_t n, size_t n_bytes, struct err *err)
{
    int32_t next_id = (int32_t)t->model->vocab.n;
    enum err_code rc = text_vocab_init(&t->added_places, n, n_bytes, &t->mem, err);
    for (size_t i = 0; i < n && rc == ERR_NONE; i++) {
        struct text_added_token a = t->added[i];
        int32_t place = text_vocab_find(&t->added_places, a.content, a.n_content);
        if (!a.n_content)
            continue;
        if (place >= 0) {
            a.id = t->added[place].id;
        } else {
            a.id = text_vocab_find(&t->model->vocab, a.content, a.n_content);
            if (a.id < 0)
                a.id = next_id++;
            place = (int32_t)t->n_added++;
            text_vocab_add(&t->added_places, a.content, a.n_content, place);
        }
        t->added[place] = a;
    }
    return rc;
}

enum err_code text_added_load(struct text_tokenizer *t, const struct json *v, struct err *err)
{
    enum { MAX_ADDED = 1 << 16 }; /* the largest in use has 6,415 */
    size_t n = json_len(v), n_bytes = 0;
    enum err_code rc = ERR_NONE;
    if (n > MAX_ADDED)
        return err_set(err, ERR_LIMIT, "%zu added tokens (limit %d)", n, MAX_ADDED);
    t->added = arena_alloc(&t->mem, n + 1, sizeof *t->added, err);
    if (!t->added)
        return ERR_NOMEM;
    for (size_t i = 0; i < n && rc == ERR_NONE; i++) {
        rc = load_one(t, json_at(v, i), &t->added[i], err);
        n_bytes += t->added[i].n_content;
    }
    if (rc == ERR_NONE)
        rc = number(t, n, n_bytes, err);
    if (rc == ERR_NONE)
        rc = build(t, &t->raw, false, err);
    return rc == ERR_NONE ? build(t, &t->normal, true, err) : rc;
}
