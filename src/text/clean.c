/* What the service does to a text before the tokenizer sees it. */
#include "base/utf8.h"
#include "text/text.h"
#include "text/unicode.h"

/* str.isspace: the information separators too, beside White_Space. */
static bool is_space(uint32_t cp)
{
    return text_is_white(cp) || (cp >= 0x1c && cp <= 0x1f);
}

static uint32_t at(const char *p, size_t n, size_t i, size_t *k)
{
    uint32_t cp;
    *k = utf8_decode(p + i, n - i, &cp);
    return cp;
}

/* The first character from i on that does not let a sigma look past it; 0 at the end. */
static uint32_t next_solid(const char *p, size_t n, size_t i)
{
    for (size_t k; i < n; i += k) {
        uint32_t cp = at(p, n, i, &k);
        if (!text_is_case_ignorable(cp))
            return cp;
    }
    return 0;
}

/* str.lower: as text_lower(), but a sigma that ends a word is a final one (Unicode 15, table 3-17).
 * The last solid character before is remembered, so only a sigma costs a look ahead. */
static enum err_code lower(struct buf *out, const char *p, size_t n, struct err *err)
{
    enum err_code rc = ERR_NONE;
    bool after_cased = false;
    for (size_t i = 0, k; i < n && rc == ERR_NONE; i += k) {
        uint32_t cp = at(p, n, i, &k), low[2];
        size_t n_low = text_lower(cp, low);
        if (cp == 0x3a3 && after_cased && !text_is_cased(next_solid(p, n, i + k)))
            low[0] = 0x3c2;
        for (size_t j = 0; j < n_low && rc == ERR_NONE; j++)
            rc = text_put(out, low[j], err);
        if (!text_is_case_ignorable(cp))
            after_cased = text_is_cased(cp);
    }
    return rc;
}

/* Runs of white space to one space, none at the ends; ASCII punctuation out where not wanted. */
static enum err_code collapse(struct buf *out, const char *p, size_t n, bool drop_punct,
                              struct err *err)
{
    enum err_code rc = ERR_NONE;
    bool gap = false, any = false;
    for (size_t i = 0, k; i < n && rc == ERR_NONE; i += k) {
        uint32_t cp = at(p, n, i, &k);
        if (is_space(cp)) {
            gap = any;
            continue;
        }
        if (gap)
            rc = buf_append(out, " ", 1, err);
        gap = false;
        any = true; /* also for what is dropped: its spaces stay */
        if (rc == ERR_NONE && !(drop_punct && cp < 0x80 && text_is_punct(cp)))
            rc = text_put(out, cp, err);
    }
    return rc;
}

enum err_code text_clean(struct buf *out, const char *text, size_t n, bool canonical,
                         struct err *err)
{
    if (n > TEXT_MAX_BYTES)
        return err_set(err, ERR_LIMIT, "text of %zu bytes (limit %zu)", n, TEXT_MAX_BYTES);
    if (!canonical)
        return collapse(out, text, n, false, err);
    struct buf plain = { 0 };
    enum err_code rc = collapse(&plain, text, n, true, err);
    if (rc == ERR_NONE)
        rc = lower(out, plain.data, plain.len, err);
    buf_clear(&plain);
    return rc;
}
