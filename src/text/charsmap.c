/* SentencePiece's precompiled character map: which strings to spell how, as a double-array trie
 * (Aoe 1989, as the Darts library packs it) and the spellings, NUL-terminated, behind it. */
#include <stdint.h>
#include <string.h>
#include <utf8proc.h>

#include "base/utf8.h"
#include "text/stage.h"

struct text_charsmap {
    uint32_t *units; /* [n_units], the trie */
    const char *spellings;
    size_t n_units, n_spellings; /* bytes of spellings */
};

/* A unit: its label in bits 0 to 7 and 31, whether a value follows in bit 8, how far its children
 * are from it in bits 10 to 30, times 256 where bit 9 is set. */
static size_t offset_of(uint32_t unit)
{
    return (size_t)(unit >> 10) << ((unit & 1u << 9) >> 6);
}

/* Where the spelling of the shortest known prefix of p[0..n) is; NULL if none is known. It is the
 * shortest one because the reference takes it, and models have been used with that since. */
static const char *spelling_of(const struct text_charsmap *m, const char *p, size_t n)
{
    size_t at = offset_of(m->units[0]);
    for (size_t i = 0; i < n && p[i]; i++) {
        at ^= (unsigned char)p[i];
        if (at >= m->n_units)
            return NULL;
        uint32_t unit = m->units[at];
        if ((unit & (1u << 31 | 0xff)) != (unsigned char)p[i])
            return NULL;
        at ^= offset_of(unit);
        if (!(unit >> 8 & 1))
            continue;
        size_t where = at < m->n_units ? m->units[at] & ~(1u << 31) : SIZE_MAX;
        bool inside = where <= m->n_spellings; /* and at a character's first byte */
        return inside && ((unsigned char)m->spellings[where] & 0xc0) != 0x80 ? m->spellings + where
                                                                             : NULL;
    }
    return NULL;
}

/* How many bytes the grapheme cluster at p[0..n) has. */
static size_t cluster(const char *p, size_t n)
{
    utf8proc_int32_t state = 0;
    uint32_t last, next;
    size_t i = utf8_decode(p, n, &last);
    for (size_t k; i < n; i += k, last = next) {
        k = utf8_decode(p + i, n - i, &next);
        if (utf8proc_grapheme_break_stateful((utf8proc_int32_t)last, (utf8proc_int32_t)next,
                                             &state))
            break;
    }
    return i;
}

enum err_code text_charsmap_run(const struct text_charsmap *m, const char *p, size_t n,
                                struct buf *out, struct err *err)
{
    enum { LONGEST = 5 }; /* a longer cluster is not looked up as one */
    enum err_code rc = buf_reserve(out, n, err);
    for (size_t i = 0, end; i < n && rc == ERR_NONE; i = end) {
        end = i + cluster(p + i, n - i);
        const char *s = end - i <= LONGEST ? spelling_of(m, p + i, end - i) : NULL;
        if (s) {
            rc = buf_puts(out, s, err);
            continue;
        }
        for (size_t k; i < end && rc == ERR_NONE; i += k) {
            uint32_t cp;
            k = utf8_decode(p + i, end - i, &cp);
            s = spelling_of(m, p + i, k);
            rc = s ? buf_puts(out, s, err) : buf_append(out, p + i, k, err);
        }
    }
    return rc;
}

static int digit_of(char c)
{
    return c >= 'A' && c <= 'Z'   ? c - 'A'
           : c >= 'a' && c <= 'z' ? c - 'a' + 26
           : c >= '0' && c <= '9' ? c - '0' + 52
           : c == '+'             ? 62
           : c == '/'             ? 63
                                  : -1;
}

/* Base64 (RFC 4648) of s[0..n) to out, which has room; the bytes, SIZE_MAX if it is ill-formed. */
static size_t decode_base64(const char *s, size_t n, unsigned char *out)
{
    size_t len = 0;
    uint32_t bits = 0;
    unsigned n_bits = 0;
    for (int pad = 0; pad < 2 && n && s[n - 1] == '='; pad++)
        n--;
    for (size_t i = 0; i < n; i++) {
        int d = digit_of(s[i]);
        if (d < 0)
            return SIZE_MAX;
        bits = bits << 6 | (uint32_t)d;
        n_bits += 6;
        if (n_bits >= 8) {
            n_bits -= 8;
            out[len++] = (unsigned char)(bits >> n_bits);
        }
    }
    return len;
}

/* [u32 bytes of the trie][trie: u32 each][spellings], little-endian. */
static enum err_code parse(struct text_charsmap *m, const unsigned char *p, size_t n,
                           struct arena *mem, struct err *err)
{
    uint32_t n_trie = n >= 4 ? p[0] | p[1] << 8 | p[2] << 16 | (uint32_t)p[3] << 24 : 0;
    if (n_trie < 4 || n_trie > n - 4)
        return err_set(err, ERR_CORRUPT, "precompiled_charsmap: no trie in its %zu bytes", n);
    m->n_units = n_trie / 4;
    m->units = arena_alloc(mem, m->n_units, sizeof *m->units, err);
    if (!m->units)
        return ERR_NOMEM;
    for (size_t i = 0; i < m->n_units; i++) {
        const unsigned char *u = p + 4 + 4 * i;
        m->units[i] = u[0] | u[1] << 8 | u[2] << 16 | (uint32_t)u[3] << 24;
    }
    const char *spellings = (const char *)p + 4 + 4 * m->n_units;
    m->n_spellings = n - 4 - 4 * m->n_units;
    if (!utf8_valid(spellings, m->n_spellings))
        return err_set(err, ERR_CORRUPT, "precompiled_charsmap: spellings are not UTF-8");
    m->spellings = arena_strndup(mem, spellings, m->n_spellings, err);
    return m->spellings ? ERR_NONE : ERR_NOMEM;
}

enum err_code text_charsmap_load(const struct text_charsmap **out, const struct json *v,
                                 struct arena *mem, struct err *err)
{
    size_t n;
    const char *s = json_as_string(json_get(v, "precompiled_charsmap"), &n);
    struct text_charsmap *m = arena_alloc(mem, 1, sizeof *m, err);
    unsigned char *bytes = m && s ? arena_alloc(mem, n + 1, 1, err) : NULL;
    if (!s)
        return err_set(err, ERR_CORRUPT, "Precompiled without \"precompiled_charsmap\"");
    if (!bytes)
        return ERR_NOMEM;
    size_t n_bytes = decode_base64(s, n, bytes);
    if (n_bytes == SIZE_MAX)
        return err_set(err, ERR_CORRUPT, "precompiled_charsmap is not Base64");
    *out = m;
    return parse(m, bytes, n_bytes, mem, err);
}
