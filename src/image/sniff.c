#include <string.h>
#include <strings.h>

#include "image/image.h"

static const char *const names[] = {
    [IMAGE_UNKNOWN] = "unknown", [IMAGE_JPEG] = "JPEG", [IMAGE_PNG] = "PNG",
    [IMAGE_WEBP] = "WebP",       [IMAGE_GIF] = "GIF",   [IMAGE_TIFF] = "TIFF",
    [IMAGE_HEIC] = "HEIC",       [IMAGE_AVIF] = "AVIF", [IMAGE_JXL] = "JPEG XL",
    [IMAGE_BMP] = "BMP",         [IMAGE_RAW] = "RAW",
};

/* By extension. The RAW ones are those that LibRaw reads and cameras wrote in numbers. */
static const struct {
    const char *ext;
    enum image_format format;
} extensions[] = {
    { "jpg", IMAGE_JPEG },  { "jpeg", IMAGE_JPEG }, { "jpe", IMAGE_JPEG },  { "jfif", IMAGE_JPEG },
    { "mpo", IMAGE_JPEG },  { "insp", IMAGE_JPEG }, { "png", IMAGE_PNG },   { "webp", IMAGE_WEBP },
    { "gif", IMAGE_GIF },   { "tif", IMAGE_TIFF },  { "tiff", IMAGE_TIFF }, { "heic", IMAGE_HEIC },
    { "heif", IMAGE_HEIC }, { "hif", IMAGE_HEIC },  { "avif", IMAGE_AVIF }, { "jxl", IMAGE_JXL },
    { "bmp", IMAGE_BMP },   { "3fr", IMAGE_RAW },   { "ari", IMAGE_RAW },   { "arw", IMAGE_RAW },
    { "cap", IMAGE_RAW },   { "cr2", IMAGE_RAW },   { "cr3", IMAGE_RAW },   { "crw", IMAGE_RAW },
    { "dcr", IMAGE_RAW },   { "dng", IMAGE_RAW },   { "erf", IMAGE_RAW },   { "fff", IMAGE_RAW },
    { "iiq", IMAGE_RAW },   { "k25", IMAGE_RAW },   { "kdc", IMAGE_RAW },   { "mef", IMAGE_RAW },
    { "mos", IMAGE_RAW },   { "mrw", IMAGE_RAW },   { "nef", IMAGE_RAW },   { "nrw", IMAGE_RAW },
    { "orf", IMAGE_RAW },   { "ori", IMAGE_RAW },   { "pef", IMAGE_RAW },   { "raf", IMAGE_RAW },
    { "raw", IMAGE_RAW },   { "rw2", IMAGE_RAW },   { "rwl", IMAGE_RAW },   { "sr2", IMAGE_RAW },
    { "srf", IMAGE_RAW },   { "srw", IMAGE_RAW },   { "x3f", IMAGE_RAW },
};

/* What a file starts with; the first that fits. */
static const struct {
    uint8_t at, n;
    const char *magic;
    enum image_format format;
} signatures[] = {
    { 0, 3, "\xff\xd8\xff", IMAGE_JPEG },
    { 0, 8, "\x89PNG\r\n\x1a\n", IMAGE_PNG },
    { 0, 6, "GIF87a", IMAGE_GIF },
    { 0, 6, "GIF89a", IMAGE_GIF },
    { 8, 4, "WEBP", IMAGE_WEBP }, /* in RIFF; nothing else has WEBP there */
    { 0, 2, "\xff\x0a", IMAGE_JXL },
    { 0, 12, "\0\0\0\x0cJXL \r\n\x87\n", IMAGE_JXL },
    { 0, 15, "FUJIFILMCCD-RAW", IMAGE_RAW },
    { 0, 4, "IIRO", IMAGE_RAW }, /* Olympus, three ways */
    { 0, 4, "IIRS", IMAGE_RAW },
    { 0, 4, "MMOR", IMAGE_RAW },
    { 0, 4, "IIU\0", IMAGE_RAW },    /* Panasonic, Leica */
    { 0, 4, "\0MRM", IMAGE_RAW },    /* Minolta */
    { 0, 4, "FOVb", IMAGE_RAW },     /* Sigma */
    { 6, 8, "HEAPCCDR", IMAGE_RAW }, /* Canon CRW */
    { 0, 2, "BM", IMAGE_BMP },
};

static bool starts(const uint8_t *p, size_t n, const char *magic, size_t len)
{
    return n >= len && !memcmp(p, magic, len);
}

static bool is_tiff(const uint8_t *p, size_t n)
{
    return starts(p, n, "II*\0", 4) || starts(p, n, "MM\0*", 4) || starts(p, n, "II+\0", 4) ||
           starts(p, n, "MM\0+", 4); /* + is BigTIFF */
}

static enum image_format of_brand(const uint8_t *brand)
{
    static const struct {
        char brand[5];
        enum image_format format;
    } brands[] = {
        { "avif", IMAGE_AVIF }, { "avis", IMAGE_AVIF }, { "crx ", IMAGE_RAW },
        { "heic", IMAGE_HEIC }, { "heix", IMAGE_HEIC }, { "heim", IMAGE_HEIC },
        { "heis", IMAGE_HEIC }, { "hevc", IMAGE_HEIC }, { "hevx", IMAGE_HEIC },
        { "hevm", IMAGE_HEIC }, { "hevs", IMAGE_HEIC },
    };
    for (size_t i = 0; i < sizeof brands / sizeof *brands; i++)
        if (!memcmp(brand, brands[i].brand, 4))
            return brands[i].format;
    return IMAGE_UNKNOWN;
}

/* ISO/IEC 14496-12: size, "ftyp", major brand, version, compatible brands. mif1 and msf1 (ISO/IEC
 * 23008-12) name only the container, so the compatible ones decide; alone they mean HEIC, the usual
 * case. A video has none of these brands. */
static enum image_format of_ftyp(const uint8_t *p, size_t n)
{
    if (n < 16 || memcmp(p + 4, "ftyp", 4))
        return IMAGE_UNKNOWN;
    enum image_format f = of_brand(p + 8);
    bool still = !memcmp(p + 8, "mif1", 4) || !memcmp(p + 8, "msf1", 4);
    if (f || !still)
        return f;
    size_t box = (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
    for (size_t i = 16; !f && i + 4 <= n && i + 4 <= box; i += 4)
        f = of_brand(p + i);
    return f ? f : IMAGE_HEIC;
}

static enum image_format of_name(const char *name)
{
    const char *dot = name ? strrchr(name, '.') : NULL;
    for (size_t i = 0; dot && i < sizeof extensions / sizeof *extensions; i++)
        if (!strcasecmp(dot + 1, extensions[i].ext))
            return extensions[i].format;
    return IMAGE_UNKNOWN;
}

enum image_format image_sniff(const uint8_t *bytes, size_t n, const char *name_hint)
{
    if (is_tiff(bytes, n)) {
        bool cr2 = n >= 10 && !memcmp(bytes + 8, "CR", 2);
        return cr2 || of_name(name_hint) == IMAGE_RAW ? IMAGE_RAW : IMAGE_TIFF;
    }
    for (size_t i = 0; i < sizeof signatures / sizeof *signatures; i++)
        if (n >= (size_t)signatures[i].at + signatures[i].n &&
            !memcmp(bytes + signatures[i].at, signatures[i].magic, signatures[i].n))
            return signatures[i].format;
    return of_ftyp(bytes, n);
}

const char *image_format_name(enum image_format f)
{
    return (size_t)f < sizeof names / sizeof *names ? names[f] : names[IMAGE_UNKNOWN];
}

bool image_is_photo_name(const char *path)
{
    return of_name(path) != IMAGE_UNKNOWN;
}
