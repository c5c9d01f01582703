/* Formats told apart, orientation, limits, JPEG that is hostile or cut short, tensors' geometry. */
#include "tap.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

#include <jpeglib.h>

#include "image/image.h"

#define SNIFF(s, name) image_sniff((const uint8_t *)(s), sizeof(s) - 1, (name))

static void content_tells_the_format(void)
{
    CHECK(SNIFF("\xff\xd8\xff\xe0", NULL) == IMAGE_JPEG);
    CHECK(SNIFF("\x89PNG\r\n\x1a\n", "a.jpg") == IMAGE_PNG);
    CHECK(SNIFF("RIFF\x10\0\0\0WEBPVP8 ", NULL) == IMAGE_WEBP);
    CHECK(SNIFF("GIF89a", NULL) == IMAGE_GIF);
    CHECK(SNIFF("BM\0\0\0\0", NULL) == IMAGE_BMP);
    CHECK(SNIFF("\xff\x0a", NULL) == IMAGE_JXL);
    CHECK(SNIFF("\0\0\0\x0cJXL \r\n\x87\n", NULL) == IMAGE_JXL);
    CHECK(SNIFF("FUJIFILMCCD-RAW 0201", NULL) == IMAGE_RAW);
    CHECK(SNIFF("IIRO\x08\0\0\0", NULL) == IMAGE_RAW);
    CHECK(SNIFF("IIU\0\x18\0\0\0", NULL) == IMAGE_RAW);
    CHECK(SNIFF("RIFF\x10\0\0\0WAVEfmt ", "a.webp") == IMAGE_UNKNOWN);
    CHECK(SNIFF("", "a.jpg") == IMAGE_UNKNOWN);
    CHECK(image_sniff(NULL, 0, NULL) == IMAGE_UNKNOWN);
    CHECK(SNIFF("\xff\xd8", NULL) == IMAGE_UNKNOWN);
    CHECK_STR(image_format_name(IMAGE_JXL), "JPEG XL");
    CHECK_STR(image_format_name((enum image_format)99), "unknown");
}

static void the_name_decides_only_for_tiff(void)
{
    CHECK(SNIFF("II*\0\x08\0\0\0\x10\0", NULL) == IMAGE_TIFF);
    CHECK(SNIFF("MM\0*\0\0\0\x08", "scan.tif") == IMAGE_TIFF);
    CHECK(SNIFF("MM\0*\0\0\0\x08", "/x.y/DSC_1.NEF") == IMAGE_RAW);
    CHECK(SNIFF("II*\0\x08\0\0\0", "a.dng") == IMAGE_RAW);
    CHECK(SNIFF("II*\0\x10\0\0\0CR\2\0", NULL) == IMAGE_RAW);
    CHECK(SNIFF("\x89PNG\r\n\x1a\n", "a.dng") == IMAGE_PNG);
}

static void brands_tell_the_container_s_content(void)
{
    CHECK(SNIFF("\0\0\0\x18"
                "ftypheic\0\0\0\0mif1heic",
                NULL) == IMAGE_HEIC);
    CHECK(SNIFF("\0\0\0\x18"
                "ftypavif\0\0\0\0mif1avif",
                NULL) == IMAGE_AVIF);
    CHECK(SNIFF("\0\0\0\x18"
                "ftypmif1\0\0\0\0mif1avif",
                NULL) == IMAGE_AVIF);
    CHECK(SNIFF("\0\0\0\x14"
                "ftypmif1\0\0\0\0mif1avif",
                NULL) == IMAGE_HEIC); /* past the box */
    CHECK(SNIFF("\0\0\0\x14"
                "ftypmif1\0\0\0\0heic",
                NULL) == IMAGE_HEIC);
    CHECK(SNIFF("\0\0\0\x18"
                "ftypcrx \0\0\0\1crx isom",
                NULL) == IMAGE_RAW);
    CHECK(SNIFF("\0\0\0\x18"
                "ftypisom\0\0\0\0heicmp41",
                NULL) == IMAGE_UNKNOWN); /* a video */
    CHECK(SNIFF("\xff\xff\xff\xff"
                "ftypmif1\0\0\0\0",
                NULL) == IMAGE_HEIC);
    CHECK(SNIFF("\0\0\0\x18"
                "ftyp",
                NULL) == IMAGE_UNKNOWN);
}

static void names_of_photos(void)
{
    static const char *const yes[] = { "a.jpg", "/b/c.JPEG", "x.y.Heic", ".hidden.png", "a.CR3" };
    static const char *const no[] = { "a", "a.", "jpg", "a.jpg/b", "a.txt", "a.mp4", "a.jpg2", "" };
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++)
        CHECK(image_is_photo_name(yes[i]));
    for (size_t i = 0; i < sizeof no / sizeof *no; i++)
        CHECK(!image_is_photo_name(no[i]));
}

/* Pixels named by letters, one byte each of three; NULL: not set. */
static struct image picture(uint32_t w, uint32_t h, const char *letters)
{
    struct image im = { .px = malloc((size_t)w * h * 3), .width_px = w, .height_px = h };
    for (size_t i = 0; letters && im.px && i < (size_t)w * h * 3; i++)
        im.px[i] = (uint8_t)letters[i / 3];
    return im;
}

static void every_orientation(void)
{
    /* How a scene of abc over def, upright, is stored, and its size then. */
    static const struct {
        uint32_t w, h;
        const char *stored;
    } t[] = {
        { 3, 2, "abcdef" }, { 3, 2, "abcdef" }, { 3, 2, "cbafed" }, { 3, 2, "fedcba" },
        { 3, 2, "defabc" }, { 2, 3, "adbecf" }, { 2, 3, "cfbead" }, { 2, 3, "fcebda" },
        { 2, 3, "daebfc" }, { 3, 2, "abcdef" },
    };
    for (int o = 0; o < 10; o++) {
        struct image im = picture(t[o].w, t[o].h, t[o].stored);
        REQUIRE(im.px && image_orient(&im, o, NULL) == ERR_NONE);
        CHECK(im.width_px == 3 && im.height_px == 2);
        char got[7] = { 0 };
        for (int i = 0; i < 6; i++)
            got[i] = (char)im.px[i * 3 + 2];
        CHECK_STR(got, "abcdef");
        image_clear(&im);
    }
}

static void turning_a_large_image_back_and_forth(void)
{
    struct image im = picture(101, 67, NULL), was = picture(101, 67, NULL);
    REQUIRE(im.px && was.px);
    for (size_t i = 0; i < 101 * 67 * 3; i++)
        im.px[i] = was.px[i] = (uint8_t)(i * 7 + i / 256);
    static const int pairs[][2] = { { 2, 2 }, { 3, 3 }, { 4, 4 }, { 5, 5 }, { 6, 8 }, { 7, 7 } };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        CHECK(image_orient(&im, pairs[i][0], NULL) == ERR_NONE);
        CHECK(memcmp(im.px, was.px, 101 * 67 * 3) != 0);
        CHECK(image_orient(&im, pairs[i][1], NULL) == ERR_NONE);
        CHECK(im.width_px == 101 && !memcmp(im.px, was.px, 101 * 67 * 3));
    }
    image_clear(&im);
    image_clear(&was);
}

/* How many of this process's mappings are marked for huge pages. */
static int huge_mappings(void)
{
    char line[512];
    int n = 0;
    FILE *f = fopen("/proc/self/smaps", "r");
    while (f && fgets(line, sizeof line, f))
        n += !strncmp(line, "VmFlags:", 8) && strstr(line, " hg");
    if (f)
        fclose(f);
    return n;
}

/* A small allocation in its place would take a whole huge page, 2 MB, as it is first touched. */
static void a_freed_image_leaves_no_huge_pages(void)
{
    struct image small = picture(3, 2, "abcdef"), large = { 0 };
    const int before = huge_mappings();
    mallopt(M_MMAP_THRESHOLD,
            32 << 20); /* so that it lies in the heap, as after a few of its size */
    REQUIRE(small.px && image_resize_linear(&small, 2048, 2048, &large, NULL) == ERR_NONE);
    if (huge_mappings() == before)
        SKIP("this kernel has no huge pages, or smaps without flags");
    image_clear(&large);
    CHECK(huge_mappings() == before);
    image_clear(&small);
}

/* A JPEG of a smooth picture, made here: *bytes is malloc'ed. */
static void make_jpeg(uint32_t w, uint32_t h, bool progressive, uint8_t **bytes, size_t *n)
{
    struct jpeg_compress_struct c;
    struct jpeg_error_mgr e;
    unsigned long size = 0;
    *bytes = NULL;
    c.err = jpeg_std_error(&e);
    jpeg_create_compress(&c);
    jpeg_mem_dest(&c, bytes, &size);
    c.image_width = w;
    c.image_height = h;
    c.input_components = 3;
    c.in_color_space = JCS_RGB;
    jpeg_set_defaults(&c);
    if (progressive)
        jpeg_simple_progression(&c);
    jpeg_start_compress(&c, TRUE);
    uint8_t *row = malloc((size_t)w * 3);
    while (row && c.next_scanline < h) {
        for (uint32_t x = 0; x < w * 3; x++)
            row[x] = (uint8_t)(x + c.next_scanline * 2);
        jpeg_write_scanlines(&c, &row, 1);
    }
    free(row);
    jpeg_finish_compress(&c);
    jpeg_destroy_compress(&c);
    *n = size;
}

static enum err_code decode(const uint8_t *bytes, size_t n, const struct image_decode_opts *opts,
                            struct image *out, struct err *err)
{
    struct image_decoder *d = NULL;
    *err = (struct err){ 0 };
    enum err_code rc = image_decoder_create(&d, NULL, err);
    if (rc == ERR_NONE)
        rc = image_decode(d, bytes, n, NULL, opts, out, err);
    image_decoder_destroy(d);
    return rc;
}

/* Where the frame header (SOF0, SOF2) starts. */
static uint8_t *frame_of(uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i + 9 < n; i++)
        if (bytes[i] == 0xff && (bytes[i + 1] == 0xc0 || bytes[i + 1] == 0xc2))
            return bytes + i;
    return NULL;
}

static void jpeg_view_is_smaller_and_upright(void)
{
    uint8_t *bytes;
    size_t n;
    struct err e;
    struct image im = { 0 };
    make_jpeg(800, 1000, false, &bytes, &n);
    struct image_decode_opts o = { .orientation = 6, .target_side_px = 50 };
    CHECK(decode(bytes, n, &o, &im, &e) == ERR_NONE && im.width_px == 800 && im.height_px == 1000);
    image_clear(&im);
    o.contract = IMAGE_VIEW;
    CHECK(decode(bytes, n, &o, &im, &e) == ERR_NONE && im.width_px == 125 && im.height_px == 100);
    image_clear(&im);
    o.target_side_px = 51;
    CHECK(decode(bytes, n, &o, &im, &e) == ERR_NONE && im.width_px == 250 && im.height_px == 200);
    image_clear(&im);
    o.target_side_px = 700; /* nothing to save */
    CHECK(decode(bytes, n, &o, &im, &e) == ERR_NONE && im.width_px == 1000 && im.height_px == 800);
    image_clear(&im);
    free(bytes);
}

/* 803 x 1001 at 1/8 is 100.375 x 125.125: the margins go where the turning takes them. */
static void jpeg_view_knows_where_the_picture_ends(void)
{
    static const struct image_margin margins[] = {
        { 0, 0, 0.625f, 0.875f }, { 0, 0, 0.625f, 0.875f }, { 0.625f, 0, 0, 0.875f },
        { 0.625f, 0.875f, 0, 0 }, { 0, 0.875f, 0.625f, 0 }, { 0, 0, 0.875f, 0.625f },
        { 0.875f, 0, 0, 0.625f }, { 0.875f, 0.625f, 0, 0 }, { 0, 0.625f, 0.875f, 0 },
    };
    uint8_t *bytes;
    size_t n;
    struct err e;
    struct image im = { 0 };
    make_jpeg(803, 1001, false, &bytes, &n);
    for (int turn = 0; turn <= 8; turn++) {
        struct image_decode_opts o = { .contract = IMAGE_VIEW,
                                       .orientation = turn,
                                       .target_side_px = 50 };
        REQUIRE(decode(bytes, n, &o, &im, &e) == ERR_NONE);
        CHECK(im.width_px == (turn < 5 ? 101 : 126) && im.height_px == (turn < 5 ? 126 : 101));
        CHECK(im.full_width_px == (turn < 5 ? 803 : 1001));
        CHECK(im.full_height_px == (turn < 5 ? 1001 : 803));
        CHECK(!memcmp(&im.margin, &margins[turn], sizeof im.margin));
        image_clear(&im);
    }
    CHECK(decode(bytes, n, NULL, &im, &e) == ERR_NONE && im.full_width_px == 803);
    CHECK(im.width_px == 803 && im.margin.right == 0 && im.margin.bottom == 0);
    image_clear(&im);
    free(bytes);
}

static void jpeg_that_is_cut_short_is_refused_at_every_byte(void)
{
    for (int progressive = 0; progressive < 2; progressive++) {
        uint8_t *bytes;
        size_t n;
        struct err e;
        struct image im = { 0 };
        make_jpeg(50, 40, progressive, &bytes, &n);
        REQUIRE(decode(bytes, n, NULL, &im, &e) == ERR_NONE);
        image_clear(&im);
        for (size_t cut = 3; cut < n - 40; cut++) {
            CHECK(decode(bytes, cut, NULL, &im, &e) == ERR_INVALID && !im.px);
            CHECK_STR(e.msg, "JPEG: image file is truncated");
        }
        free(bytes);
    }
}

static void limits_come_before_memory(void)
{
    uint8_t *bytes;
    size_t n;
    struct err e;
    struct image im = { 0 };
    make_jpeg(64, 64, false, &bytes, &n);
    struct image_decode_opts o = { .max_pixels = 64 * 64 - 1 };
    CHECK(decode(bytes, n, &o, &im, &e) == ERR_LIMIT && strstr(e.msg, "4095"));
    o.max_pixels++;
    CHECK(decode(bytes, n, &o, &im, &e) == ERR_NONE);
    image_clear(&im);
    o.max_bytes = n - 1;
    CHECK(decode(bytes, n, &o, &im, &e) == ERR_LIMIT && !im.px);
    uint8_t *frame = frame_of(bytes, n);
    REQUIRE(frame);
    memcpy(frame + 5, (uint8_t[]){ 0xff, 0x00, 0xff, 0x00 }, 4); /* 65280 x 65280 */
    CHECK(decode(bytes, n, NULL, &im, &e) == ERR_LIMIT && strstr(e.msg, "65280"));
    memcpy(frame + 5, (uint8_t[]){ 0x40, 0x00, 0x40, 0x00 }, 4); /* within the limit, but a lie */
    CHECK(decode(bytes, n, NULL, &im, &e) == ERR_INVALID && strstr(e.msg, "cannot come from"));
    memcpy(frame + 5, (uint8_t[]){ 0, 0, 0, 64 }, 4);
    CHECK(decode(bytes, n, NULL, &im, &e) == ERR_INVALID && !im.px);
    free(bytes);
}

/* The last scan of a progressive file over and over: each costs as much as an image. */
static void jpeg_of_endless_scans_is_refused(void)
{
    uint8_t *bytes;
    size_t n, scan = 0;
    struct err e;
    struct image im = { 0 };
    make_jpeg(16, 16, true, &bytes, &n);
    for (size_t i = 0; i + 1 < n; i++)
        if (bytes[i] == 0xff && bytes[i + 1] == 0xda)
            scan = i;
    size_t len = n - 2 - scan, times = 600;
    uint8_t *long_one = malloc(scan + len * times + 2);
    REQUIRE(scan && long_one);
    memcpy(long_one, bytes, scan);
    for (size_t i = 0; i < times; i++)
        memcpy(long_one + scan + i * len, bytes + scan, len);
    memcpy(long_one + scan + len * times, "\xff\xd9", 2);
    CHECK(decode(long_one, scan + len * times + 2, NULL, &im, &e) == ERR_LIMIT);
    CHECK(strstr(e.msg, "scans") != NULL);
    free(long_one);
    free(bytes);
}

static void what_nobody_reads_is_named(void)
{
    struct err e;
    struct image im = { 0 };
    CHECK(decode((const uint8_t *)"hello", 5, NULL, &im, &e) == ERR_UNSUPPORTED);
    CHECK_STR(e.msg, "cannot identify image file");
    CHECK(decode((const uint8_t *)"GIF89a", 6, NULL, &im, &e) == ERR_UNSUPPORTED);
    CHECK(strstr(e.msg, "GIF") != NULL);
    CHECK(decode((const uint8_t *)"", 0, NULL, &im, &e) == ERR_UNSUPPORTED);
}

static void resize_refuses_what_it_cannot(void)
{
    struct err e = { 0 };
    struct image im = picture(1, 1, "a"), out = { 0 };
    CHECK(image_resize(&im, 0, 5, IMAGE_BOX, &out, &e) == ERR_INVALID && !out.px);
    CHECK(image_resize(&im, 1u << 31, 1, IMAGE_BOX, &out, NULL) == ERR_INVALID);
    CHECK(image_resize(&im, 1u << 20, 1u << 20, IMAGE_BOX, &out, NULL) == ERR_LIMIT && !out.px);
    CHECK(image_resize(&im, 300000000, 1, IMAGE_BOX, &out, NULL) == ERR_LIMIT && !out.px);
    CHECK(image_resize(&(struct image){ 0 }, 5, 5, IMAGE_BOX, &out, NULL) == ERR_INVALID);
    im.margin.left = im.margin.right = 0.5f; /* nothing is left */
    CHECK(image_resize(&im, 7, 5, IMAGE_BOX, &out, NULL) == ERR_INVALID && !out.px);
    im.margin = (struct image_margin){ 0 };
    CHECK(image_resize(&im, 7, 5, IMAGE_LANCZOS, &out, NULL) == ERR_NONE && out.px[104] == 'a');
    image_clear(&out);
    image_clear(&im);
    enum image_filter f;
    CHECK(image_filter_parse("Bicubic", &f) && f == IMAGE_BICUBIC);
    CHECK(!image_filter_parse("cubic", &f) && !image_filter_parse(NULL, &f));
}

static void tensors_of_every_fit(void)
{
    struct image im = picture(4, 2, "abcdABCD");
    struct image_preprocess p = { .width_px = 2,
                                  .height_px = 2,
                                  .filter = IMAGE_NEAREST,
                                  .std = { 1, 1, 1 },
                                  .fill = { 'x', 'y', 'z' } };
    float out[48];
    CHECK(image_to_tensor(&im, &p, out, NULL) == ERR_NONE); /* the centre of 4 x 2 */
    CHECK(out[0] == 'b' / 255.0f && out[3] == 'C' / 255.0f && out[4] == out[0]);
    p.fit = IMAGE_SQUASH;
    CHECK(image_to_tensor(&im, &p, out, NULL) == ERR_NONE);
    CHECK(out[0] == 'b' / 255.0f && out[1] == 'd' / 255.0f && out[3] == 'D' / 255.0f);
    p.fit = IMAGE_LONGEST;
    p.width_px = p.height_px = 4;
    p.mean[0] = 0.5f, p.std[0] = 0.5f;
    CHECK(image_to_tensor(&im, &p, out, NULL) == ERR_NONE);
    CHECK(out[0] == 'x' / 255.0f * 2 - 1 && out[4] == 'a' / 255.0f * 2 - 1);
    CHECK(out[16 + 0] == 'y' / 255.0f && out[16 + 11] == 'D' / 255.0f);
    p.std[2] = 0;
    CHECK(image_to_tensor(&im, &p, out, NULL) == ERR_INVALID);
    image_clear(&im);
}

/* 1 x 60000: the scaled image would have 3 G pixels, of which a square is wanted. */
static void a_thread_of_an_image_becomes_a_tensor(void)
{
    struct image im = { .px = calloc(60000, 3), .width_px = 1, .height_px = 60000 };
    float *out = malloc(224 * 224 * 3 * sizeof *out);
    REQUIRE(im.px && out);
    memset(im.px + 29900 * 3, 255, 200 * 3);
    struct image_preprocess p = {
        .width_px = 224, .height_px = 224, .filter = IMAGE_BICUBIC, .std = { 1, 1, 1 }
    };
    CHECK(image_to_tensor(&im, &p, out, NULL) == ERR_NONE);
    CHECK(out[0] == 1 && out[224 * 224 * 3 - 1] == 1);
    free(out);
    image_clear(&im);
}

static const struct tap_case cases[] = {
    CASE(content_tells_the_format),
    CASE(the_name_decides_only_for_tiff),
    CASE(brands_tell_the_container_s_content),
    CASE(names_of_photos),
    CASE(every_orientation),
    CASE(turning_a_large_image_back_and_forth),
    CASE(a_freed_image_leaves_no_huge_pages),
    CASE(jpeg_view_is_smaller_and_upright),
    CASE(jpeg_view_knows_where_the_picture_ends),
    CASE(jpeg_that_is_cut_short_is_refused_at_every_byte),
    CASE(limits_come_before_memory),
    CASE(jpeg_of_endless_scans_is_refused),
    CASE(what_nobody_reads_is_named),
    CASE(resize_refuses_what_it_cannot),
    CASE(tensors_of_every_fit),
    CASE(a_thread_of_an_image_becomes_a_tensor),
};
TAP_MAIN(cases)
