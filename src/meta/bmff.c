/* The ISO base media file format (ISO/IEC 14496-12): boxes of a size and a name. HEIC and AVIF keep
 * EXIF as an item (23008-12), JPEG XL as a box (18181-2), CR3 as boxes within one of Canon's. */
#include "meta/containers.h"

#include "meta/exif.h"

#define MAX_ITEMS 65536

struct box {
    uint32_t name;
    struct bytes body;
};

#define NAME(a, b, c, d) ((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | (d))

/* Take the box at the beginning of *rest off it; false at the end. A box that claims more than
 * there is has what there is. */
static bool next_box(struct bytes *rest, struct box *out)
{
    if (rest->n < 8)
        return false;
    uint64_t size = bytes_be32(*rest, 0);
    unsigned header = 8;
    if (size == 1) {
        size = bytes_uint(*rest, 8, 8, true);
        header = 16;
    } else if (size == 0) {
        size = rest->n;
    }
    if (size < header)
        return false;
    out->name = bytes_be32(*rest, 4);
    out->body = bytes_cut(*rest, header, size - header);
    *rest = bytes_from(*rest, size);
    return true;
}

static struct bytes find_box(struct bytes in, uint32_t name)
{
    struct box box;
    while (next_box(&in, &box))
        if (box.name == name)
            return box.body;
    return (struct bytes){ 0 };
}

/* A reader that moves on. */
static uint64_t take(struct bytes *b, unsigned size)
{
    uint64_t v = bytes_uint(*b, 0, size, true);
    *b = bytes_from(*b, size);
    return v;
}

/* iinf: the number of the first item of type Exif; 0: none (items count from 1). */
static uint32_t exif_item(struct bytes iinf)
{
    unsigned version = (unsigned)take(&iinf, 4) >> 24;
    uint64_t n = take(&iinf, version ? 4 : 2);
    struct box infe;
    for (uint64_t i = 0; i < n && i < MAX_ITEMS && next_box(&iinf, &infe); i++) {
        unsigned v = (unsigned)take(&infe.body, 4) >> 24;
        if (infe.name != NAME('i', 'n', 'f', 'e') || v < 2)
            continue;
        uint32_t id = (uint32_t)take(&infe.body, v == 2 ? 2 : 4);
        take(&infe.body, 2);
        if (take(&infe.body, 4) == NAME('E', 'x', 'i', 'f'))
            return id;
    }
    return 0;
}

/* iloc: where in the file (or in idat, construction method 1) the item's first extent lies. */
static struct bytes item_bytes(struct bytes file, struct bytes iloc, struct bytes idat,
                               uint32_t want)
{
    unsigned version = (unsigned)take(&iloc, 4) >> 24;
    unsigned sizes = (unsigned)take(&iloc, 2);
    unsigned offset_size = sizes >> 12, length_size = sizes >> 8 & 15, base_size = sizes >> 4 & 15;
    unsigned index_size = version ? sizes & 15 : 0;
    uint64_t n = take(&iloc, version < 2 ? 2 : 4);
    if (offset_size > 8 || length_size > 8 || base_size > 8 || index_size > 8)
        return (struct bytes){ 0 };
    for (uint64_t i = 0; i < n && i < MAX_ITEMS && iloc.n; i++) {
        uint32_t id = (uint32_t)take(&iloc, version < 2 ? 2 : 4);
        unsigned method = version ? (unsigned)take(&iloc, 2) & 15 : 0;
        take(&iloc, 2); /* data reference: this file */
        uint64_t base = take(&iloc, base_size), n_extents = take(&iloc, 2);
        struct bytes extents = iloc;
        iloc = bytes_from(iloc, n_extents * (index_size + offset_size + length_size));
        if (id != want || !n_extents || method > 1)
            continue;
        take(&extents, index_size);
        uint64_t offset = take(&extents, offset_size), length = take(&extents, length_size);
        if (__builtin_add_overflow(offset, base, &offset))
            break;
        return bytes_cut(method ? idat : file, offset, length);
    }
    return (struct bytes){ 0 };
}

/* An Exif item begins with the distance to the TIFF header. */
static void read_exif_item(struct bytes item, struct meta *m)
{
    exif_read(bytes_from(item, 4 + (uint64_t)bytes_be32(item, 0)), EXIF_WHOLE, m);
}

static void read_items(struct bytes file, struct bytes meta_box, struct meta *m)
{
    struct bytes in = bytes_from(meta_box, 4); /* version and flags */
    uint32_t id = exif_item(find_box(in, NAME('i', 'i', 'n', 'f')));
    if (id)
        read_exif_item(item_bytes(file, find_box(in, NAME('i', 'l', 'o', 'c')),
                                  find_box(in, NAME('i', 'd', 'a', 't')), id),
                       m);
}

static void read_canon(struct bytes moov, struct meta *m)
{
    static const uint8_t uuid[16] = { 0x85, 0xc0, 0xb6, 0x87, 0x82, 0x0f, 0x11, 0xe0,
                                      0x81, 0x11, 0xf4, 0xce, 0x46, 0x2b, 0x6a, 0x48 };
    struct box box;
    while (next_box(&moov, &box)) {
        if (box.name != NAME('u', 'u', 'i', 'd') || !bytes_start(box.body, uuid, sizeof uuid))
            continue;
        struct bytes in = bytes_from(box.body, sizeof uuid);
        exif_read(find_box(in, NAME('C', 'M', 'T', '2')), EXIF_CAPTURE, m);
        exif_read(find_box(in, NAME('C', 'M', 'T', '4')), EXIF_GPS, m);
        exif_read(find_box(in, NAME('C', 'M', 'T', '1')), EXIF_WHOLE, m);
    }
}

void meta_read_bmff(struct bytes b, struct meta *m)
{
    struct bytes rest = b;
    struct box box;
    bool turned_by_decoder = true;
    while (next_box(&rest, &box)) {
        if (box.name == NAME('m', 'e', 't', 'a'))
            read_items(b, box.body, m);
        else if (box.name == NAME('E', 'x', 'i', 'f'))
            read_exif_item(box.body, m);
        else if (box.name == NAME('m', 'o', 'o', 'v')) {
            read_canon(box.body, m);
            turned_by_decoder = false;
        }
    }
    if (turned_by_decoder)
        m->orientation = 1;
}
