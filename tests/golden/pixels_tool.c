/* pixels_tool - image/ at the end of a pipe, for test_pixels.py to compare with Pillow and numpy.
 *
 *   pixels_tool decode FILE [view SIDE ORIENTATION]           a header line, then RGB bytes
 *   pixels_tool resize FILE W H FILTER LEFT TOP RIGHT BOTTOM...   an image for each such seven,
 *                                                                 the last four being its margins
 *   pixels_tool tensor FILE SIZE FILTER FIT [SIDE [ORIENT.]]  [3, SIZE, SIZE] f32, machine order
 *   pixels_tool linear FILE W H...                            an image for each such pair
 *   pixels_tool warp FILE W H M0 ... M5                       an image
 *   pixels_tool time FILE SIZE FILTER SIDE REPEATS            milliseconds: decode, tensor
 *
 * FILE is anything image_decode() reads, with the helper that FOVEA_DECODE names if it does, or raw
 * pixels: "RGB W H\n" and bytes.
 * SIDE asks for the view contract with that target. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "image/image.h"
#include "sys/clock.h"
#include "sys/file.h"

static struct err err;

static void need(bool ok)
{
    if (ok)
        return;
    fprintf(stderr, "%s: %s\n", err_code_name(err.code), err.msg);
    exit(1);
}

static uint32_t number(const char *s)
{
    int64_t v = 0;
    if (!str_to_i64(s, 0, UINT32_MAX, &v))
        need(!err_set(&err, ERR_INVALID, "not a number: %s", s));
    return (uint32_t)v;
}

static enum image_filter filter_of(const char *name)
{
    enum image_filter f = IMAGE_BICUBIC;
    if (!image_filter_parse(name, &f))
        need(!err_set(&err, ERR_INVALID, "not a filter: %s", name));
    return f;
}

static void read_image(const char *path, const struct image_decode_opts *opts, struct image *im)
{
    uint8_t *bytes = NULL;
    size_t n = 0;
    need(file_read(path, (size_t)1 << 30, &bytes, &n, NULL, &err) == ERR_NONE);
    unsigned w, h;
    int at = 0;
    if (sscanf((const char *)bytes, "RGB %u %u%n", &w, &h, &at) == 2) {
        memmove(bytes, bytes + at + 1, n - (size_t)at - 1);
        *im = (struct image){ .px = bytes, .width_px = w, .height_px = h };
        return;
    }
    struct image_decoder *d = NULL;
    need(image_decoder_create(&d, getenv("FOVEA_DECODE"), &err) == ERR_NONE);
    need(image_decode(d, bytes, n, path, opts, im, &err) == ERR_NONE);
    image_decoder_destroy(d);
    free(bytes);
}

static void write_image(const struct image *im)
{
    printf("%u %u\n", im->width_px, im->height_px);
    fwrite(im->px, 3, (size_t)im->width_px * im->height_px, stdout);
}

static struct image_preprocess clip(uint32_t size, const char *filter, const char *fit)
{
    return (struct image_preprocess){
        .width_px = size,
        .height_px = size,
        .filter = filter_of(filter),
        .fit = !strcmp(fit, "squash")    ? IMAGE_SQUASH
               : !strcmp(fit, "longest") ? IMAGE_LONGEST
                                         : IMAGE_SHORTEST,
        .mean = { 0.48145466f, 0.4578275f, 0.40821073f },
        .std = { 0.26862954f, 0.26130258f, 0.27577711f },
        .fill = { 10, 20, 30 },
    };
}

static void tensor(const struct image *im, const struct image_preprocess *pre)
{
    size_t n = (size_t)pre->width_px * pre->height_px * 3;
    float *out = malloc(n * sizeof *out);
    need(out && image_to_tensor(im, pre, out, &err) == ERR_NONE);
    fwrite(out, sizeof *out, n, stdout);
    free(out);
}

static void time_it(const char *path, const struct image_preprocess *pre,
                    const struct image_decode_opts *opts, uint32_t repeats)
{
    float *out = malloc((size_t)pre->width_px * pre->height_px * 3 * sizeof *out);
    double decode_ms = 1e9, tensor_ms = 1e9;
    for (uint32_t i = 0; i < repeats; i++) {
        struct image im = { 0 };
        int64_t t0 = clock_mono_ns();
        read_image(path, opts, &im);
        double ms = clock_ms_since(t0);
        decode_ms = ms < decode_ms ? ms : decode_ms;
        t0 = clock_mono_ns();
        need(out && image_to_tensor(&im, pre, out, &err) == ERR_NONE);
        ms = clock_ms_since(t0);
        tensor_ms = ms < tensor_ms ? ms : tensor_ms;
        image_clear(&im);
    }
    free(out);
    printf("%.2f %.2f\n", decode_ms, tensor_ms);
}

static void linear(const struct image *im, char **sizes, int n)
{
    for (int i = 0; i + 1 < n; i += 2) {
        struct image out;
        need(image_resize_linear(im, number(sizes[i]), number(sizes[i + 1]), &out, &err) ==
             ERR_NONE);
        write_image(&out);
        image_clear(&out);
    }
}

static void warp(const struct image *im, char **args)
{
    struct image out = { .width_px = number(args[0]), .height_px = number(args[1]) };
    double m[6];
    for (int i = 0; i < 6; i++)
        m[i] = strtod(args[2 + i], NULL);
    out.px = malloc((size_t)out.width_px * out.height_px * 3);
    need(out.px);
    image_warp_affine(im, m, out.width_px, out.height_px, out.px);
    write_image(&out);
    image_clear(&out);
}

int main(int argc, char **argv)
{
    const char *op = argc > 2 ? argv[1] : "";
    struct image_decode_opts opts = { 0 };
    struct image im = { 0 };
    if (!strcmp(op, "decode") && argc == 6) {
        opts = (struct image_decode_opts){ .contract = IMAGE_VIEW,
                                           .target_side_px = number(argv[4]),
                                           .orientation = (int)number(argv[5]) };
    } else if ((!strcmp(op, "tensor") && argc >= 7) || (!strcmp(op, "time") && argc == 7)) {
        bool timed = !strcmp(op, "time");
        opts.target_side_px = number(argv[timed ? 5 : 6]);
        opts.contract = opts.target_side_px ? IMAGE_VIEW : IMAGE_REFERENCE;
        opts.orientation = argc == 8 ? (int)number(argv[7]) : 0;
    }
    if (!strcmp(op, "time") && argc == 7) {
        struct image_preprocess pre = clip(number(argv[3]), argv[4], "shortest");
        time_it(argv[2], &pre, &opts, number(argv[6]));
        return 0;
    }
    if (argc > 2)
        read_image(argv[2], &opts, &im);
    if (!strcmp(op, "decode")) {
        write_image(&im);
    } else if (!strcmp(op, "resize")) {
        for (int i = 3; i + 6 < argc; i += 7) {
            struct image out = { 0 };
            im.margin =
                (struct image_margin){ strtof(argv[i + 3], NULL), strtof(argv[i + 4], NULL),
                                       strtof(argv[i + 5], NULL), strtof(argv[i + 6], NULL) };
            need(image_resize(&im, number(argv[i]), number(argv[i + 1]), filter_of(argv[i + 2]),
                              &out, &err) == ERR_NONE);
            write_image(&out);
            image_clear(&out);
        }
    } else if (!strcmp(op, "linear")) {
        linear(&im, argv + 3, argc - 3);
    } else if (!strcmp(op, "warp") && argc == 11) {
        warp(&im, argv + 3);
    } else if (!strcmp(op, "tensor") && argc >= 6) {
        struct image_preprocess pre = clip(number(argv[3]), argv[4], argv[5]);
        tensor(&im, &pre);
    } else {
        fprintf(stderr, "usage: see the top of pixels_tool.c\n");
        return 2;
    }
    image_clear(&im);
    return 0;
}
