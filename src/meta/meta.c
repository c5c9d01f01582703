#include "meta/meta.h"

#include "meta/containers.h"
#include "meta/exif.h"

static bool is_bmff(struct bytes b)
{
    return bytes_start(bytes_from(b, 4), "ftyp", 4) || bytes_start(bytes_from(b, 4), "JXL ", 4);
}

void meta_read(const uint8_t *p, size_t n, struct meta *out)
{
    struct bytes b = { p, n };
    *out = (struct meta){ .orientation = 1 };
    if (bytes_start(b, "\xff\xd8", 2)) {
        meta_read_jpeg(b, out);
    } else if (bytes_start(b, "\x89PNG\r\n\x1a\n", 8)) {
        meta_read_png(b, out);
    } else if (bytes_start(b, "RIFF", 4) && bytes_start(bytes_from(b, 8), "WEBP", 4)) {
        meta_read_webp(b, out);
    } else if (exif_is_tiff(b)) {
        exif_read(b, EXIF_WHOLE, out);
        exif_read_size(b, out);
    } else if (is_bmff(b)) {
        meta_read_bmff(b, out);
    } else if (bytes_start(b, "FUJIFILMCCD-RAW", 15)) {
        meta_read_raf(b, out);
    } else if (bytes_start(b, "GIF8", 4)) {
        out->width_px = bytes_le16(b, 6);
        out->height_px = bytes_le16(b, 8);
    }
}
