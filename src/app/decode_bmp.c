/* BMP, which libvips reads only through ImageMagick: 1, 4, 8, 16, 24 and 32 bits, RLE, bit masks,
 * rows from either end. Pixels as Pillow's convert("RGB"), so alpha is dropped. Layout: Microsoft's
 * BITMAPINFOHEADER and its successors. */
#include "app/decode_bmp.h"

#include <stdbool.h>
#include <string.h>

#define FILE_HEADER_BYTES 14

enum { RAW = 0, RLE8 = 1, RLE4 = 2, BITFIELDS = 3 };

static uint32_t le16(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8;
}

static uint32_t le32(const uint8_t *p)
{
    return le16(p) | le16(p + 2) << 16;
}

static enum err_code cut_short(struct err *err)
{
    return err_set(err, ERR_INVALID, "image file is truncated");
}

static void set_masks(struct bmp *b, uint32_t r, uint32_t g, uint32_t blue)
{
    b->mask[0] = r;
    b->mask[1] = g;
    b->mask[2] = blue;
}

/* 40-byte headers have the masks after them; the longer ones have them at the same place, inside.
 */
static enum err_code read_masks(struct bmp *b, uint32_t header_bytes, size_t *palette_at,
                                struct err *err)
{
    const uint8_t *p = b->bytes + FILE_HEADER_BYTES + 40;
    if (b->bits == 16)
        set_masks(b, 0x7c00, 0x3e0, 0x1f);
    else
        set_masks(b, 0xff0000, 0xff00, 0xff);
    if (b->compression != BITFIELDS)
        return ERR_NONE;
    if (b->n < FILE_HEADER_BYTES + 52)
        return cut_short(err);
    if (header_bytes == 40)
        *palette_at += 12;
    if (le32(p) | le32(p + 4) | le32(p + 8))
        set_masks(b, le32(p), le32(p + 4), le32(p + 8));
    for (int c = 0; c < 3; c++)
        if (!b->mask[c] || b->bits < 16)
            return err_set(err, ERR_UNSUPPORTED, "unsupported BMP bitfields layout");
    return ERR_NONE;
}

/* Indices that the palette does not name are black. */
static enum err_code read_palette(struct bmp *b, size_t at, unsigned entry_bytes, uint32_t n,
                                  struct err *err)
{
    if (!n)
        n = 1u << b->bits;
    if (n > 65536)
        return err_set(err, ERR_INVALID, "palette of %u colours", n);
    for (uint32_t i = 0; i < n && i < 256; i++) {
        const uint8_t *p = b->bytes + at + (size_t)i * entry_bytes;
        if (b->n < at + (size_t)(i + 1) * entry_bytes)
            return cut_short(err);
        b->palette[i][0] = p[2];
        b->palette[i][1] = p[1];
        b->palette[i][2] = p[0];
    }
    if (!b->pixels_at)
        b->pixels_at = at + (size_t)n * entry_bytes;
    return ERR_NONE;
}

static bool knows(const struct bmp *b)
{
    switch (b->compression) {
    case RAW:
        return b->bits == 1 || b->bits == 4 || b->bits == 8 || b->bits == 16 || b->bits == 24 ||
               b->bits == 32;
    case RLE8: return b->bits == 8;
    case RLE4: return b->bits == 4;
    case BITFIELDS: return b->bits == 16 || b->bits == 24 || b->bits == 32;
    default: return false;
    }
}

/* OS/2's first header has 16-bit sizes and palette entries of three bytes. */
static enum err_code read_size(struct bmp *b, uint32_t header_bytes, uint32_t *n_colours,
                               struct err *err)
{
    const uint8_t *p = b->bytes + FILE_HEADER_BYTES;
    if (header_bytes == 12) {
        b->width_px = le16(p + 4);
        b->height_px = le16(p + 6);
        b->bits = le16(p + 10);
    } else {
        int32_t height = (int32_t)le32(p + 8);
        b->width_px = le32(p + 4);
        b->is_top_down = height < 0;
        b->height_px = height < 0 ? 0u - (uint32_t)height : (uint32_t)height;
        b->bits = le16(p + 14);
        b->compression = le32(p + 16);
        *n_colours = le32(p + 32);
    }
    if (!knows(b))
        return err_set(err, ERR_UNSUPPORTED, "unsupported BMP of %u bits, compression %u", b->bits,
                       b->compression);
    return ERR_NONE;
}

enum err_code decode_bmp_open(struct bmp *b, const uint8_t *bytes, size_t n, struct err *err)
{
    uint32_t n_colours = 0;
    if (n < FILE_HEADER_BYTES + 12 || memcmp(bytes, "BM", 2))
        return err_set(err, ERR_INVALID, "not a BMP file");
    *b = (struct bmp){ .bytes = bytes, .n = n, .pixels_at = le32(bytes + 10) };
    uint32_t header_bytes = le32(bytes + FILE_HEADER_BYTES);
    if (header_bytes != 12 && (header_bytes < 40 || header_bytes > 124))
        return err_set(err, ERR_UNSUPPORTED, "unsupported BMP header of %u bytes", header_bytes);
    size_t palette_at = FILE_HEADER_BYTES + (size_t)header_bytes;
    if (n < palette_at)
        return cut_short(err);
    enum err_code rc = read_size(b, header_bytes, &n_colours, err);
    if (rc == ERR_NONE && b->bits > 8)
        rc = read_masks(b, header_bytes, &palette_at, err);
    if (rc != ERR_NONE)
        return rc;
    if (b->bits <= 8)
        return read_palette(b, palette_at, header_bytes == 12 ? 3 : 4, n_colours, err);
    if (!b->pixels_at)
        b->pixels_at = palette_at;
    return ERR_NONE;
}

static uint8_t *row_of(const struct bmp *b, uint8_t *rgb, uint32_t y)
{
    uint32_t from_top = b->is_top_down ? y : b->height_px - 1 - y;
    return rgb + (size_t)from_top * b->width_px * 3;
}

static void write_indexed(const struct bmp *b, const uint8_t *p, uint8_t *rgb)
{
    unsigned mask = (1u << b->bits) - 1, per_byte = 8 / b->bits;
    for (uint32_t x = 0; x < b->width_px; x++) {
        unsigned shift = 8 - b->bits * (1 + x % per_byte);
        memcpy(rgb + (size_t)x * 3, b->palette[p[x / per_byte] >> shift & mask], 3);
    }
}

/* The samples are scaled to 0..255, rounding down as Pillow does. */
static void write_masked(const struct bmp *b, const uint8_t *p, uint8_t *rgb)
{
    unsigned n_bytes = b->bits / 8;
    int shift[3];
    uint64_t max[3];
    for (int c = 0; c < 3; c++) {
        shift[c] = __builtin_ctz(b->mask[c]);
        max[c] = b->mask[c] >> shift[c];
    }
    for (uint32_t x = 0; x < b->width_px; x++, p += n_bytes, rgb += 3) {
        uint32_t v = 0;
        for (unsigned i = 0; i < n_bytes; i++)
            v |= (uint32_t)p[i] << 8 * i;
        for (int c = 0; c < 3; c++)
            rgb[c] = (uint8_t)(((v & b->mask[c]) >> shift[c]) * UINT64_C(255) / max[c]);
    }
}

static enum err_code plain_pixels(const struct bmp *b, uint8_t *rgb, struct err *err)
{
    size_t row_bytes = ((size_t)b->width_px * b->bits + 7) / 8;
    size_t stride = (row_bytes + 3) & ~(size_t)3;
    for (uint32_t y = 0; y < b->height_px; y++) {
        size_t at = b->pixels_at + stride * y;
        if (at > b->n || b->n - at < row_bytes)
            return cut_short(err);
        if (b->bits <= 8)
            write_indexed(b, b->bytes + at, row_of(b, rgb, y));
        else
            write_masked(b, b->bytes + at, row_of(b, rgb, y));
    }
    return ERR_NONE;
}

/* Where run-length decoding stands: y counts rows as they are stored. */
struct rle {
    const struct bmp *b;
    uint8_t *rgb;
    size_t at; /* in the file */
    uint32_t x, y;
};

/* Pixels beyond the row's end are dropped. */
static void put(struct rle *r, unsigned index)
{
    if (r->x < r->b->width_px && r->y < r->b->height_px)
        memcpy(row_of(r->b, r->rgb, r->y) + (size_t)r->x * 3, r->b->palette[index], 3);
    if (r->x < r->b->width_px)
        r->x++;
}

static unsigned index_of(const struct rle *r, unsigned byte, unsigned i)
{
    if (r->b->compression == RLE8)
        return byte;
    return i % 2 ? byte & 15 : byte >> 4;
}

/* n literal pixels, padded to 16 bits. */
static bool literal(struct rle *r, unsigned n)
{
    unsigned per_byte = r->b->compression == RLE4 ? 2 : 1;
    size_t n_bytes = (n + per_byte - 1) / per_byte;
    if (r->b->n - r->at < n_bytes)
        return false;
    for (unsigned i = 0; i < n; i++)
        put(r, index_of(r, r->b->bytes[r->at + i / per_byte], i));
    r->at += n_bytes + n_bytes % 2;
    return r->at <= r->b->n;
}

static bool jump(struct rle *r)
{
    if (r->b->n - r->at < 2)
        return false;
    uint32_t right = r->b->bytes[r->at], rows = r->b->bytes[r->at + 1];
    r->at += 2;
    r->x = right < r->b->width_px - r->x ? r->x + right : r->b->width_px;
    r->y = rows < r->b->height_px - r->y ? r->y + rows : r->b->height_px;
    return true;
}

/* What no run reaches has index 0. */
static enum err_code rle_pixels(const struct bmp *b, uint8_t *rgb, struct err *err)
{
    struct rle r = { .b = b, .rgb = rgb, .at = b->pixels_at };
    size_t n_pixels = (size_t)b->width_px * b->height_px;
    for (size_t i = 0; i < n_pixels; i++)
        memcpy(rgb + i * 3, b->palette[0], 3);
    while (r.y < b->height_px && (r.y + 1 < b->height_px || r.x < b->width_px)) {
        if (r.at > b->n || b->n - r.at < 2)
            return cut_short(err);
        unsigned n = b->bytes[r.at], byte = b->bytes[r.at + 1];
        r.at += 2;
        if (n) {
            for (unsigned i = 0; i < n; i++)
                put(&r, index_of(&r, byte, i));
        } else if (byte == 0) {
            r.x = 0;
            r.y++;
        } else if (byte == 1) {
            break;
        } else if (!(byte == 2 ? jump(&r) : literal(&r, byte))) {
            return cut_short(err);
        }
    }
    return ERR_NONE;
}

enum err_code decode_bmp_pixels(const struct bmp *b, uint8_t *rgb, struct err *err)
{
    if (b->compression == RLE8 || b->compression == RLE4)
        return rle_pixels(b, rgb, err);
    return plain_pixels(b, rgb, err);
}
