/* Any bytes as a photo's metadata: whatever is found must be what the header promises. */
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "meta/meta.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void need(int holds)
{
    if (!holds)
        __builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct meta m;
    meta_read(data, size, &m);
    need(m.orientation >= 1 && m.orientation <= 8);
    need(m.has_time || (!m.taken_ns && !m.has_zone));
    need(abs(m.zone_min) <= 14 * 60 + 59);
    need(m.has_place || !m.has_altitude);
    need(fabs(m.lat_deg) <= 90 && fabs(m.lon_deg) <= 180 && isfinite(m.altitude_m));
    need(memchr(m.make, 0, sizeof m.make) && memchr(m.model, 0, sizeof m.model) &&
         memchr(m.lens, 0, sizeof m.lens));
    return 0;
}
