#include "text/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

enum {
    MAX_PATTERN = 16 << 10, /* bytes; the longest in use is 300 */
    MAX_STEPS = 1 << 20,    /* backtracks of one match; an honest pattern needs a few */
    MAX_HEAP_KIB = 64 << 10,
};

struct text_regex {
    struct text_regex *next;
    pcre2_code *code;
    pcre2_match_context *limits;
};

/* A pattern while it is rewritten. */
struct rewrite {
    const char *p;
    size_t n, i; /* i: the next byte to read */
    bool in_class;
    struct buf out;
    struct err *err;
};

static enum err_code refuse(const struct rewrite *w, const char *what)
{
    return err_set(w->err, ERR_UNSUPPORTED, "pattern \"%.*s\": %s is not supported",
                   (int)(w->n < 200 ? w->n : 200), w->p, what);
}

static bool ahead(const struct rewrite *w, const char *s)
{
    size_t k = strlen(s);
    return w->n - w->i >= k && !memcmp(w->p + w->i, s, k);
}

static enum err_code put(struct rewrite *w, const char *s, size_t n)
{
    return buf_append(&w->out, s, n, w->err);
}

/* Copy the next n bytes. */
static enum err_code copy(struct rewrite *w, size_t n)
{
    enum err_code rc = put(w, w->p + w->i, n);
    w->i += n;
    return rc;
}

/* What Oniguruma's shorthands mean, as the inside of a class. Outside of one its \w is more than
 * the standard's: it has the superscripts and fractions of Latin-1. */
static const struct shorthand {
    char name;
    const char *members, *outside;
} shorthands[] = {
    { 's', "\\p{White_Space}", "" },
    { 'd', "\\p{Nd}", "" },
    { 'h', "0-9a-fA-F", "" },
    { 'w', "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}", "\\x{b2}\\x{b3}\\x{b9}\\x{bc}-\\x{be}" },
};

static enum err_code rewrite_shorthand(struct rewrite *w, const struct shorthand *s, bool negated)
{
    w->i += 2;
    if (!w->in_class)
        return buf_printf(&w->out, w->err, "[%s%s%s]", negated ? "^" : "", s->members, s->outside);
    if (!negated)
        return buf_puts(&w->out, s->members, w->err);
    if (s->name != 's' && s->name != 'd') /* more than one property */
        return refuse(w, "\\W or \\H inside a class");
    enum err_code rc = buf_puts(&w->out, "\\P", w->err);
    return rc == ERR_NONE ? buf_puts(&w->out, s->members + 2, w->err) : rc;
}

/* \p{L} stays; \p{Han} becomes \p{sc:Han}, since PCRE2 reads a bare script as Script_Extensions. */
static enum err_code rewrite_property(struct rewrite *w)
{
    const char *close = memchr(w->p + w->i, '}', w->n - w->i);
    if (w->n - w->i < 4 || w->p[w->i + 2] != '{' || !close)
        return refuse(w, "a property without braces");
    const char *name = w->p + w->i + 3;
    size_t caret = *name == '^', n = (size_t)(close - name) - caret;
    enum err_code rc = copy(w, 3 + caret);
    if (rc == ERR_NONE && n > 2)
        rc = buf_puts(&w->out, "sc:", w->err);
    return rc == ERR_NONE ? copy(w, n + 1) : rc;
}

static enum err_code rewrite_escape(struct rewrite *w)
{
    if (w->i + 1 >= w->n)
        return err_set(w->err, ERR_CORRUPT, "pattern ends in a backslash");
    char c = w->p[w->i + 1];
    for (size_t k = 0; k < sizeof shorthands / sizeof *shorthands; k++)
        if ((c | 0x20) == shorthands[k].name)
            return rewrite_shorthand(w, &shorthands[k], c != shorthands[k].name);
    if (c == 'p' || c == 'P')
        return rewrite_property(w);
    if (c == 'v') { /* a vertical tab there, any vertical space here */
        w->i += 2;
        return buf_puts(&w->out, "\\x0b", w->err);
    }
    if (c == 'u') { /* \uHHHH */
        if (w->n - w->i < 6)
            return refuse(w, "\\u without four digits");
        w->i += 2;
        enum err_code rc = buf_printf(&w->out, w->err, "\\x{%.4s}", w->p + w->i);
        w->i += 4;
        return rc;
    }
    if (c == 'x' && !(w->n - w->i > 2 && w->p[w->i + 2] == '{'))
        return refuse(w, "\\x without braces"); /* a byte there, a character here */
    bool letter = (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
    if ((letter && !strchr(w->in_class ? "ntrfaex" : "ntrfaexAzZ", c)) || c == '0')
        return refuse(w, (char[]){ '\\', c, 0 });
    return copy(w, 2);
}

static enum err_code rewrite_class_start(struct rewrite *w)
{
    w->in_class = true;
    enum err_code rc = copy(w, ahead(w, "[^") ? 2 : 1);
    return ahead(w, "]") ? refuse(w, "a class that starts with ]") : rc;
}

static enum err_code rewrite_in_class(struct rewrite *w)
{
    if (ahead(w, "["))
        return refuse(w, "a class inside a class");
    if (ahead(w, "&&"))
        return refuse(w, "&& inside a class");
    if (ahead(w, "]"))
        w->in_class = false;
    return copy(w, 1);
}

static enum err_code rewrite_group(struct rewrite *w)
{
    static const char *const known[] = { "(?:", "(?=", "(?!", "(?<=", "(?<!", "(?>", "(?i:" };
    for (size_t k = 0; k < sizeof known / sizeof *known; k++)
        if (ahead(w, known[k]))
            return copy(w, strlen(known[k]));
    if (w->i == 0 && ahead(w, "(?i)")) /* elsewhere its reach differs */
        return copy(w, 4);
    return ahead(w, "(?") || ahead(w, "(*") ? refuse(w, "this kind of group") : copy(w, 1);
}

static enum err_code rewrite_counts(struct rewrite *w)
{
    const char *close = memchr(w->p + w->i, '}', w->n - w->i);
    if (ahead(w, "{,"))
        return refuse(w, "{,n}");
    if (close && close + 1 < w->p + w->n && close[1] == '+')
        return refuse(w, "{n,m}+"); /* a second repetition there, a possessive one here */
    return copy(w, 1);
}

static enum err_code rewrite(struct rewrite *w)
{
    enum err_code rc = ERR_NONE;
    while (w->i < w->n && rc == ERR_NONE) {
        char c = w->p[w->i];
        rc = c == '\\'     ? rewrite_escape(w)
             : w->in_class ? rewrite_in_class(w)
             : c == '['    ? rewrite_class_start(w)
             : c == '('    ? rewrite_group(w)
             : c == '{'    ? rewrite_counts(w)
                           : copy(w, 1);
    }
    return rc;
}

static enum err_code compile(struct text_regex *r, const char *p, size_t n, uint32_t options,
                             struct err *err)
{
    int code = 0;
    PCRE2_SIZE at = 0;
    pcre2_compile_context *cc = pcre2_compile_context_create(NULL);
    r->limits = pcre2_match_context_create(NULL);
    if (!cc || !r->limits) {
        pcre2_compile_context_free(cc);
        return err_set(err, ERR_NOMEM, "pattern of %zu bytes", n);
    }
    pcre2_set_newline(cc, PCRE2_NEWLINE_LF);
    pcre2_set_match_limit(r->limits, MAX_STEPS);
    pcre2_set_heap_limit(r->limits, MAX_HEAP_KIB);
    r->code = pcre2_compile((PCRE2_SPTR)p, n, options, &code, &at, cc);
    pcre2_compile_context_free(cc);
    if (!r->code) {
        PCRE2_UCHAR what[128] = "";
        pcre2_get_error_message(code, what, sizeof what);
        return err_set(err,
                       code == PCRE2_ERROR_UNKNOWN_UNICODE_PROPERTY ? ERR_UNSUPPORTED : ERR_CORRUPT,
                       "pattern \"%.200s\": %s at byte %zu", p, (const char *)what, at);
    }
    (void)pcre2_jit_compile(r->code, PCRE2_JIT_COMPLETE); /* without it: slower, the same answers */
    return ERR_NONE;
}

enum err_code text_regex_compile(struct text_regex **list, const char *pattern, size_t n,
                                 bool literal, struct err *err)
{
    if (n > MAX_PATTERN)
        return err_set(err, ERR_LIMIT, "pattern of %zu bytes (limit %d)", n, MAX_PATTERN);
    struct text_regex *r = calloc(1, sizeof *r);
    if (!r)
        return err_set(err, ERR_NOMEM, "pattern");
    r->next = *list;
    *list = r;
    struct rewrite w = { .p = pattern, .n = n, .err = err };
    enum err_code rc = literal ? put(&w, pattern, n) : rewrite(&w);
    if (rc == ERR_NONE)
        rc = buf_reserve(&w.out, 0, err); /* an empty pattern still needs an address */
    /* ^ and $ match at lines in Ruby's syntax. */
    uint32_t options = literal ? PCRE2_LITERAL : PCRE2_UCP | PCRE2_MULTILINE;
    if (rc == ERR_NONE)
        rc = compile(r, w.out.data, w.out.len, options | PCRE2_UTF, err);
    buf_clear(&w.out);
    return rc;
}

void text_regex_destroy_all(struct text_regex *list)
{
    for (struct text_regex *next; list; list = next) {
        next = list->next;
        pcre2_code_free(list->code);
        pcre2_match_context_free(list->limits);
        free(list);
    }
}

enum err_code text_matches_init(struct text_matches *m, const struct text_regex *regex,
                                const char *p, size_t n, struct err *err)
{
    *m = (struct text_matches){ .regex = regex, .p = p, .n = n, .last_end = SIZE_MAX };
    m->data = pcre2_match_data_create(1, NULL);
    return m->data ? ERR_NONE : err_set(err, ERR_NOMEM, "pattern match");
}

void text_matches_clear(struct text_matches *m)
{
    pcre2_match_data_free(m->data);
    m->data = NULL;
}

static size_t char_len(const char *p, size_t n)
{
    size_t k = 1;
    while (k < n && ((unsigned char)p[k] & 0xc0) == 0x80)
        k++;
    return k;
}

enum err_code text_matches_next(struct text_matches *m, size_t *start, size_t *end, bool *found,
                                struct err *err)
{
    *found = false;
    while (m->from <= m->n) {
        const struct text_regex *r = m->regex;
        PCRE2_SPTR p = (PCRE2_SPTR)m->p;
        int rc = pcre2_match(r->code, p, m->n, m->from, PCRE2_NO_UTF_CHECK, m->data, r->limits);
        if (rc == PCRE2_ERROR_JIT_STACKLIMIT) /* the interpreter keeps its stack on the heap */
            rc = pcre2_match(r->code, p, m->n, m->from, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, m->data,
                             r->limits);
        if (rc == PCRE2_ERROR_NOMATCH)
            break;
        if (rc < 0)
            return err_set(err, rc == PCRE2_ERROR_NOMEMORY ? ERR_NOMEM : ERR_LIMIT,
                           "pattern gave up after %d steps (PCRE2 error %d)", MAX_STEPS, rc);
        const PCRE2_SIZE *o = pcre2_get_ovector_pointer(m->data);
        if (o[0] == o[1] && o[1] == m->last_end) {
            m->from += m->from < m->n ? char_len(m->p + m->from, m->n - m->from) : 1;
            continue;
        }
        m->from = m->last_end = *end = o[1];
        *start = o[0];
        *found = true;
        return ERR_NONE;
    }
    m->from = m->n + 1;
    return ERR_NONE;
}
