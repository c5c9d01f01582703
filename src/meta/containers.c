#include "meta/containers.h"

#include "meta/exif.h"

/* JPEG (ITU T.81 annex B): segments up to the entropy-coded data. */
void meta_read_jpeg(struct bytes b, struct meta *m)
{
    for (uint64_t at = 2; at + 4 <= b.n && b.p[at] == 0xff;) {
        unsigned marker = b.p[at + 1];
        if (marker == 0xff) { /* a fill byte */
            at++;
            continue;
        }
        if (marker == 0xd9 || marker == 0xda)
            return;
        unsigned length = bytes_be16(b, at + 2);
        if (length < 2)
            return;
        struct bytes segment = bytes_cut(b, at + 4, length - 2);
        bool is_frame =
            marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc;
        if (marker == 0xe1 && bytes_start(segment, "Exif\0\0", 6)) {
            exif_read(segment, EXIF_WHOLE, m);
        } else if (is_frame) {
            m->height_px = bytes_be16(segment, 1);
            m->width_px = bytes_be16(segment, 3);
        }
        at += 2 + (uint64_t)length;
    }
}

/* PNG 3: eXIf may come after the pixels. */
void meta_read_png(struct bytes b, struct meta *m)
{
    m->width_px = bytes_be32(b, 16);
    m->height_px = bytes_be32(b, 20);
    for (uint64_t at = 8; at + 12 <= b.n;) {
        uint32_t length = bytes_be32(b, at);
        if (bytes_start(bytes_from(b, at + 4), "eXIf", 4)) {
            exif_read(bytes_cut(b, at + 8, length), EXIF_WHOLE, m);
            return;
        }
        at += 12 + (uint64_t)length;
    }
}

/* The three kinds of WebP state their size differently (RFC 9649). */
static void webp_size(struct bytes chunk, const uint8_t *name, struct meta *m)
{
    if (!memcmp(name, "VP8X", 4)) {
        m->width_px = 1 + (bytes_le32(chunk, 4) & 0xffffff);
        m->height_px = 1 + (bytes_le16(chunk, 7) | (uint32_t)bytes_uint(chunk, 9, 1, false) << 16);
    } else if (!memcmp(name, "VP8 ", 4) && !m->width_px) {
        m->width_px = bytes_le16(chunk, 6) & 0x3fff;
        m->height_px = bytes_le16(chunk, 8) & 0x3fff;
    } else if (!memcmp(name, "VP8L", 4) && !m->width_px) {
        uint32_t v = bytes_le32(chunk, 1);
        m->width_px = 1 + (v & 0x3fff);
        m->height_px = 1 + (v >> 14 & 0x3fff);
    }
}

void meta_read_webp(struct bytes b, struct meta *m)
{
    for (uint64_t at = 12; at + 8 <= b.n;) {
        uint32_t length = bytes_le32(b, at + 4);
        struct bytes chunk = bytes_cut(b, at + 8, length);
        if (!memcmp(b.p + at, "EXIF", 4))
            exif_read(chunk, EXIF_WHOLE, m);
        else
            webp_size(chunk, b.p + at, m);
        at += 8 + (uint64_t)length + length % 2;
    }
}

/* The header names a JPEG, which has the EXIF. */
void meta_read_raf(struct bytes b, struct meta *m)
{
    meta_read_jpeg(bytes_cut(b, bytes_be32(b, 84), bytes_be32(b, 88)), m);
}
