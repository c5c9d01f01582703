/* JPEG, to the bytes that Pillow gives: accurate integer DCT and smooth chroma upsampling, which
 * are libjpeg's defaults; CMYK taken as inverted, as Adobe writes it.
 *
 * libjpeg's own interface rather than TurboJPEG, which is a layer over it: only a source manager of
 * our own tells "the data ended" from "the data is odd". Pillow refuses the first and lets the
 * second pass, TurboJPEG reports both as one warning.
 *
 * Measured equal between libjpeg-turbo 2.1.5 here and 3.1.4 in Pillow's wheel: every layout and
 * quality, and all but 2 of 1,500 damaged files (a progressive scan missing, whose smoothing has
 * changed; a second frame header cut short). */
#include "image/jpeg.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include <jpeglib.h>

#include "base/str.h"
#include "image/icc.h"
#include "image/pixels.h"

/* A file of a few kB can ask for days of work by repeating scans over a huge image. Encoders write
 * about 10; 500 is what libjpeg-turbo allows its fuzzers. */
#define MAX_SCANS 500
#define MAX_SCANNED_PIXELS_PER_LIMIT 16 /* times max_pixels, summed over the scans */

/* Each 8x8 block takes at least one bit in a Huffman-coded file. With sampling factors up to 4 the
 * sparsest legal layout has one block in 1024 pixels in each direction's component, so a byte can
 * stand for 1024 pixels at the very most. Real files hold less than 100. */
#define MAX_PIXELS_PER_BYTE 1024

#define ROWS_AT_ONCE 16

struct jpeg {
    struct jpeg_decompress_struct cinfo;
    struct jpeg_error_mgr errors;
    struct jpeg_source_mgr source;
    struct jpeg_progress_mgr progress;
    jmp_buf failed;
    uint64_t max_scanned_pixels;
    bool all_rows_read;
    int n_layers;
    struct image image; /* until it is given away */
    uint8_t *cmyk;      /* one row of four, only for such images */
    enum err_code rc;
    struct err *err;
};

static _Noreturn void fail(struct jpeg *j, enum err_code code, const char *what)
{
    j->rc = err_set(j->err, code, "JPEG: %s", what);
    longjmp(j->failed, 1);
}

/* By its words, not its number: jerror.h, which has the numbers, uses a function that banned.h
 * bans. */
static _Noreturn void on_error(j_common_ptr cinfo)
{
    struct jpeg *j = cinfo->client_data;
    char msg[JMSG_LENGTH_MAX];
    cinfo->err->format_message(cinfo, msg);
    fail(j, str_starts(msg, "Insufficient memory") ? ERR_NOMEM : ERR_INVALID, msg);
}

static void on_message(j_common_ptr cinfo)
{
    (void)cinfo; /* warnings are for oddities that decode all the same */
}

static void on_warning(j_common_ptr cinfo, int level)
{
    (void)level;
    on_message(cinfo);
}

static void on_progress(j_common_ptr cinfo)
{
    struct jpeg *j = cinfo->client_data;
    uint64_t scans = (uint64_t)j->cinfo.input_scan_number;
    uint64_t pixels = (uint64_t)j->cinfo.image_width * j->cinfo.image_height;
    if (scans > MAX_SCANS || (scans > 1 && scans * pixels > j->max_scanned_pixels))
        fail(j, ERR_LIMIT, "too many scans for the size of the image");
}

static void source_nothing(j_decompress_ptr cinfo)
{
    (void)cinfo;
}

/* All bytes were there from the start, so being asked for more means that the file is cut short,
 * unless the pixels are complete and only the end marker is missing. */
static boolean source_ended(j_decompress_ptr cinfo)
{
    struct jpeg *j = cinfo->client_data;
    if (j->all_rows_read)
        return FALSE;
    fail(j, ERR_INVALID, "image file is truncated");
}

static void source_skip(j_decompress_ptr cinfo, long n)
{
    if (n <= 0)
        return;
    if ((size_t)n > cinfo->src->bytes_in_buffer) {
        cinfo->src->bytes_in_buffer = 0;
        source_ended(cinfo);
        return;
    }
    cinfo->src->next_input_byte += n;
    cinfo->src->bytes_in_buffer -= (size_t)n;
}

static void open_source(struct jpeg *j, const uint8_t *bytes, size_t n)
{
    j->cinfo.err = jpeg_std_error(&j->errors);
    j->errors.error_exit = on_error;
    j->errors.output_message = on_message;
    j->errors.emit_message = on_warning;
    j->cinfo.client_data = j;
    jpeg_create_decompress(&j->cinfo);
    j->source = (struct jpeg_source_mgr){
        .next_input_byte = bytes,
        .bytes_in_buffer = n,
        .init_source = source_nothing,
        .fill_input_buffer = source_ended,
        .skip_input_data = source_skip,
        .resync_to_restart = jpeg_resync_to_restart,
        .term_source = source_nothing,
    };
    j->progress.progress_monitor = on_progress;
    j->cinfo.src = &j->source;
    j->cinfo.progress = &j->progress;
}

/* Before anything is allocated for pixels. */
static void check_header(struct jpeg *j, size_t n, uint64_t max_pixels)
{
    const struct jpeg_decompress_struct *c = &j->cinfo;
    uint64_t pixels = (uint64_t)c->image_width * c->image_height;
    char msg[128];
    if (pixels > max_pixels) {
        snprintf(msg, sizeof msg, "%u x %u pixels, the limit is %llu", c->image_width,
                 c->image_height, (unsigned long long)max_pixels);
        fail(j, ERR_LIMIT, msg);
    }
    if (!c->arith_code && pixels / MAX_PIXELS_PER_BYTE > n) {
        snprintf(msg, sizeof msg, "%u x %u pixels cannot come from %zu bytes", c->image_width,
                 c->image_height, n);
        fail(j, ERR_INVALID, msg);
    }
    if (c->num_components != 1 && c->num_components != 3 && c->num_components != 4) {
        snprintf(msg, sizeof msg, "%d layers, not 1, 3 or 4", c->num_components);
        fail(j, ERR_UNSUPPORTED, msg);
    }
}

/* The largest of 8, 4, 2 that leaves the shorter side as IMAGE_OVERSAMPLE promises; 1 if none. */
static unsigned shrink(const struct jpeg_decompress_struct *c, const struct image_decode_opts *o)
{
    uint64_t least = (uint64_t)o->target_side_px * IMAGE_OVERSAMPLE;
    uint32_t side = c->image_width < c->image_height ? c->image_width : c->image_height;
    if (o->contract != IMAGE_VIEW || !least)
        return 1;
    for (unsigned d = 8; d > 1; d /= 2)
        if (side >= least * d)
            return d;
    return 1;
}

/* a * b / 255, rounded, for 0..255: exact, as Pillow has it. */
static inline unsigned mul255(unsigned a, unsigned b)
{
    unsigned t = a * b + 128;
    return ((t >> 8) + t) >> 8;
}

/* CMYK as stored, that is 255 - ink. */
static void cmyk_to_rgb(const uint8_t *in, uint8_t *out, uint32_t n)
{
    for (uint32_t x = 0; x < n; x++, in += 4, out += 3)
        for (int i = 0; i < 3; i++)
            out[i] = (uint8_t)(in[3] - mul255(255u - in[i], in[3]));
}

static void read_rows(struct jpeg *j)
{
    struct jpeg_decompress_struct *c = &j->cinfo;
    size_t stride = (size_t)c->output_width * 3;
    while (c->output_scanline < c->output_height) {
        uint8_t *at = j->image.px + c->output_scanline * stride;
        if (j->cmyk) {
            jpeg_read_scanlines(c, &j->cmyk, 1);
            cmyk_to_rgb(j->cmyk, at, c->output_width);
            continue;
        }
        JSAMPROW rows[ROWS_AT_ONCE];
        uint32_t left = c->output_height - c->output_scanline;
        uint32_t n = left < ROWS_AT_ONCE ? left : ROWS_AT_ONCE;
        for (uint32_t i = 0; i < n; i++)
            rows[i] = at + i * stride;
        jpeg_read_scanlines(c, rows, n);
    }
    j->all_rows_read = true;
}

/* A shrunk picture ends within its last pixel wherever its side is not a multiple; libjpeg fills
 * the rest of that pixel with what the encoder put beyond the edge. */
static struct image sized(const struct jpeg_decompress_struct *c)
{
    float shrink = (float)c->scale_denom; /* scale_num is 1 */
    return (
        struct image){ NULL,
                       c->output_width,
                       c->output_height,
                       c->image_width,
                       c->image_height,
                       { .right = (float)c->output_width - (float)c->image_width / shrink,
                         .bottom = (float)c->output_height - (float)c->image_height / shrink } };
}

/* Three layers only: what a profile says of CMYK has no place here, nor that of a grey picture. */
static void to_srgb(struct jpeg *j, const uint8_t *bytes, size_t n)
{
    struct buf profile;
    if (j->n_layers != 3)
        return;
    j->rc = image_icc_of_jpeg(bytes, n, &profile, j->err);
    if (j->rc == ERR_NONE && profile.len)
        image_icc_to_srgb((const uint8_t *)profile.data, profile.len, j->image.px,
                          (size_t)j->image.width_px * j->image.height_px);
    buf_clear(&profile);
}

static void decode(struct jpeg *j, size_t n, const struct image_decode_opts *opts)
{
    struct jpeg_decompress_struct *c = &j->cinfo;
    while (jpeg_read_header(c, FALSE) == JPEG_HEADER_TABLES_ONLY)
        continue;
    check_header(j, n, opts->max_pixels);
    bool four = c->num_components == 4;
    c->out_color_space = four ? JCS_CMYK : JCS_RGB;
    c->scale_num = 1;
    c->scale_denom = shrink(c, opts);
    jpeg_calc_output_dimensions(c);
    /* Before the rest of the file is read: a second frame header in it changes c. */
    j->image = sized(c);
    j->n_layers = c->num_components;
    j->image.px = image_pixels(c->output_width, c->output_height);
    j->cmyk = four ? malloc((size_t)c->output_width * 4) : NULL;
    if (!j->image.px || (four && !j->cmyk))
        fail(j, ERR_NOMEM, "no memory for the pixels");
    jpeg_start_decompress(c);
    read_rows(j);
    jpeg_finish_decompress(c);
}

enum err_code image_jpeg_decode(const uint8_t *bytes, size_t n,
                                const struct image_decode_opts *opts, struct image *out,
                                struct err *err)
{
    /* On the heap: what a longjmp leaves of changed locals is undefined. */
    struct jpeg *j = calloc(1, sizeof *j);
    if (!j)
        return err_set(err, ERR_NOMEM, "JPEG decoder");
    j->err = err;
    j->max_scanned_pixels = opts->max_pixels > UINT64_MAX / MAX_SCANNED_PIXELS_PER_LIMIT
                                ? UINT64_MAX
                                : opts->max_pixels * MAX_SCANNED_PIXELS_PER_LIMIT;
    if (!setjmp(j->failed)) {
        open_source(j, bytes, n);
        decode(j, n, opts);
        if (opts->contract == IMAGE_VIEW)
            to_srgb(j, bytes, n);
        if (j->rc == ERR_NONE) {
            *out = j->image;
            j->image = (struct image){ 0 };
        }
    }
    enum err_code rc = j->rc;
    jpeg_destroy_decompress(&j->cinfo);
    image_clear(&j->image);
    free(j->cmyk);
    free(j);
    return rc;
}
