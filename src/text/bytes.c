/* Two ways to have no text unknown. ByteLevel (GPT-2): every byte of a word as a character that
 * shows, so that a model of characters is one of bytes. Byte fallback (SentencePiece): tokens for
 * single bytes, for characters that are in no other. */
#include <stdio.h>

#include "text/stage.h"

/* Printable Latin-1 stands for itself, the other 68 bytes for U+0100 and up, in order. */
static uint32_t shown(unsigned char b)
{
    if (b < 0x21)
        return 0x100u + b;
    if (b >= 0x7f && b <= 0xa0)
        return 0x121u + (b - 0x7fu);
    return b == 0xad ? 0x143u : b;
}

enum err_code text_put_bytes(struct buf *out, const char *p, size_t n, struct err *err)
{
    enum err_code rc = buf_reserve(out, 2 * n, err);
    for (size_t i = 0; i < n && rc == ERR_NONE; i++)
        rc = text_put(out, shown((unsigned char)p[i]), err);
    return rc;
}

void text_byte_ids(const struct text_vocab *v, int32_t ids[256])
{
    for (unsigned b = 0; b < 256; b++) {
        char name[8];
        int n = snprintf(name, sizeof name, "<0x%02X>", b);
        ids[b] = text_vocab_find(v, name, (size_t)n);
    }
}
