/* decode_tool - what the engine decodes, for tests that compare it with somebody else's decoder.
 *
 * usage: decode_tool HELPER [TIMEOUT_MS]. On standard input one request a line: contract
 * ("reference" or "view"), format's number, path. On standard output one line each: "ok W H" and
 * then W * H * 3 bytes, or "CODE MESSAGE". */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "image/helper.h"
#include "sys/file.h"

static int answer(struct image_helper *h, const char *contract, int format, const char *path)
{
    struct err err = { 0 };
    struct image im = { 0 };
    uint8_t *bytes = NULL;
    size_t n = 0;
    struct image_decode_opts opts = {
        .contract = strcmp(contract, "view") ? IMAGE_REFERENCE : IMAGE_VIEW,
        .max_bytes = IMAGE_MAX_BYTES,
        .max_pixels = IMAGE_MAX_PIXELS,
    };
    enum err_code rc = file_read(path, IMAGE_MAX_BYTES, &bytes, &n, NULL, &err);
    if (rc == ERR_NONE)
        rc = image_helper_decode(h, (enum image_format)format, bytes, n, &opts, &im, &err);
    free(bytes);
    if (rc == ERR_NONE) {
        printf("ok %u %u\n", im.width_px, im.height_px);
        fwrite(im.px, 3, (size_t)im.width_px * im.height_px, stdout);
    } else {
        printf("%s: %s\n", err_code_name(rc), err.msg);
    }
    free(im.px);
    return fflush(stdout);
}

int main(int argc, char **argv)
{
    struct image_helper *h = NULL;
    char contract[16], path[4096];
    int format, rc = 0;
    if (argc < 2)
        return 2;
    struct image_helper_opts opts = { .path = argv[1],
                                      .timeout_ms = argc > 2 ? (int)strtol(argv[2], NULL, 10) : 0 };
    if (image_helper_create(&h, &opts, NULL) != ERR_NONE)
        return 1;
    while (!rc && scanf("%15s %d %4095[^\n]", contract, &format, path) == 3)
        rc = answer(h, contract, format, path + (path[0] == ' '));
    image_helper_destroy(h);
    return rc != 0;
}
