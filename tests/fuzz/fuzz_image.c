/* Any bytes as a photo: told by content and by name, decoded by both contracts, made a tensor. */
#include <stddef.h>
#include <stdint.h>

#include "image/image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What a caller relies on: pixels for the sizes that are given, or nothing. */
static void use(struct image *im, enum err_code rc, const struct image_decode_opts *opts)
{
    static const struct image_preprocess pre = {
        .width_px = 8, .height_px = 8, .filter = IMAGE_BICUBIC, .std = { 1, 1, 1 }
    };
    static float out[3 * 8 * 8];
    if (rc != ERR_NONE) {
        if (im->px)
            __builtin_trap();
        return;
    }
    uint64_t pixels = (uint64_t)im->width_px * im->height_px;
    if (!pixels || pixels > opts->max_pixels)
        __builtin_trap();
    volatile uint8_t last = im->px[pixels * 3 - 1];
    (void)last;
    if (image_to_tensor(im, &pre, out, NULL) != ERR_NONE)
        __builtin_trap();
    image_clear(im);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct image_decode_opts reference = { .max_pixels = 1 << 18 };
    struct image_decode_opts view = {
        .contract = IMAGE_VIEW, .max_pixels = 1 << 18, .target_side_px = 4, .orientation = 6
    };
    struct image_decoder *d = NULL;
    struct image im;
    if (image_decoder_create(&d, NULL, NULL) != ERR_NONE)
        return 0;
    (void)image_sniff(data, size, "a.dng");
    use(&im, image_decode(d, data, size, NULL, &reference, &im, NULL), &reference);
    use(&im, image_decode(d, data, size, "a.jpg", &view, &im, NULL), &view);
    image_decoder_destroy(d);
    return 0;
}
