#include "http/multipart.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/str.h"

enum state {
    START,    /* before the first boundary */
    SKIP,     /* a line end came first: anything up to the first '-' is passed over */
    FIRST,    /* inside the first boundary, `matched` of it seen */
    OPENED,   /* after it: a line end, or "-" of an empty form */
    OPEN_LF,  /* after its CR */
    OPEN_END, /* after its first '-' */
    NAME,     /* a header's name, or the line end that ends the headers */
    NAMES_LF, /* after that CR */
    VALUE,
    VALUE_LF,
    DATA,
    AFTER,    /* the whole delimiter was seen */
    AFTER_CR, /* ... and a CR: another part, if a LF follows */
    AFTER_DASH,
    END,
};

static enum err_code malformed(struct err *err)
{
    return err_set(err, ERR_INVALID, "Invalid multipart data.");
}

enum err_code multipart_init(struct multipart *m, const char *boundary,
                             const struct multipart_events *events, void *ctx, struct err *err)
{
    *m = (struct multipart){ .events = events,
                             .ctx = ctx,
                             .state = START,
                             .header = { .limit = MULTIPART_HEADER_MAX_BYTES },
                             .disposition = { .limit = MULTIPART_HEADER_MAX_BYTES } };
    if (!*boundary)
        return err_set(err, ERR_INVALID, "Missing boundary in multipart.");
    m->delimiter = str_format("\r\n--%s", boundary);
    if (!m->delimiter)
        return err_set(err, ERR_NOMEM, "form");
    m->n_delimiter = strlen(m->delimiter);
    return ERR_NONE;
}

void multipart_clear(struct multipart *m)
{
    free(m->delimiter);
    buf_clear(&m->header);
    buf_clear(&m->disposition);
    *m = (struct multipart){ 0 };
}

/* RFC 7230's token characters. */
static bool is_token(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c && strchr("!#$%&'*+-.^_`|~", c));
}

static enum state open_part(struct multipart *m)
{
    m->n_headers = 0;
    m->matched = 0;
    buf_reset(&m->header);
    buf_reset(&m->disposition);
    return NAME;
}

/* A header is whole: "Name:value" in m->header. */
static enum err_code end_header(struct multipart *m, struct err *err)
{
    static const char wanted[] = "content-disposition:";
    const char *h = m->header.data;
    enum err_code rc = ERR_NONE;
    if (!strncasecmp(h, wanted, sizeof wanted - 1)) {
        buf_reset(&m->disposition);
        rc = buf_puts(&m->disposition, h + sizeof wanted - 1, err);
    }
    buf_reset(&m->header);
    return rc;
}

/* A character of the header that is read. */
static enum err_code keep(struct multipart *m, char c, struct err *err)
{
    enum err_code rc = buf_append(&m->header, &c, 1, NULL);
    return rc == ERR_NOMEM ? err_set(err, rc, "form") : rc == ERR_NONE ? rc : malformed(err);
}

static enum err_code name_char(struct multipart *m, char c, enum state *to, struct err *err)
{
    if (c == '\r' && !m->header.len) {
        *to = NAMES_LF;
        return ERR_NONE;
    }
    if (!m->header.len && ++m->n_headers > MULTIPART_HEADERS_MAX)
        return malformed(err);
    if (c == ':' ? !m->header.len : !is_token(c))
        return malformed(err);
    *to = c == ':' ? VALUE : NAME;
    return keep(m, c, err);
}

static enum err_code value_char(struct multipart *m, char c, enum state *to, struct err *err)
{
    if (c == '\r') {
        *to = VALUE_LF;
        return end_header(m, err);
    }
    return keep(m, c, err);
}

/* What was held back as a possible boundary is data after all; c is looked at again. */
static enum err_code give_back(struct multipart *m, const char *tail, enum state *to,
                               struct err *err)
{
    *to = DATA;
    size_t n = m->matched;
    m->matched = 0;
    enum err_code rc = m->events->data(m->ctx, m->delimiter, n, err);
    if (rc == ERR_NONE && *tail)
        rc = m->events->data(m->ctx, tail, strlen(tail), err);
    return rc;
}

/* Bytes of p that are surely data: up to a CR that begins a delimiter as far as can be seen. */
static size_t plain(const char *p, size_t n)
{
    for (size_t at = 0; at < n; at++) {
        const char *cr = memchr(p + at, '\r', n - at);
        if (!cr)
            return n;
        at = (size_t)(cr - p);
        if (at + 1 == n || p[at + 1] == '\n')
            return at;
    }
    return n;
}

/* DATA; *i moves past what was used. The delimiter has its only CR in front, so where a match
 * breaks off no other can have begun within it. */
static enum err_code data_chars(struct multipart *m, const char *p, size_t n, size_t *i,
                                enum state *to, struct err *err)
{
    if (!m->matched) {
        size_t run = plain(p + *i, n - *i);
        enum err_code rc = run ? m->events->data(m->ctx, p + *i, run, err) : ERR_NONE;
        *i += run;
        if (rc != ERR_NONE || *i == n)
            return rc;
    }
    if (p[*i] != m->delimiter[m->matched])
        return give_back(m, "", to, err);
    (*i)++;
    if (++m->matched == m->n_delimiter)
        *to = AFTER;
    return ERR_NONE;
}

/* After the delimiter; sets *again where c must be looked at once more. */
static enum err_code after_char(struct multipart *m, char c, enum state *to, bool *again,
                                struct err *err)
{
    enum state was = *to;
    *again = false;
    if (was == AFTER && (c == '\r' || c == '-')) {
        *to = c == '\r' ? AFTER_CR : AFTER_DASH;
        return ERR_NONE;
    }
    if (was == AFTER_CR && c == '\n') {
        *to = open_part(m);
        return m->events->end(m->ctx, err);
    }
    if (was == AFTER_DASH && c == '-') {
        *to = END;
        return m->events->end(m->ctx, err);
    }
    *again = true;
    return give_back(m, was == AFTER_CR ? "\r" : was == AFTER_DASH ? "-" : "", to, err);
}

/* One byte in a state where only certain bytes may come. */
static enum err_code strict_char(struct multipart *m, char c, enum state *to, struct err *err)
{
    switch (*to) {
    case FIRST:
        if (c != m->delimiter[2 + m->matched])
            return malformed(err);
        if (++m->matched == m->n_delimiter - 2)
            *to = OPENED;
        return ERR_NONE;
    case OPENED:
        *to = c == '-' ? OPEN_END : OPEN_LF;
        return c == '-' || c == '\r' ? ERR_NONE : malformed(err);
    case OPEN_LF: *to = open_part(m); return c == '\n' ? ERR_NONE : malformed(err);
    case OPEN_END: *to = END; return c == '-' ? ERR_NONE : malformed(err);
    case VALUE_LF: *to = NAME; return c == '\n' ? ERR_NONE : malformed(err);
    default: /* NAMES_LF */
        *to = DATA;
        return c != '\n'
                   ? malformed(err)
                   : m->events->begin(m->ctx, m->disposition.len ? m->disposition.data : "", err);
    }
}

/* The byte at p[*i], or as many as can be taken at once; *i moves past what was used. */
static enum err_code step(struct multipart *m, const char *p, size_t n, size_t *i, enum state *to,
                          struct err *err)
{
    bool again = false;
    enum err_code rc = ERR_NONE;
    switch (*to) {
    case START: *to = p[*i] == '\r' || p[*i] == '\n' ? SKIP : FIRST; return ERR_NONE;
    case SKIP:
        if (p[*i] == '-')
            *to = FIRST;
        else
            (*i)++;
        return ERR_NONE;
    case DATA: return data_chars(m, p, n, i, to, err);
    case END: *i = n; return ERR_NONE;
    case NAME: rc = name_char(m, p[*i], to, err); break;
    case VALUE: rc = value_char(m, p[*i], to, err); break;
    case AFTER:
    case AFTER_CR:
    case AFTER_DASH: rc = after_char(m, p[*i], to, &again, err); break;
    default: rc = strict_char(m, p[*i], to, err);
    }
    *i += !again;
    return rc;
}

enum err_code multipart_write(struct multipart *m, const char *p, size_t n, struct err *err)
{
    enum err_code rc = ERR_NONE;
    enum state at = (enum state)m->state;
    for (size_t i = 0; i < n && rc == ERR_NONE;)
        rc = step(m, p, n, &i, &at, err);
    m->state = (int)at;
    return rc;
}
