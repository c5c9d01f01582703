/* GIF89a, and LZW in its variant: codes from the lowest bit up, at most 12 bits wide. */
#include "app/decode_gif.h"

#include <string.h>

#define MAX_CODES 4096

static uint32_t le16(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8;
}

static enum err_code cut_short(struct err *err)
{
    return err_set(err, ERR_INVALID, "image file is truncated");
}

/* Indices that it does not name are black. */
static bool read_palette(struct gif *g, size_t *at, unsigned flags)
{
    size_t n = (size_t)2 << (flags & 7);
    if (!(flags & 0x80))
        return true;
    if (g->n - *at < n * 3)
        return false;
    memset(g->palette, 0, sizeof g->palette);
    memcpy(g->palette, g->bytes + *at, n * 3);
    *at += n * 3;
    return true;
}

/* A sub-block's bytes follow its length; one of length 0 ends the list. */
static bool skip_blocks(const struct gif *g, size_t *at)
{
    while (*at < g->n && g->bytes[*at])
        *at += 1 + (size_t)g->bytes[*at];
    *at += 1;
    return *at <= g->n;
}

static bool read_extension(struct gif *g, size_t *at)
{
    const uint8_t *p = g->bytes + *at;
    bool is_control = g->n - *at >= 6 && p[0] == 0xf9 && p[1] >= 4;
    if (is_control && p[2] & 1)
        g->transparent = p[5];
    *at += 1;
    return skip_blocks(g, at);
}

/* A frame that reaches out of the screen makes it larger. */
static enum err_code read_frame(struct gif *g, size_t at, struct err *err)
{
    const uint8_t *p = g->bytes + at;
    if (g->n - at < 9)
        return cut_short(err);
    g->left = le16(p);
    g->top = le16(p + 2);
    g->frame_width = le16(p + 4);
    g->frame_height = le16(p + 6);
    g->is_interlaced = p[8] & 0x40;
    if (!g->frame_width || !g->frame_height)
        return err_set(err, ERR_INVALID, "a GIF frame of %u x %u", g->frame_width, g->frame_height);
    if (g->width_px < g->left + g->frame_width)
        g->width_px = g->left + g->frame_width;
    if (g->height_px < g->top + g->frame_height)
        g->height_px = g->top + g->frame_height;
    at += 9;
    if (!read_palette(g, &at, p[8]))
        return cut_short(err);
    g->pixels_at = at;
    return ERR_NONE;
}

enum err_code decode_gif_open(struct gif *g, const uint8_t *bytes, size_t n, struct err *err)
{
    if (n < 13 || memcmp(bytes, "GIF8", 4))
        return err_set(err, ERR_INVALID, "not a GIF file");
    *g = (struct gif){ .bytes = bytes,
                       .n = n,
                       .width_px = le16(bytes + 6),
                       .height_px = le16(bytes + 8),
                       .transparent = -1 };
    for (size_t i = 0; i < 256; i++) /* without any palette: greys */
        memset(g->palette[i], (int)i, 3);
    size_t at = 13;
    if (!read_palette(g, &at, bytes[10]))
        return cut_short(err);
    while (at < n && bytes[at] != ';') {
        unsigned kind = bytes[at++];
        if (kind == ',')
            return read_frame(g, at, err);
        if (kind == '!' && !read_extension(g, &at))
            return cut_short(err);
    }
    return err_set(err, ERR_INVALID, "no image in this GIF");
}

/* Bits out of sub-blocks. */
struct bits {
    const struct gif *g;
    size_t at;
    unsigned left_in_block;
    uint32_t held;
    unsigned n_held;
};

static bool next_code(struct bits *b, unsigned width, unsigned *code)
{
    while (b->n_held < width) {
        if (!b->left_in_block) {
            if (b->at >= b->g->n)
                return false;
            b->left_in_block = b->g->bytes[b->at++];
            /* As Pillow, which begins a block only when it has all of it. */
            if (!b->left_in_block || b->g->n - b->at < b->left_in_block)
                return false;
        }
        b->held |= (uint32_t)b->g->bytes[b->at++] << b->n_held;
        b->left_in_block--;
        b->n_held += 8;
    }
    *code = b->held & ((1u << width) - 1);
    b->held >>= width;
    b->n_held -= width;
    return true;
}

/* Where the next pixel goes. Interlaced rows come in four passes. */
struct pen {
    const struct gif *g;
    uint8_t *rgb;
    bool over_black;
    uint32_t x, y;
    unsigned pass;
    bool is_done;
};

static const uint8_t pass_first[] = { 0, 4, 2, 1 }, pass_step[] = { 8, 8, 4, 2 };

static void next_row(struct pen *p)
{
    p->x = 0;
    p->y += p->g->is_interlaced ? pass_step[p->pass] : 1;
    while (p->y >= p->g->frame_height) {
        if (!p->g->is_interlaced || p->pass == 3) {
            p->is_done = true;
            return;
        }
        p->y = pass_first[++p->pass];
    }
}

static void put_pixel(struct pen *p, unsigned index)
{
    const struct gif *g = p->g;
    size_t at = (size_t)(g->top + p->y) * g->width_px + g->left + p->x;
    if (p->is_done)
        return;
    if (p->over_black && (int)index == g->transparent)
        memset(p->rgb + at * 3, 0, 3);
    else
        memcpy(p->rgb + at * 3, g->palette[index], 3);
    if (++p->x == g->frame_width)
        next_row(p);
}

/* A code stands for the string of code `link` and one more byte. */
struct lzw {
    unsigned clear, next, width;
    int last; /* the code before; -1 after a clear */
    uint16_t link[MAX_CODES];
    uint8_t byte[MAX_CODES];
    uint8_t string[MAX_CODES + 1]; /* one spelt out, last byte first */
};

static void lzw_clear(struct lzw *z, unsigned bits)
{
    z->clear = 1u << bits;
    z->next = z->clear + 2;
    z->width = bits + 1;
    z->last = -1;
}

/* The string of code, its last byte first, into z->string. Returns its length; 0 for a code that
 * cannot be. */
static unsigned spell(struct lzw *z, unsigned code)
{
    unsigned n = 0;
    if (z->last < 0 ? code >= z->clear : code > z->next)
        return 0;
    bool is_new = z->last >= 0 && code == z->next; /* the one being made: last and its first byte */
    if (is_new) {
        n = 1;
        code = (unsigned)z->last;
    }
    for (; code >= z->clear; code = z->link[code]) {
        if (n >= MAX_CODES || code >= MAX_CODES)
            return 0;
        z->string[n++] = z->byte[code];
    }
    z->string[n++] = (uint8_t)code;
    if (is_new)
        z->string[0] = (uint8_t)code;
    return n;
}

/* Codes get wider when the widest is taken; a full table stays as it is until it is cleared. */
static void learn(struct lzw *z, unsigned code, uint8_t first_byte)
{
    if (z->last >= 0 && z->next < MAX_CODES) {
        z->link[z->next] = (uint16_t)z->last;
        z->byte[z->next] = first_byte;
        if (z->next == (1u << z->width) - 1 && z->width < 12)
            z->width++;
        z->next++;
    }
    z->last = (int)code;
}

static enum err_code draw(struct pen *pen, struct err *err)
{
    const struct gif *g = pen->g;
    struct bits in = { .g = g, .at = g->pixels_at + 1 };
    struct lzw z;
    unsigned bits = g->pixels_at < g->n ? g->bytes[g->pixels_at] : 0, code;
    if (bits > 8)
        return err_set(err, ERR_INVALID, "broken GIF: codes of %u bits", bits);
    lzw_clear(&z, bits);
    while (!pen->is_done) {
        if (!next_code(&in, z.width, &code) || code == z.clear + 1)
            return cut_short(err);
        if (code == z.clear) {
            lzw_clear(&z, bits);
            continue;
        }
        unsigned n = spell(&z, code);
        if (!n)
            return err_set(err, ERR_INVALID, "broken GIF: code %u of %u", code, z.next);
        learn(&z, code, z.string[n - 1]);
        while (n)
            put_pixel(pen, z.string[--n]);
    }
    return ERR_NONE;
}

enum err_code decode_gif_pixels(const struct gif *g, bool over_black, uint8_t *rgb, struct err *err)
{
    static const uint8_t black[3] = { 0 };
    const uint8_t *around = g->palette[g->transparent >= 0 ? g->transparent : 0];
    size_t n = (size_t)g->width_px * g->height_px;
    for (size_t i = 0; i < n; i++)
        memcpy(rgb + i * 3, over_black ? black : around, 3);
    struct pen pen = { .g = g, .rgb = rgb, .over_black = over_black };
    return draw(&pen, err);
}
