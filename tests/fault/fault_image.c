/* Fail the 1st, 2nd, ... allocation of decoding, turning and scaling in turn: each must come back
 * as ERR_NOMEM with nothing held (the sanitizer looks). What libjpeg allocates is its own. */
#include "tap.h"

#include <stdlib.h>

#include <jpeglib.h>

#include "fault.h"
#include "image/image.h"

enum { W = 64, H = 40, SIDE = 16 };

static uint8_t *jpeg;
static unsigned long jpeg_len;

/* Of CMYK the decoder's own row is allocated too, of RGB the colour profile. */
static void make_jpeg(J_COLOR_SPACE colours)
{
    struct jpeg_compress_struct c;
    struct jpeg_error_mgr e;
    uint8_t row[W * 4];
    memset(row, 0x55, sizeof row);
    c.err = jpeg_std_error(&e);
    jpeg_create_compress(&c);
    jpeg_mem_dest(&c, &jpeg, &jpeg_len);
    c.image_width = W;
    c.image_height = H;
    c.input_components = colours == JCS_CMYK ? 4 : 3;
    c.in_color_space = colours;
    jpeg_set_defaults(&c);
    jpeg_start_compress(&c, TRUE);
    jpeg_write_icc_profile(&c, row, sizeof row);
    while (c.next_scanline < H)
        jpeg_write_scanlines(&c, (JSAMPROW[]){ row }, 1);
    jpeg_finish_compress(&c);
    jpeg_destroy_compress(&c);
}

static enum err_code use(struct err *err)
{
    static const struct image_preprocess pre = {
        .width_px = SIDE, .height_px = SIDE, .filter = IMAGE_BICUBIC, .std = { 1, 1, 1 }
    };
    static float out[3 * SIDE * SIDE];
    const struct image_decode_opts opts = { .contract = IMAGE_VIEW, .orientation = 6 };
    struct image_decoder *d = NULL;
    struct image im = { 0 }, small = { 0 };
    enum err_code rc = image_decoder_create(&d, NULL, err);
    if (rc == ERR_NONE)
        rc = image_decode(d, jpeg, jpeg_len, NULL, &opts, &im, err);
    if (rc == ERR_NONE)
        rc = image_to_tensor(&im, &pre, out, err);
    if (rc == ERR_NONE)
        rc = image_resize(&im, 5, 5, IMAGE_NEAREST, &small, err);
    CHECK(rc == ERR_NONE || !small.px);
    image_clear(&small);
    image_clear(&im);
    image_decoder_destroy(d);
    return rc;
}

static void each_allocation_fails_cleanly(J_COLOR_SPACE colours)
{
    make_jpeg(colours);
    enum err_code rc = ERR_NOMEM;
    int n = 0;
    for (; rc == ERR_NOMEM && n < 100; n++) {
        struct err err = { 0 };
        fault_countdown = n;
        rc = use(&err);
        fault_countdown = -1;
        CHECK(err.code == rc && (rc == ERR_NONE || err.msg[0]));
    }
    CHECK(rc == ERR_NONE && n > 10);
    free(jpeg);
    jpeg = NULL; /* libjpeg would write into it */
}

static void of_rgb(void)
{
    each_allocation_fails_cleanly(JCS_RGB);
}

static void of_cmyk(void)
{
    each_allocation_fails_cleanly(JCS_CMYK);
}

static const struct tap_case cases[] = { CASE(of_rgb), CASE(of_cmyk) };
TAP_MAIN(cases)
