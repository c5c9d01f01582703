#include <string.h>

#include "image/icc.h"

#define MARK                                                                                       \
    "ICC_PROFILE" /* and its NUL, then the piece's number from 1 and how many there are            \
                   */
#define HEAD_BYTES (sizeof MARK + 2)

enum { TEM = 0x01, RST0 = 0xd0, SOI = 0xd8, EOI = 0xd9, SOS = 0xda, APP2 = 0xe2 };

struct pieces {
    struct {
        const uint8_t *p;
        size_t n;
    } at[256]; /* by number */
    unsigned n;
};

static void note_piece(struct pieces *pieces, const uint8_t *p, size_t n)
{
    if (n <= HEAD_BYTES || memcmp(p, MARK, sizeof MARK))
        return;
    unsigned number = p[HEAD_BYTES - 2];
    pieces->n = p[HEAD_BYTES - 1];
    pieces->at[number].p = p + HEAD_BYTES;
    pieces->at[number].n = n - HEAD_BYTES;
}

/* The segments up to the first scan; a byte that starts none ends the search. */
static void find_pieces(const uint8_t *bytes, size_t n, struct pieces *pieces)
{
    size_t i = 2;
    while (i + 4 <= n && bytes[i] == 0xff) {
        unsigned marker = bytes[i + 1];
        if (marker == 0xff) { /* fill */
            i++;
            continue;
        }
        if (marker == TEM || (marker >= RST0 && marker <= SOI)) { /* no length follows */
            i += 2;
            continue;
        }
        size_t len = (size_t)bytes[i + 2] << 8 | bytes[i + 3];
        if (marker == SOS || marker == EOI || len < 2 || len > n - i - 2)
            return;
        if (marker == APP2)
            note_piece(pieces, bytes + i + 4, len - 2);
        i += 2 + len;
    }
}

/* 0: none, not complete or too large. */
static size_t total_bytes(const struct pieces *pieces)
{
    size_t total = 0;
    for (unsigned i = 1; i <= pieces->n; i++) {
        if (!pieces->at[i].p)
            return 0;
        total += pieces->at[i].n;
    }
    return total <= ICC_MAX_BYTES ? total : 0;
}

enum err_code image_icc_of_jpeg(const uint8_t *bytes, size_t n, struct buf *out, struct err *err)
{
    struct pieces pieces = { .n = 0 };
    enum err_code rc = ERR_NONE;
    *out = (struct buf){ .limit = ICC_MAX_BYTES };
    find_pieces(bytes, n, &pieces);
    if (!total_bytes(&pieces))
        return ERR_NONE;
    for (unsigned i = 1; rc == ERR_NONE && i <= pieces.n; i++)
        rc = buf_append(out, pieces.at[i].p, pieces.at[i].n, err);
    return rc;
}
