#include "base/utf8.h"

size_t utf8_decode(const char *s, size_t n, uint32_t *cp)
{
    const unsigned char *p = (const unsigned char *)s;
    unsigned char c = p[0];
    *cp = 0xfffd;
    if (c < 0x80)
        return *cp = c, 1;
    if (c < 0xc2 || c > 0xf4)
        return 1;
    size_t len = c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
    /* The second byte's range depends on the first: no overlong form, surrogate or > U+10FFFF. */
    unsigned char lo = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
    unsigned char hi = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
    uint32_t v = c & (0xffu >> (len + 1));
    for (size_t i = 1; i < len; i++) {
        if (i >= n || p[i] < lo || p[i] > hi)
            return i;
        v = v << 6 | (p[i] & 0x3fu);
        lo = 0x80;
        hi = 0xbf;
    }
    *cp = v;
    return len;
}

size_t utf8_encode(uint32_t cp, char out[4])
{
    if (cp < 0x80) {
        out[0] = (char)cp;
        return 1;
    }
    size_t len = cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;
    for (size_t i = len - 1; i; i--, cp >>= 6)
        out[i] = (char)(0x80 | (cp & 0x3f));
    out[0] = (char)((0xf00u >> len & 0xff) | cp);
    return len;
}

bool utf8_valid(const char *s, size_t n)
{
    for (size_t i = 0, k; i < n; i += k) {
        uint32_t cp;
        k = 1;
        if ((unsigned char)s[i] < 0x80) /* not worth the call */
            continue;
        k = utf8_decode(s + i, n - i, &cp);
        if (cp == 0xfffd && !(k == 3 && (unsigned char)s[i] == 0xef &&
                              (unsigned char)s[i + 1] == 0xbf && (unsigned char)s[i + 2] == 0xbd))
            return false;
    }
    return true;
}

enum err_code utf8_repair(struct buf *out, const char *s, size_t n, struct err *err)
{
    enum err_code rc = buf_reserve(out, n, err);
    for (size_t i = 0; i < n && rc == ERR_NONE;) {
        uint32_t cp;
        char enc[4];
        i += utf8_decode(s + i, n - i, &cp);
        rc = buf_append(out, enc, utf8_encode(cp, enc), err);
    }
    return rc;
}
