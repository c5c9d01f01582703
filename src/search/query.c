#include <ctype.h>
#include <math.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "search/search.h"

#define WEIGHT_MAX 100.0

/* The operators before a term: [-][number:][image:]. */
struct prefix {
    enum search_kind kind;
    double weight;
    const char *rest;
    bool any;
};

static bool blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* "0.5:" at s: its value into *w and what follows it, or NULL. */
static const char *read_weight(const char *s, double *w)
{
    size_t n = strspn(s, "0123456789.");
    char number[32];
    if (!n || n >= sizeof number || s[n] != ':' || isdigit((unsigned char)s[n + 1]))
        return NULL;
    memcpy(number, s, n);
    number[n] = '\0';
    return str_to_f64(number, w) ? s + n + 1 : NULL;
}

static struct prefix read_prefix(const char *s)
{
    struct prefix p = { .kind = SEARCH_TEXT, .weight = 1, .rest = s };
    double w = 1;
    if (s[0] == '-' && s[1] && s[1] != '-' && !blank(s[1])) {
        p.any = true;
        p.weight = -1;
        p.rest++;
    }
    const char *after = read_weight(p.rest, &w);
    if (after) {
        p.any = true;
        p.weight *= w;
        p.rest = after;
    }
    if (str_starts(p.rest, "image:")) {
        p.any = true;
        p.kind = SEARCH_IMAGE;
        p.rest += 6;
    }
    return p;
}

/* ---- terms ---- */

static enum err_code add_term(struct search_query *q, struct prefix p, const char *value, size_t n,
                              struct err *err)
{
    while (p.kind == SEARCH_TEXT && n && blank(value[n - 1]))
        n--;
    while (p.kind == SEARCH_TEXT && n && blank(*value))
        value++, n--;
    if (!n)
        return err_set(err, ERR_INVALID,
                       p.kind == SEARCH_IMAGE ? "image: needs a file after it"
                                              : "a term of the query is empty");
    if (!(fabs(p.weight) <= WEIGHT_MAX) || p.weight == 0)
        return err_set(err, ERR_INVALID, "weight %g of \"%.*s\" is not within %g and not 0",
                       p.weight, (int)(n < 100 ? n : 100), value, WEIGHT_MAX);
    if (q->n_terms == SEARCH_TERMS_MAX)
        return err_set(err, ERR_LIMIT, "more than %d terms", SEARCH_TERMS_MAX);
    const char *copy = arena_strndup(&q->mem, value, n, err);
    if (!copy)
        return ERR_NOMEM;
    q->terms[q->n_terms++] =
        (struct search_term){ .kind = p.kind, .weight = p.weight, .value = copy };
    return ERR_NONE;
}

/* A quoted text at s (which is the quote) is appended to out; returns what follows it, NULL with
 * err. */
static const char *read_quoted(const char *s, struct buf *out, struct err *err)
{
    const char *start = s++;
    for (; *s && *s != '"'; s++) {
        if (*s == '\\' && (s[1] == '"' || s[1] == '\\'))
            s++;
        if (buf_append(out, s, 1, err) != ERR_NONE)
            return NULL;
    }
    if (*s == '"')
        return s + 1;
    err_set(err, ERR_INVALID, "the quote in %.60s does not end", start);
    return NULL;
}

/* One word, or quoted text, at s. */
static const char *read_operand(const char *s, struct buf *out, struct err *err)
{
    if (*s == '"')
        return read_quoted(s, out, err);
    const char *end = s;
    while (*end && !blank(*end))
        end++;
    return buf_append(out, s, (size_t)(end - s), err) == ERR_NONE ? end : NULL;
}

static enum err_code read_inline(struct search_query *q, const char *s, struct buf *plain,
                                 struct err *err)
{
    struct buf word = { .limit = SEARCH_QUERY_MAX };
    enum err_code rc = ERR_NONE;
    for (;;) {
        while (blank(*s))
            s++;
        if (!*s || rc != ERR_NONE)
            break;
        struct prefix p = read_prefix(s);
        buf_reset(&word);
        s = read_operand(p.rest, &word, err);
        if (!s)
            rc = err ? err->code : ERR_INVALID;
        else if (p.any)
            rc = add_term(q, p, word.data ? word.data : "", word.len, err);
        else if (word.len && (!plain->len || (rc = buf_puts(plain, " ", err)) == ERR_NONE))
            rc = buf_append(plain, word.data, word.len, err);
        if (!s)
            break;
    }
    buf_clear(&word);
    return rc;
}

static enum err_code read_arg(struct search_query *q, const char *arg, struct buf *plain,
                              struct err *err)
{
    struct prefix p = read_prefix(arg);
    if (!p.any)
        return read_inline(q, arg, plain, err);
    size_t n = strlen(p.rest);
    if (p.rest[0] != '"')
        return add_term(q, p, p.rest, n, err);
    /* Quotes that reached us through the shell: -"red car" is one term, -"red" house more than one.
     */
    return read_inline(q, arg, plain, err);
}

enum err_code search_parse(struct search_query *q, const char *const *args, size_t n_args,
                           struct err *err)
{
    struct err local = { 0 };
    struct buf plain = { .limit = SEARCH_QUERY_MAX };
    *q = (struct search_query){ .mem.limit = 1 << 20 };
    enum err_code rc = ERR_NONE;
    size_t total = 0;
    for (size_t i = 0; i < n_args && rc == ERR_NONE; i++) {
        total += strlen(args[i]);
        rc = total > SEARCH_QUERY_MAX
                 ? err_set(&local, ERR_LIMIT, "the query is longer than %d bytes", SEARCH_QUERY_MAX)
                 : read_arg(q, args[i], &plain, &local);
    }
    if (rc == ERR_NONE && plain.len)
        rc = add_term(q, read_prefix(""), plain.data, plain.len, &local);
    if (rc == ERR_NONE && !q->n_terms)
        rc = err_set(&local, ERR_INVALID, "the query is empty");
    buf_clear(&plain);
    if (rc != ERR_NONE) {
        search_query_clear(q);
        return err_set(err, rc, "%s", local.msg);
    }
    return ERR_NONE;
}

void search_query_clear(struct search_query *q)
{
    arena_clear(&q->mem);
    *q = (struct search_query){ 0 };
}
