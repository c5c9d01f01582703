#include "image/helper.h"

#include <stddef.h>

enum err_code image_helper_create(struct image_helper **out, const char *path, struct err *err)
{
    (void)path, (void)err;
    *out = NULL;
    return ERR_NONE;
}

void image_helper_destroy(struct image_helper *h)
{
    (void)h;
}

enum err_code image_helper_decode(struct image_helper *h, enum image_format format,
                                  const uint8_t *bytes, size_t n,
                                  const struct image_decode_opts *opts, struct image *out,
                                  struct err *err)
{
    (void)h, (void)bytes, (void)n, (void)opts, (void)out;
    return err_set(err, ERR_UNSUPPORTED, "%s: no decode helper yet", image_format_name(format));
}
