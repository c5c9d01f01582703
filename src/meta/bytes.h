/* bytes.h - a bounded view of a file. Reading past its end gives 0 and cutting past it gives an
 * empty view, so that the readers above need no checks of their own to be safe. */
#ifndef FOVEA_META_BYTES_H
#define FOVEA_META_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct bytes {
    const uint8_t *p;
    size_t n;
};

static inline struct bytes bytes_from(struct bytes b, uint64_t at)
{
    if (at >= b.n)
        return (struct bytes){ 0 };
    return (struct bytes){ b.p + at, b.n - (size_t)at };
}

/* At most len bytes from at: what a file that was cut short still has of them. */
static inline struct bytes bytes_cut(struct bytes b, uint64_t at, uint64_t len)
{
    struct bytes rest = bytes_from(b, at);
    if (len < rest.n)
        rest.n = (size_t)len;
    return rest;
}

static inline bool bytes_start(struct bytes b, const void *with, size_t n)
{
    return b.n >= n && !memcmp(b.p, with, n);
}

static inline uint64_t bytes_uint(struct bytes b, uint64_t at, unsigned size, bool big_endian)
{
    uint64_t v = 0;
    if (at > b.n || b.n - at < size)
        return 0;
    for (unsigned i = 0; i < size; i++)
        v = v << 8 | b.p[at + (big_endian ? i : size - 1 - i)];
    return v;
}

static inline uint32_t bytes_be16(struct bytes b, uint64_t at)
{
    return (uint32_t)bytes_uint(b, at, 2, true);
}

static inline uint32_t bytes_be32(struct bytes b, uint64_t at)
{
    return (uint32_t)bytes_uint(b, at, 4, true);
}

static inline uint32_t bytes_le16(struct bytes b, uint64_t at)
{
    return (uint32_t)bytes_uint(b, at, 2, false);
}

static inline uint32_t bytes_le32(struct bytes b, uint64_t at)
{
    return (uint32_t)bytes_uint(b, at, 4, false);
}

#endif
