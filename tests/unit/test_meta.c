/* What a file says about itself, from EXIF made here in every container that carries it. */
#include "tap.h"

#include <stdint.h>
#include <stdlib.h>

#include "meta/meta.h"

/* A TIFF structure under construction: directories first, what does not fit in an entry behind. */
struct maker {
    uint8_t p[4096];
    size_t n, entry;
    bool big_endian;
};

static void put_at(struct maker *k, size_t at, uint64_t v, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        k->p[at + (k->big_endian ? size - 1 - i : i)] = (uint8_t)(v >> 8 * i);
}

static void put(struct maker *k, uint64_t v, unsigned size)
{
    put_at(k, k->n, v, size);
    k->n += size;
}

static void begin(struct maker *k, bool big_endian)
{
    *k = (struct maker){ .big_endian = big_endian };
    memcpy(k->p, big_endian ? "MM" : "II", 2);
    k->n = 2;
    put(k, 42, 2);
    put(k, 8, 4);
}

/* A directory of n entries, and its end. Returns where it is. */
static uint32_t directory(struct maker *k, unsigned n)
{
    uint32_t at = (uint32_t)k->n;
    put(k, n, 2);
    k->entry = k->n;
    k->n += (size_t)n * 12 + 4;
    return at;
}

static void entry(struct maker *k, unsigned tag, unsigned type, uint32_t count, uint32_t value)
{
    put_at(k, k->entry, tag, 2);
    put_at(k, k->entry + 2, type, 2);
    put_at(k, k->entry + 4, count, 4);
    put_at(k, k->entry + 8, value, type == 3 && count == 1 ? 2 : 4);
    k->entry += 12;
}

static void text(struct maker *k, unsigned tag, const char *s)
{
    size_t n = strlen(s) + 1;
    if (n <= 4) {
        entry(k, tag, 2, (uint32_t)n, 0);
        memcpy(k->p + k->entry - 4, s, n);
        return;
    }
    entry(k, tag, 2, (uint32_t)n, (uint32_t)k->n);
    memcpy(k->p + k->n, s, n);
    k->n += n + n % 2;
}

static void rationals(struct maker *k, unsigned tag, const uint32_t (*v)[2], unsigned n)
{
    entry(k, tag, 5, n, (uint32_t)k->n);
    for (unsigned i = 0; i < n; i++) {
        put(k, v[i][0], 4);
        put(k, v[i][1], 4);
    }
}

/* To the directory that is made next. */
static void pointer(struct maker *k, unsigned tag)
{
    entry(k, tag, 4, 1, (uint32_t)k->n);
}

static void make_full(struct maker *k, bool big_endian)
{
    const uint32_t lat[][2] = { { 47, 1 }, { 3, 1 }, { 3012, 100 } };
    const uint32_t lon[][2] = { { 8, 1 }, { 30, 1 }, { 0, 1 } };
    const uint32_t alt[][2] = { { 4215, 10 } };
    begin(k, big_endian);
    directory(k, 5);
    text(k, 0x10f, "Canon ");
    text(k, 0x110, "EOS 5D");
    entry(k, 0x112, 3, 1, 6);
    size_t after = k->entry;
    uint32_t exif_ifd = directory(k, 3);
    text(k, 0x9003, "2019:07:06 13:14:15");
    text(k, 0x9011, "+02:00");
    text(k, 0x9291, "25");
    uint32_t gps_ifd = directory(k, 6);
    text(k, 1, "N");
    rationals(k, 2, lat, 3);
    text(k, 3, "W");
    rationals(k, 4, lon, 3);
    entry(k, 5, 1, 1, 0);
    rationals(k, 6, alt, 1);
    k->entry = after;
    entry(k, 0x8769, 4, 1, exif_ifd);
    entry(k, 0x8825, 4, 1, gps_ifd);
}

static void check_full(const struct meta *m, int orientation)
{
    CHECK(m->orientation == orientation);
    CHECK_STR(m->make, "Canon");
    CHECK_STR(m->model, "EOS 5D");
    CHECK(m->has_time && m->has_zone && m->zone_min == 120);
    CHECK(m->taken_ns == 1562411655250000000); /* date -d '2019-07-06T11:14:15Z' +%s */
    REQUIRE(m->has_place && m->has_altitude);
    CHECK_NEAR(m->lat_deg, 47 + 3 / 60.0 + 30.12 / 3600, 1e-9);
    CHECK_NEAR(m->lon_deg, -8.5, 1e-9);
    CHECK_NEAR(m->altitude_m, 421.5, 1e-9);
}

static void tiff_of_either_byte_order(void)
{
    struct maker k;
    struct meta m;
    for (int big_endian = 0; big_endian < 2; big_endian++) {
        make_full(&k, big_endian);
        meta_read(k.p, k.n, &m);
        check_full(&m, 6);
    }
}

/* A file: parts appended, sizes big-endian unless said. */
struct file {
    uint8_t p[8192];
    size_t n;
};

static void add(struct file *f, const void *p, size_t n)
{
    memcpy(f->p + f->n, p, n);
    f->n += n;
}

static void add_be(struct file *f, uint64_t v, unsigned size)
{
    for (unsigned i = size; i--;)
        f->p[f->n++] = (uint8_t)(v >> 8 * i);
}

static void add_le(struct file *f, uint64_t v, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        f->p[f->n++] = (uint8_t)(v >> 8 * i);
}

static void in_jpeg(void)
{
    struct maker k;
    struct meta m;
    struct file f = { 0 };
    make_full(&k, false);
    add(&f, "\xff\xd8\xff\xe0\0\4ab", 8);
    add(&f, "\xff\xff\xe1", 3); /* a fill byte before the marker */
    add_be(&f, 8 + k.n, 2);
    add(&f, "Exif\0\0", 6);
    add(&f, k.p, k.n);
    add(&f, "\xff\xc0\0\x11\x08\1\0\2\0", 9);
    meta_read(f.p, f.n, &m);
    check_full(&m, 6);
    CHECK(m.width_px == 512 && m.height_px == 256);
}

static void in_png(void)
{
    struct maker k;
    struct meta m;
    struct file f = { 0 };
    make_full(&k, true);
    add(&f, "\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\3\0\0\0\2\0\x08\2\0\0\0crc.", 33);
    add(&f, "\0\0\0\2IDATxxcrc.", 14);
    add_be(&f, k.n, 4);
    add(&f, "eXIf", 4);
    add(&f, k.p, k.n);
    meta_read(f.p, f.n, &m);
    check_full(&m, 6);
    CHECK(m.width_px == 768 && m.height_px == 512);
}

static void in_webp(void)
{
    struct maker k;
    struct meta m;
    struct file f = { 0 };
    make_full(&k, false);
    add(&f, "RIFF\0\0\0\0WEBP", 12);
    add(&f, "VP8X\x0a\0\0\0\x08\0\0\0\xff\1\0\x7f\2\0", 18);
    add(&f, "ODD \1\0\0\0x\0", 10); /* padded to even */
    add(&f, "EXIF", 4);
    add_le(&f, 6 + k.n, 4);
    add(&f, "Exif\0\0", 6); /* which some writers leave in */
    add(&f, k.p, k.n);
    meta_read(f.p, f.n, &m);
    check_full(&m, 6);
    CHECK(m.width_px == 512 && m.height_px == 640);
}

/* The item's place comes last, in version 1 of iloc. */
static void make_heic(struct file *f, const struct maker *k)
{
    add(f,
        "\0\0\0\x14"
        "ftypheic\0\0\0\0mif1",
        20);
    size_t meta_at = f->n;
    add(f, "\0\0\0\0meta\0\0\0\0", 12);
    add(f, "\0\0\0\x36iinf\0\0\0\0\0\2", 14);
    add(f, "\0\0\0\x14infe\2\0\0\0\0\1\0\0hvc1", 20);
    add(f, "\0\0\0\x14infe\2\0\0\0\0\2\0\0Exif", 20);
    add(f, "\0\0\0\x30iloc\1\0\0\0\x44\0\0\2", 16);
    add(f, "\0\1\0\0\0\0\0\1\0\0\0\0\0\0\0\0", 16);
    add(f, "\0\2\0\0\0\0\0\1", 8);
    size_t extent_at = f->n;
    add(f, "\0\0\0\0\0\0\0\0", 8);
    f->p[meta_at + 3] = (uint8_t)(f->n - meta_at);
    struct file place = { .n = 0 };
    add_be(&place, f->n, 4);
    add_be(&place, 10 + k->n, 4);
    memcpy(f->p + extent_at, place.p, 8);
    add(f, "\0\0\0\6Exif\0\0", 10);
    add(f, k->p, k->n);
}

static void in_heic_the_decoder_turns(void)
{
    struct maker k;
    struct meta m;
    struct file f = { 0 };
    make_full(&k, true);
    make_heic(&f, &k);
    meta_read(f.p, f.n, &m);
    check_full(&m, 1);
}

static void in_jpeg_xl(void)
{
    struct maker k;
    struct meta m;
    struct file f = { 0 };
    make_full(&k, true);
    add(&f, "\0\0\0\x0cJXL \x0d\x0a\x87\x0a", 12);
    add_be(&f, 12 + k.n, 4);
    add(&f, "Exif\0\0\0\0", 8);
    add(&f, k.p, k.n);
    meta_read(f.p, f.n, &m);
    check_full(&m, 1);
}

static void box(struct file *f, const char *name, const struct maker *k)
{
    add_be(f, 8 + k->n, 4);
    add(f, name, 4);
    add(f, k->p, k->n);
}

/* Canon's directories are TIFF structures each; that of the exposure has no pointer to it. */
static void in_cr3(void)
{
    struct maker k, exposure;
    struct meta m;
    struct file f = { 0 };
    begin(&exposure, false);
    directory(&exposure, 1);
    text(&exposure, 0x9003, "2020:01:01 00:00:00");
    make_full(&k, false);
    add(&f,
        "\0\0\0\x10"
        "ftypcrx \0\0\0\1",
        16);
    add_be(&f, 8 + 24 + 16 + exposure.n + k.n, 4);
    add(&f, "moov", 4);
    add_be(&f, 24 + 16 + exposure.n + k.n, 4);
    add(&f, "uuid\x85\xc0\xb6\x87\x82\x0f\x11\xe0\x81\x11\xf4\xce\x46\x2b\x6a\x48", 20);
    box(&f, "CMT2", &exposure);
    box(&f, "CMT1", &k);
    meta_read(f.p, f.n, &m);
    CHECK(m.orientation == 6 && m.has_place);
    CHECK_STR(m.model, "EOS 5D");
    CHECK(m.has_time && !m.has_zone && m.taken_ns == 1577836800000000000);
}

static void in_raf(void)
{
    struct maker k;
    struct meta m;
    struct file f = { 0 };
    make_full(&k, true);
    add(&f, "FUJIFILMCCD-RAW ", 16);
    f.n = 84;
    add_be(&f, 100, 4);
    add_be(&f, 12 + k.n, 4);
    f.n = 100;
    add(&f, "\xff\xd8\xff\xe1", 4);
    add_be(&f, 8 + k.n, 2);
    add(&f, "Exif\0\0", 6);
    add(&f, k.p, k.n);
    meta_read(f.p, f.n, &m);
    check_full(&m, 6);
}

static void one_time(const char *date, const char *zone, struct meta *m)
{
    struct maker k;
    begin(&k, false);
    directory(&k, 1);
    pointer(&k, 0x8769);
    directory(&k, 2);
    text(&k, 0x9003, date);
    text(&k, 0x9011, zone);
    meta_read(k.p, k.n, m);
}

static void times_that_are_none(void)
{
    static const char *const bad[] = {
        "0000:00:00 00:00:00",
        "    :  :     :  :  ",
        "2019:02:29 10:00:00",
        "2019:13:01 10:00:00",
        "2019:01:01 24:00:00",
        "2019:01:01",
        "",
        "20190101 10:00:00xxx",
    };
    struct meta m;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        one_time(bad[i], "+01:00", &m);
        CHECK(!m.has_time && !m.taken_ns && m.orientation == 1);
    }
}

static void times_at_the_edges(void)
{
    struct meta m;
    one_time("2020:02:29 23:59:59", "-03:30", &m);
    CHECK(m.has_zone && m.zone_min == -210 && m.taken_ns == 1583033399000000000);
    one_time("1969:12:31 23:59:59", "Z", &m);
    CHECK(m.has_time && m.taken_ns == -1000000000);
    one_time("2000:01:01 00:00:00", "+25:00", &m); /* no zone of this Earth */
    CHECK(m.has_time && !m.has_zone && m.taken_ns == 946684800000000000);
}

static void places_that_are_none(void)
{
    const uint32_t far[][2] = { { 91, 1 }, { 0, 1 }, { 0, 1 } };
    const uint32_t zero[][2] = { { 0, 1 }, { 0, 1 }, { 0, 1 } };
    const uint32_t no_number[][2] = { { 1, 0 }, { 0, 1 }, { 0, 1 } };
    const uint32_t(*bad[])[2] = { far, zero, no_number };
    for (size_t i = 0; i < 3; i++) {
        struct maker k;
        struct meta m;
        begin(&k, false);
        directory(&k, 1);
        pointer(&k, 0x8825);
        directory(&k, 2);
        rationals(&k, 2, bad[i], 3);
        rationals(&k, 4, bad[i], 3);
        meta_read(k.p, k.n, &m);
        CHECK(!m.has_place && !m.has_altitude);
    }
}

/* Every beginning of every file, in a block of its exact size so that a sanitizer sees one byte too
 * many, and every byte changed. */
static void shake(const uint8_t *p, size_t n)
{
    struct meta m;
    for (size_t cut = 0; cut <= n; cut++) {
        uint8_t *copy = malloc(cut ? cut : 1);
        memcpy(copy, p, cut);
        meta_read(copy, cut, &m);
        free(copy);
    }
    uint8_t *copy = malloc(n);
    for (size_t i = 0; i < n * 3; i++) {
        static const uint8_t to[] = { 0, 0xff, 0x7f };
        memcpy(copy, p, n);
        copy[i / 3] = to[i % 3];
        meta_read(copy, n, &m);
        CHECK(m.orientation >= 1 && m.orientation <= 8 && fabs(m.lat_deg) <= 90);
    }
    free(copy);
}

static void damage_is_survived(void)
{
    struct maker k;
    struct file f = { 0 };
    make_full(&k, true);
    shake(k.p, k.n);
    make_heic(&f, &k);
    shake(f.p, f.n);
}

static const struct tap_case cases[] = {
    CASE(tiff_of_either_byte_order),
    CASE(in_jpeg),
    CASE(in_png),
    CASE(in_webp),
    CASE(in_heic_the_decoder_turns),
    CASE(in_jpeg_xl),
    CASE(in_cr3),
    CASE(in_raf),
    CASE(times_that_are_none),
    CASE(times_at_the_edges),
    CASE(places_that_are_none),
    CASE(damage_is_survived),
};

TAP_MAIN(cases)
