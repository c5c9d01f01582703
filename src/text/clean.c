/* clean.c - what the reference does to a text before its tokenizer sees it: Python's str.split,
 * join, translate and lower. */
#include <ctype.h>
#include <string.h>
#include <utf8proc.h>

#include "base/utf8.h"
#include "text/text.h"
#include "text/unicode.h"

/* str.isspace(): White_Space and the four ASCII separators. */
static bool is_space(uint32_t cp)
{
    return text_is_white(cp) || (cp >= 0x1c && cp <= 0x1f);
}

static enum err_code join_words(struct buf *out, const char *text, size_t n, struct err *err)
{
    enum err_code rc = ERR_NONE;
    bool gap = false;
    size_t start = out->len;
    for (size_t i = 0; i < n && rc == ERR_NONE;) {
        uint32_t cp;
        i += utf8_decode(text + i, n - i, &cp);
        if (is_space(cp)) {
            gap = out->len > start;
            continue;
        }
        if (gap)
            rc = buf_append(out, " ", 1, err);
        gap = false;
        if (rc == ERR_NONE)
            rc = text_put(out, cp, err);
    }
    return rc;
}

static bool is_cased(uint32_t cp)
{
    utf8proc_category_t c = utf8proc_category((utf8proc_int32_t)cp);
    return c == UTF8PROC_CATEGORY_LU || c == UTF8PROC_CATEGORY_LL || c == UTF8PROC_CATEGORY_LT;
}

/* Marks and modifiers do not end a word (Unicode's Case_Ignorable). */
static bool is_ignored(uint32_t cp)
{
    switch (utf8proc_category((utf8proc_int32_t)cp)) {
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_SK: return true;
    default: return cp == 0xb7 || cp == 0x387 || cp == 0x2019;
    }
}

static bool cased_follows(const char *p, size_t n)
{
    for (size_t i = 0; i < n;) {
        uint32_t cp;
        i += utf8_decode(p + i, n - i, &cp);
        if (!is_ignored(cp))
            return is_cased(cp);
    }
    return false;
}

/* str.translate() that drops ASCII punctuation, then str.lower(), where a capital sigma that ends a
 * word becomes the final one. */
static enum err_code canonicalize(struct buf *out, const char *p, size_t n, struct err *err)
{
    enum { SIGMA = 0x3a3, FINAL_SIGMA = 0x3c2 };
    struct buf bare = { .limit = n + 1 };
    enum err_code rc = ERR_NONE;
    bool after_cased = false;
    for (size_t i = 0; i < n && rc == ERR_NONE; i++)
        if (!ispunct((unsigned char)p[i]))
            rc = buf_append(&bare, p + i, 1, err);
    for (size_t i = 0; i < bare.len && rc == ERR_NONE;) {
        uint32_t cp, low[2];
        i += utf8_decode(bare.data + i, bare.len - i, &cp);
        size_t k = text_lower(cp, low);
        if (cp == SIGMA && after_cased && !cased_follows(bare.data + i, bare.len - i))
            low[0] = FINAL_SIGMA;
        for (size_t j = 0; j < k && rc == ERR_NONE; j++)
            rc = text_put(out, low[j], err);
        if (!is_ignored(cp))
            after_cased = is_cased(cp);
    }
    buf_clear(&bare);
    return rc;
}

enum err_code text_clean(struct buf *out, const char *text, size_t n, bool canonical,
                         struct err *err)
{
    if (n > TEXT_MAX_BYTES)
        return err_set(err, ERR_LIMIT, "text of %zu bytes, the limit is %zu", n,
                       (size_t)TEXT_MAX_BYTES);
    if (!canonical)
        return join_words(out, text, n, err);
    struct buf words = { .limit = 3 * n + 1 }; /* U+FFFD takes three bytes */
    enum err_code rc = join_words(&words, text, n, err);
    if (rc == ERR_NONE && words.len)
        rc = canonicalize(out, words.data, words.len, err);
    buf_clear(&words);
    return rc;
}
