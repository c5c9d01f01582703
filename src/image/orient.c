#include <stdlib.h>

#include "image/image.h"
#include "image/pixels.h"

/* A turn by 90 degrees reads rows and writes columns; in squares of this side both stay in the
 * nearest cache. */
#define TILE 32

/* Where the pixel (0, 0) of the stored image goes, and how far one step right or down moves. */
struct walk {
    ptrdiff_t origin, right, down; /* in pixels of the result */
};

/* EXIF 2.32, tag 0x0112: the orientation names the sides of the scene that the stored first row and
 * first column show. w and h are the result's. */
static struct walk walk_of(int orientation, ptrdiff_t w, ptrdiff_t h)
{
    ptrdiff_t end_x = w - 1, end_y = (h - 1) * w;
    switch (orientation) {
    case 2: return (struct walk){ end_x, -1, w };          /* top, right: mirrored */
    case 3: return (struct walk){ end_x + end_y, -1, -w }; /* bottom, right: half a turn */
    case 4: return (struct walk){ end_y, 1, -w };          /* bottom, left */
    case 5: return (struct walk){ 0, w, 1 };               /* left, top: transposed */
    case 6: return (struct walk){ end_x, w, -1 };          /* right, top: a quarter clockwise */
    case 7: return (struct walk){ end_x + end_y, -w, -1 }; /* right, bottom */
    case 8: return (struct walk){ end_y, -w, 1 };          /* left, bottom */
    default: return (struct walk){ 0, 1, w };
    }
}

/* Which side of the stored image each side of the result was. */
static struct image_margin turned(struct image_margin m, int orientation)
{
    switch (orientation) {
    case 2: return (struct image_margin){ m.right, m.top, m.left, m.bottom };
    case 3: return (struct image_margin){ m.right, m.bottom, m.left, m.top };
    case 4: return (struct image_margin){ m.left, m.bottom, m.right, m.top };
    case 5: return (struct image_margin){ m.top, m.left, m.bottom, m.right };
    case 6: return (struct image_margin){ m.bottom, m.left, m.top, m.right };
    case 7: return (struct image_margin){ m.bottom, m.right, m.top, m.left };
    case 8: return (struct image_margin){ m.top, m.right, m.bottom, m.left };
    default: return m;
    }
}

static void turn_tile(const struct image *im, uint8_t *out, const struct walk *t, uint32_t x0,
                      uint32_t y0)
{
    uint32_t x1 = im->width_px - x0 < TILE ? im->width_px : x0 + TILE;
    uint32_t y1 = im->height_px - y0 < TILE ? im->height_px : y0 + TILE;
    for (uint32_t y = y0; y < y1; y++) {
        const uint8_t *from = im->px + ((size_t)y * im->width_px + x0) * 3;
        uint8_t *to = out + (t->origin + (ptrdiff_t)y * t->down + (ptrdiff_t)x0 * t->right) * 3;
        for (uint32_t x = x0; x < x1; x++, from += 3, to += t->right * 3) {
            to[0] = from[0];
            to[1] = from[1];
            to[2] = from[2];
        }
    }
}

enum err_code image_orient(struct image *im, int orientation, struct err *err)
{
    if (orientation < 2 || orientation > 8 || !im->width_px || !im->height_px)
        return ERR_NONE;
    bool swaps = orientation >= 5;
    uint32_t w = swaps ? im->height_px : im->width_px;
    uint32_t h = swaps ? im->width_px : im->height_px;
    uint8_t *px = image_pixels(w, h);
    if (!px)
        return err_set(err, ERR_NOMEM, "turning an image of %u x %u pixels", w, h);
    struct walk t = walk_of(orientation, w, h);
    for (uint32_t y = 0; y < im->height_px; y += TILE)
        for (uint32_t x = 0; x < im->width_px; x += TILE)
            turn_tile(im, px, &t, x, y);
    struct image out = {
        px, w, h, im->full_width_px, im->full_height_px, turned(im->margin, orientation)
    };
    if (swaps) {
        out.full_width_px = im->full_height_px;
        out.full_height_px = im->full_width_px;
    }
    image_clear(im);
    *im = out;
    return ERR_NONE;
}
