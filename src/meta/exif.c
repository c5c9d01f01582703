#include "meta/exif.h"

#include <math.h>
#include <string.h>

#include "base/utf8.h"

#define MAX_ENTRIES 4096 /* of one directory: the bound on work for a hostile count */
#define NS INT64_C(1000000000)

enum {
    TAG_WIDTH = 0x100,
    TAG_HEIGHT = 0x101,
    TAG_MAKE = 0x10f,
    TAG_MODEL = 0x110,
    TAG_ORIENTATION = 0x112,
    TAG_CHANGED = 0x132,
    TAG_EXIF_IFD = 0x8769,
    TAG_GPS_IFD = 0x8825,
    TAG_TAKEN = 0x9003,
    TAG_DIGITIZED = 0x9004,
    TAG_ZONE_CHANGED = 0x9010,
    TAG_ZONE_TAKEN = 0x9011,
    TAG_ZONE_DIGITIZED = 0x9012,
    TAG_SUBSEC_CHANGED = 0x9290,
    TAG_SUBSEC_TAKEN = 0x9291,
    TAG_SUBSEC_DIGITIZED = 0x9292,
    TAG_LENS = 0xa434,
};

enum {
    GPS_LAT_REF = 1,
    GPS_LAT = 2,
    GPS_LON_REF = 3,
    GPS_LON = 4,
    GPS_ALT_REF = 5,
    GPS_ALT = 6,
    GPS_TIME = 7,
    GPS_DATE = 29,
};

struct tiff {
    struct bytes b;
    bool big_endian;
};

struct entry {
    unsigned type;
    uint64_t count;
    struct bytes value;
};

static uint32_t u16(const struct tiff *t, struct bytes b, uint64_t at)
{
    return (uint32_t)bytes_uint(b, at, 2, t->big_endian);
}

static uint32_t u32(const struct tiff *t, struct bytes b, uint64_t at)
{
    return (uint32_t)bytes_uint(b, at, 4, t->big_endian);
}

static unsigned type_bytes(unsigned type)
{
    static const uint8_t size[] = { 0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4 };
    return type < sizeof size ? size[type] : 0;
}

/* Value of up to four bytes lies in the entry itself, a longer one where the entry points. */
static bool find(const struct tiff *t, uint32_t ifd, unsigned tag, struct entry *out)
{
    unsigned n = u16(t, t->b, ifd);
    for (unsigned i = 0; ifd && i < n && i < MAX_ENTRIES; i++) {
        struct bytes e = bytes_cut(t->b, (uint64_t)ifd + 2 + (uint64_t)i * 12, 12);
        if (e.n < 12)
            return false;
        if (u16(t, e, 0) != tag)
            continue;
        out->type = u16(t, e, 2);
        out->count = u32(t, e, 4);
        uint64_t size = out->count * type_bytes(out->type);
        out->value = size <= 4 ? bytes_cut(e, 8, size) : bytes_cut(t->b, u32(t, e, 8), size);
        return size && out->value.n == size;
    }
    return false;
}

static bool find_uint(const struct tiff *t, uint32_t ifd, unsigned tag, uint32_t *out)
{
    struct entry e;
    if (!find(t, ifd, tag, &e))
        return false;
    switch (e.type) {
    case 1: *out = e.value.p[0]; return true;
    case 3: *out = u16(t, e.value, 0); return true;
    case 4:
    case 13: *out = u32(t, e.value, 0); return true;
    default: return false;
    }
}

/* n unsigned rationals; a denominator of 0 is no number. */
static bool find_rationals(const struct tiff *t, uint32_t ifd, unsigned tag, unsigned n,
                           double *out)
{
    struct entry e;
    if (!find(t, ifd, tag, &e) || e.type != 5 || e.count < n)
        return false;
    for (unsigned i = 0; i < n; i++) {
        uint32_t num = u32(t, e.value, (uint64_t)i * 8), den = u32(t, e.value, (uint64_t)i * 8 + 4);
        if (!den)
            return false;
        out[i] = (double)num / den;
    }
    return true;
}

/* Text without the spaces that cameras pad it with, and only if it is UTF-8. */
static bool find_text(const struct tiff *t, uint32_t ifd, unsigned tag, char *out, size_t cap)
{
    struct entry e;
    if (!find(t, ifd, tag, &e) || (e.type != 2 && e.type != 129))
        return false;
    size_t n = strnlen((const char *)e.value.p, e.value.n);
    while (n && e.value.p[n - 1] == ' ')
        n--;
    if (n >= cap)
        n = cap - 1;
    if (!utf8_valid((const char *)e.value.p, n))
        return false;
    memcpy(out, e.value.p, n);
    out[n] = '\0';
    return n > 0;
}

static bool digits(const char *s, unsigned n, int *out)
{
    int v = 0;
    for (unsigned i = 0; i < n; i++) {
        if (s[i] < '0' || s[i] > '9')
            return false;
        v = v * 10 + (s[i] - '0');
    }
    *out = v;
    return true;
}

/* Days since 1970-01-01 in the Gregorian calendar, by counting years from March so that the leap
 * day comes last. */
static int64_t days_of(int year, int month, int day)
{
    int64_t y = month > 2 ? year : year - 1, m = (month + 9) % 12;
    return 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719468;
}

static bool is_date(int year, int month, int day)
{
    static const uint8_t length[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return year >= 1800 && month >= 1 && month <= 12 && day >= 1 &&
           day <= length[month - 1] + (month == 2 && leap);
}

/* "2019:07:06 13:14:15"; some software writes '-' or 'T' between. Cameras whose clock was never set
 * write zeros or spaces. */
static bool parse_time(const char *s, int64_t *seconds)
{
    int y, mo, d, h, mi, sec;
    if (strlen(s) < 19 || !digits(s, 4, &y) || !digits(s + 5, 2, &mo) || !digits(s + 8, 2, &d) ||
        !digits(s + 11, 2, &h) || !digits(s + 14, 2, &mi) || !digits(s + 17, 2, &sec))
        return false;
    if (!is_date(y, mo, d) || h > 23 || mi > 59 || sec > 60)
        return false;
    *seconds = days_of(y, mo, d) * 86400 + h * 3600 + mi * 60 + sec;
    return true;
}

/* "+02:00", "-03:30", "Z". */
static bool parse_zone(const char *s, int *minutes)
{
    int h, m;
    if (!strcmp(s, "Z"))
        return *minutes = 0, true;
    if ((*s != '+' && *s != '-') || strlen(s) < 6 || !digits(s + 1, 2, &h) || s[3] != ':' ||
        !digits(s + 4, 2, &m) || h > 14 || m > 59)
        return false;
    *minutes = (h * 60 + m) * (*s == '-' ? -1 : 1);
    return true;
}

/* The digits of a decimal fraction. */
static int64_t parse_fraction_ns(const char *s)
{
    int64_t ns = 0, unit = NS / 10;
    for (; *s >= '0' && *s <= '9'; s++, unit /= 10)
        ns += (*s - '0') * unit;
    return ns;
}

static void read_time(const struct tiff *t, uint32_t ifd, unsigned tag, uint32_t exif_ifd,
                      unsigned zone_tag, unsigned subsec_tag, struct meta *m)
{
    char text[32];
    int64_t seconds;
    if (m->has_time || !find_text(t, ifd, tag, text, sizeof text) || !parse_time(text, &seconds))
        return;
    m->has_time = true;
    if (find_text(t, exif_ifd, zone_tag, text, sizeof text))
        m->has_zone = parse_zone(text, &m->zone_min);
    m->taken_ns = (seconds - m->zone_min * 60) * NS;
    if (find_text(t, exif_ifd, subsec_tag, text, sizeof text))
        m->taken_ns += parse_fraction_ns(text);
}

static void read_camera(const struct tiff *t, uint32_t ifd, struct meta *m)
{
    uint32_t v;
    if (find_uint(t, ifd, TAG_ORIENTATION, &v) && v >= 1 && v <= 8)
        m->orientation = (int)v;
    find_text(t, ifd, TAG_MAKE, m->make, sizeof m->make);
    find_text(t, ifd, TAG_MODEL, m->model, sizeof m->model);
}

static void read_capture(const struct tiff *t, uint32_t ifd, struct meta *m)
{
    read_time(t, ifd, TAG_TAKEN, ifd, TAG_ZONE_TAKEN, TAG_SUBSEC_TAKEN, m);
    read_time(t, ifd, TAG_DIGITIZED, ifd, TAG_ZONE_DIGITIZED, TAG_SUBSEC_DIGITIZED, m);
    find_text(t, ifd, TAG_LENS, m->lens, sizeof m->lens);
}

static bool read_angle(const struct tiff *t, uint32_t ifd, unsigned tag, const char *negative,
                       double limit, double *deg)
{
    double dms[3];
    char ref[4] = "";
    if (!find_rationals(t, ifd, tag, 3, dms))
        return false;
    find_text(t, ifd, tag - 1, ref, sizeof ref); /* the hemisphere's tag precedes the angle's */
    *deg = (dms[0] + dms[1] / 60 + dms[2] / 3600) * (!strcmp(ref, negative) ? -1 : 1);
    return fabs(*deg) <= limit;
}

/* Exactly 0, 0 is what a receiver without a fix writes; nobody photographs there. */
static void read_place(const struct tiff *t, uint32_t ifd, struct meta *m)
{
    double lat, lon, alt;
    uint32_t below = 0;
    if (read_angle(t, ifd, GPS_LAT, "S", 90, &lat) && read_angle(t, ifd, GPS_LON, "W", 180, &lon) &&
        (lat != 0 || lon != 0)) {
        m->has_place = true;
        m->lat_deg = lat;
        m->lon_deg = lon;
    }
    if (m->has_place && find_rationals(t, ifd, GPS_ALT, 1, &alt)) {
        find_uint(t, ifd, GPS_ALT_REF, &below);
        m->has_altitude = true;
        m->altitude_m = below == 1 ? -alt : alt;
    }
}

/* The satellites' clock is in UTC. */
static void read_gps_time(const struct tiff *t, uint32_t ifd, struct meta *m)
{
    char text[32];
    double hms[3];
    int64_t day;
    if (m->has_time || !find_text(t, ifd, GPS_DATE, text, 11) ||
        !find_rationals(t, ifd, GPS_TIME, 3, hms) || hms[0] >= 24 || hms[1] >= 60 || hms[2] >= 61)
        return;
    memcpy(text + 10, " 00:00:00", 10);
    if (!parse_time(text, &day))
        return;
    m->has_time = m->has_zone = true;
    m->taken_ns = day * NS + (int64_t)((hms[0] * 3600 + hms[1] * 60 + hms[2]) * 1e9);
}

bool exif_is_tiff(struct bytes b)
{
    return bytes_start(b, "II*\0", 4) || bytes_start(b, "MM\0*", 4) || bytes_start(b, "IIRO", 4) ||
           bytes_start(b, "IIRS", 4) || bytes_start(b, "IIU\0", 4);
}

void exif_read(struct bytes b, enum exif_part part, struct meta *m)
{
    if (bytes_start(b, "Exif\0\0", 6))
        b = bytes_from(b, 6);
    if (!exif_is_tiff(b))
        return;
    struct tiff t = { .b = b, .big_endian = b.p[0] == 'M' };
    uint32_t first = u32(&t, b, 4), capture = 0, gps = 0;
    if (part == EXIF_CAPTURE)
        capture = first;
    else if (part == EXIF_GPS)
        gps = first;
    else {
        read_camera(&t, first, m);
        find_uint(&t, first, TAG_EXIF_IFD, &capture);
        find_uint(&t, first, TAG_GPS_IFD, &gps);
    }
    read_capture(&t, capture, m);
    read_place(&t, gps, m);
    read_gps_time(&t, gps, m);
    if (part == EXIF_WHOLE)
        read_time(&t, first, TAG_CHANGED, capture, TAG_ZONE_CHANGED, TAG_SUBSEC_CHANGED, m);
}

void exif_read_size(struct bytes b, struct meta *m)
{
    struct tiff t = { .b = b, .big_endian = b.n && b.p[0] == 'M' };
    uint32_t first = u32(&t, b, 4);
    find_uint(&t, first, TAG_WIDTH, &m->width_px);
    find_uint(&t, first, TAG_HEIGHT, &m->height_px);
}
