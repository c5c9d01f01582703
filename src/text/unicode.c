#include "text/unicode.h"

#include <string.h>
#include <utf8proc.h>

#include "base/utf8.h"

struct range {
    uint32_t lo, hi;
};

/* Punctuation, format characters and nonspacing marks that Unicode gained after the tables of the
 * unicode_categories crate were made (2014). A range may cross letters and unassigned characters,
 * about which no function here asks. */
static const struct range no_category[] = {
    { 0x61d, 0x61d },     { 0x7fd, 0x7fd },     { 0x890, 0x8e2 },     { 0x9fd, 0x9fe },
    { 0xa76, 0xa76 },     { 0xafa, 0xaff },     { 0xb55, 0xb55 },     { 0xc04, 0xc3c },
    { 0xc77, 0xc77 },     { 0xc84, 0xc84 },     { 0xd00, 0xd00 },     { 0xd3b, 0xd3c },
    { 0xd81, 0xd81 },     { 0xeba, 0xeba },     { 0xece, 0xece },     { 0x180f, 0x1886 },
    { 0x1abf, 0x1aeb },   { 0x1b4e, 0x1b4f },   { 0x1b7d, 0x1b7f },   { 0x1df6, 0x1dfb },
    { 0x2e43, 0x2e5d },   { 0xa82c, 0xa82c },   { 0xa8c5, 0xa8c5 },   { 0xa8ff, 0xa8ff },
    { 0xa9bd, 0xa9bd },   { 0x10d24, 0x10f89 }, { 0x11070, 0x11074 }, { 0x110c2, 0x110cd },
    { 0x111c9, 0x111c9 }, { 0x111cf, 0x111cf }, { 0x1123e, 0x11241 }, { 0x1133b, 0x1133b },
    { 0x113bb, 0x1145e }, { 0x11660, 0x1166c }, { 0x116b9, 0x116b9 }, { 0x1182f, 0x11fff },
    { 0x12ff1, 0x1612f }, { 0x16d6d, 0x16f4f }, { 0x16fe2, 0x16fe4 }, { 0x1cf00, 0x1cf46 },
    { 0x1e000, 0x1e5ff }, { 0x1e944, 0x1e95f },
};

/* Marks and compatibility characters that Unicode gained after the tables of the
 * unicode-normalization-alignments crate were made (2016): to it they neither decompose nor
 * combine. */
static const struct range no_decomposition[] = {
    { 0x7fd, 0x7fd },     { 0x897, 0x8d3 },     { 0x9fe, 0x9fe },     { 0xafa, 0xaff },
    { 0xb55, 0xb55 },     { 0xc04, 0xc3c },     { 0xcf3, 0xd00 },     { 0xd3b, 0xd3c },
    { 0xd81, 0xd81 },     { 0xeba, 0xeba },     { 0xece, 0xece },     { 0x1715, 0x1715 },
    { 0x180f, 0x180f },   { 0x1abf, 0x1aeb },   { 0x1cf7, 0x1cf7 },   { 0x1df6, 0x1dfa },
    { 0x32ff, 0x32ff },   { 0xa7f1, 0xa7f4 },   { 0xa82c, 0xa82c },   { 0xa8ff, 0xa8ff },
    { 0xab69, 0xab69 },   { 0x10780, 0x107ba }, { 0x10d24, 0x10f85 }, { 0x11070, 0x11074 },
    { 0x110c2, 0x110c2 }, { 0x11145, 0x11146 }, { 0x111c9, 0x111c9 }, { 0x111ce, 0x111cf },
    { 0x11241, 0x11241 }, { 0x1133b, 0x1133b }, { 0x11383, 0x113e2 }, { 0x1145e, 0x1145e },
    { 0x1182c, 0x11a99 }, { 0x11d31, 0x1612f }, { 0x16d68, 0x16d6a }, { 0x16f4f, 0x16f4f },
    { 0x16f7f, 0x16f87 }, { 0x16fe4, 0x16ff1 }, { 0x1ccd6, 0x1cf46 }, { 0x1e030, 0x1e5ef },
    { 0x1f16c, 0x1f16c }, { 0x1fbf0, 0x1fbf9 },
};

/* n sorted ranges, n > 0: the last that begins at or before cp is the only one that may hold it. */
static bool in_ranges(const struct range *r, size_t n, uint32_t cp)
{
    size_t lo = 0;
    while (n > 1) {
        size_t half = n / 2;
        lo += r[lo + half].lo <= cp ? half : 0;
        n -= half;
    }
    return r[lo].lo <= cp && cp <= r[lo].hi;
}

#define IN(table, cp) in_ranges((table), sizeof(table) / sizeof *(table), (cp))

static utf8proc_category_t category(uint32_t cp)
{
    return (utf8proc_category_t)utf8proc_get_property((utf8proc_int32_t)cp)->category;
}

bool text_is_white(uint32_t cp)
{
    if (cp < 0x80)
        return cp == ' ' || (cp >= '\t' && cp <= '\r');
    return cp == 0x85 || cp == 0xa0 || cp == 0x1680 || (cp >= 0x2000 && cp <= 0x200a) ||
           cp == 0x2028 || cp == 0x2029 || cp == 0x202f || cp == 0x205f || cp == 0x3000;
}

static bool ascii_alnum(uint32_t cp)
{
    return (cp >= '0' && cp <= '9') || ((cp | 0x20) >= 'a' && (cp | 0x20) <= 'z');
}

/* So, but letters by their derived properties. */
static bool is_circled_letter(uint32_t cp)
{
    return (cp >= 0x24b6 && cp <= 0x24e9) || (cp >= 0x1f130 && cp <= 0x1f149) ||
           (cp >= 0x1f150 && cp <= 0x1f169) || (cp >= 0x1f170 && cp <= 0x1f189);
}

/* Alphabetic, M*, Nd, Pc, Join_Control. utf8proc has no Alphabetic; beyond letters, marks and
 * letter numbers it holds only the circled and squared letters. */
bool text_is_word(uint32_t cp)
{
    if (cp < 0x80)
        return ascii_alnum(cp) || cp == '_';
    switch (category(cp)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC: return true;
    case UTF8PROC_CATEGORY_CF: return cp == 0x200c || cp == 0x200d;
    case UTF8PROC_CATEGORY_SO: return is_circled_letter(cp);
    default: return false;
    }
}

bool text_is_numeric(uint32_t cp)
{
    if (cp < 0x80)
        return cp >= '0' && cp <= '9';
    utf8proc_category_t c = category(cp);
    return c >= UTF8PROC_CATEGORY_ND && c <= UTF8PROC_CATEGORY_NO;
}

bool text_is_punct(uint32_t cp)
{
    if (cp < 0x80)
        return cp > ' ' && cp < 0x7f && !ascii_alnum(cp);
    if (cp == 0x166d || cp == 0x111c9) /* punctuation then, reclassified since */
        return true;
    utf8proc_category_t c = category(cp);
    return c >= UTF8PROC_CATEGORY_PC && c <= UTF8PROC_CATEGORY_PO && !IN(no_category, cp);
}

bool text_is_control(uint32_t cp)
{
    if (cp < 0x80)
        return (cp < ' ' && cp != '\t' && cp != '\n' && cp != '\r') || cp == 0x7f;
    utf8proc_category_t c = category(cp);
    return c == UTF8PROC_CATEGORY_CC || c == UTF8PROC_CATEGORY_CO ||
           (c == UTF8PROC_CATEGORY_CF && !IN(no_category, cp));
}

bool text_is_nonspacing(uint32_t cp)
{
    if (cp < 0x300)
        return false;
    return cp == 0x1734 || (category(cp) == UTF8PROC_CATEGORY_MN && !IN(no_category, cp));
}

bool text_is_mark(uint32_t cp)
{
    if (cp < 0x300)
        return false;
    if (cp == 0x1cf2 || cp == 0x1cf3) /* marks then, letters since */
        return true;
    utf8proc_category_t c = category(cp);
    return c >= UTF8PROC_CATEGORY_MN && c <= UTF8PROC_CATEGORY_ME && !IN(no_decomposition, cp);
}

bool text_is_ideograph(uint32_t cp)
{
    static const struct range han[] = {
        { 0x3400, 0x4dbf },   { 0x4e00, 0x9fff },   { 0xf900, 0xfaff },   { 0x20000, 0x2a6df },
        { 0x2a700, 0x2b73f }, { 0x2b740, 0x2b81f }, { 0x2b920, 0x2ceaf }, { 0x2f800, 0x2fa1f },
    };
    return cp >= 0x3400 && IN(han, cp);
}

bool text_is_cased(uint32_t cp)
{
    utf8proc_category_t c = category(cp);
    return (c >= UTF8PROC_CATEGORY_LU && c <= UTF8PROC_CATEGORY_LT) || cp == 0xaa || cp == 0xba ||
           (cp >= 0x2160 && cp <= 0x217f) /* Roman numerals */ || is_circled_letter(cp);
}

bool text_is_case_ignorable(uint32_t cp)
{
    switch (category(cp)) {
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_SK: return true;
    default: break;
    }
    static const uint32_t within_words[] = { '\'',   '.',    ':',    0xb7,   0x387,  0x55f,
                                             0x5f4,  0x2018, 0x2019, 0x2024, 0x2027, 0xfe13,
                                             0xfe52, 0xfe55, 0xff07, 0xff0e, 0xff1a };
    for (size_t i = 0; i < sizeof within_words / sizeof *within_words; i++)
        if (within_words[i] == cp)
            return true;
    return false;
}

size_t text_lower(uint32_t cp, uint32_t out[2])
{
    if (cp == 0x130) { /* the one letter whose small form is two characters */
        out[0] = 'i';
        out[1] = 0x307;
        return 2;
    }
    out[0] = cp >= 'A' && cp <= 'Z' ? cp | 0x20
             : cp < 0x80            ? cp
                                    : (uint32_t)utf8proc_tolower((utf8proc_int32_t)cp);
    return 1;
}

size_t text_count_chars(const char *p, size_t n)
{
    size_t k = 0;
    for (size_t i = 0; i < n; i++)
        k += ((unsigned char)p[i] & 0xc0) != 0x80;
    return k;
}

enum err_code text_put(struct buf *out, uint32_t cp, struct err *err)
{
    char enc[4];
    return buf_append(out, enc, utf8_encode(cp, enc), err);
}

/* Most texts end here, so no table is asked. Every character below is its own normalization in that
 * form and combines with none before it. */
static const uint32_t plain_below[] = {
    [TEXT_NFC] = 0x300, [TEXT_NFD] = 0xc0, [TEXT_NFKC] = 0xa0, [TEXT_NFKD] = 0xa0
};

static bool is_plain(const char *p, size_t n, uint32_t below)
{
    for (size_t i = 0; i < n;) {
        uint32_t cp = (unsigned char)p[i];
        i += cp < 0x80 ? 1 : utf8_decode(p + i, n - i, &cp);
        if (cp >= below)
            return false;
    }
    return true;
}

static unsigned combining_class(uint32_t cp)
{
    if (cp < 0x300)
        return 0;
    unsigned c = (unsigned)utf8proc_get_property((utf8proc_int32_t)cp)->combining_class;
    return c && IN(no_decomposition, cp) ? 0 : c;
}

/* Code points of p, decomposed, appended to cps as uint32_t. */
static enum err_code decompose(const char *p, size_t n, bool compat, struct buf *cps,
                               struct err *err)
{
    enum { LONGEST = 18 }; /* U+FDFA in NFKD */
    utf8proc_option_t how = UTF8PROC_DECOMPOSE | UTF8PROC_STABLE | (compat ? UTF8PROC_COMPAT : 0);
    enum err_code rc = ERR_NONE;
    for (size_t i = 0; i < n && rc == ERR_NONE;) {
        utf8proc_int32_t d[LONGEST];
        uint32_t cp;
        i += utf8_decode(p + i, n - i, &cp);
        d[0] = (utf8proc_int32_t)cp;
        utf8proc_ssize_t k = 1;
        if (cp >= 0xa0 && !IN(no_decomposition, cp))
            k = utf8proc_decompose_char(d[0], d, LONGEST, how, NULL);
        if (k < 0 || k > LONGEST)
            return err_set(err, ERR_INTERNAL, "cannot decompose U+%04X", cp);
        rc = buf_append(cps, d, (size_t)k * sizeof *d, err);
    }
    return rc;
}

/* Stable counting sort of one run of combining marks: a text of a million marks is no reason to
 * take a million squared steps. */
static enum err_code sort_run(uint32_t *v, size_t n, struct buf *tmp, struct err *err)
{
    size_t at[256] = { 0 };
    buf_reset(tmp);
    enum err_code rc = buf_append(tmp, v, n * sizeof *v, err);
    if (rc != ERR_NONE)
        return rc;
    for (size_t i = 0; i < n; i++)
        at[combining_class(v[i])]++;
    for (size_t c = 0, sum = 0; c < 256; c++) {
        size_t k = at[c];
        at[c] = sum;
        sum += k;
    }
    const uint32_t *from = (const uint32_t *)(const void *)tmp->data;
    for (size_t i = 0; i < n; i++)
        v[at[combining_class(from[i])]++] = from[i];
    return ERR_NONE;
}

/* Canonical order: the marks after a starter by rising combining class. */
static enum err_code reorder(uint32_t *v, size_t n, struct err *err)
{
    struct buf tmp = { .limit = SIZE_MAX / 2 };
    enum err_code rc = ERR_NONE;
    for (size_t i = 0, j; i < n && rc == ERR_NONE; i = j + 1) {
        unsigned last = 0;
        bool sorted = true;
        for (j = i; j < n; j++) {
            unsigned c = combining_class(v[j]);
            if (!c)
                break;
            sorted &= c >= last;
            last = c;
        }
        if (!sorted)
            rc = sort_run(v + i, j - i, &tmp, err);
    }
    buf_clear(&tmp);
    return rc;
}

/* The character that a and b make together, 0 if none. */
static uint32_t compose_pair(uint32_t a, uint32_t b)
{
    if (b < 0x300 || IN(no_decomposition, b))
        return 0;
    utf8proc_int32_t v[2] = { (utf8proc_int32_t)a, (utf8proc_int32_t)b };
    utf8proc_ssize_t n = utf8proc_normalize_utf32(v, 2, UTF8PROC_COMPOSE | UTF8PROC_STABLE);
    return n == 1 ? (uint32_t)v[0] : 0;
}

/* Canonical composition in place; returns the new count. */
static size_t compose(uint32_t *v, size_t n)
{
    size_t out = 0, starter = SIZE_MAX;
    unsigned last = 0;
    for (size_t i = 0; i < n; i++) {
        unsigned c = combining_class(v[i]);
        uint32_t both = 0;
        if (starter != SIZE_MAX && (out == starter + 1 || last < c))
            both = compose_pair(v[starter], v[i]);
        if (both) {
            v[starter] = both;
            continue;
        }
        if (!c)
            starter = out;
        last = c;
        v[out++] = v[i];
    }
    return out;
}

enum err_code text_normalize(enum text_form form, const char *p, size_t n, struct buf *out,
                             struct err *err)
{
    if (is_plain(p, n, plain_below[form]))
        return buf_append(out, p, n, err);
    struct buf cps = { .limit = SIZE_MAX / 2 };
    enum err_code rc = decompose(p, n, form == TEXT_NFKC || form == TEXT_NFKD, &cps, err);
    uint32_t *v = (uint32_t *)(void *)cps.data;
    size_t k = cps.len / sizeof *v;
    if (rc == ERR_NONE)
        rc = reorder(v, k, err);
    if (rc == ERR_NONE && (form == TEXT_NFC || form == TEXT_NFKC))
        k = compose(v, k);
    for (size_t i = 0; i < k && rc == ERR_NONE; i++)
        rc = text_put(out, v[i], err);
    buf_clear(&cps);
    return rc;
}
