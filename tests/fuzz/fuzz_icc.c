/* Any bytes as a colour profile, and as the JPEG that it is taken from. */
#include <stddef.h>
#include <stdint.h>

#include "image/icc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t px[16 * 3];
    struct buf profile;
    for (size_t i = 0; i < sizeof px; i++)
        px[i] = (uint8_t)(i * 37);
    image_icc_to_srgb(data, size, px, sizeof px / 3);
    if (image_icc_of_jpeg(data, size, &profile, NULL) == ERR_NONE && profile.len)
        image_icc_to_srgb((const uint8_t *)profile.data, profile.len, px, sizeof px / 3);
    buf_clear(&profile);
    return 0;
}
