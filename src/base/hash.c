#include "base/hash.h"

#include <nettle/sha1.h>
#include <nettle/sha2.h>
#include <stdio.h>

#include "base/str.h"

_Static_assert(sizeof(struct sha256_ctx) <= sizeof(struct hash),
               "struct hash holds nettle's context");
_Static_assert(SHA256_DIGEST_SIZE == HASH_BYTES, "SHA-256");

static struct sha256_ctx *ctx(struct hash *h)
{
    return (struct sha256_ctx *)(void *)h->state;
}

void hash_init(struct hash *h)
{
    sha256_init(ctx(h));
}

void hash_update(struct hash *h, const void *p, size_t n)
{
    sha256_update(ctx(h), n, p);
}

void hash_final(struct hash *h, uint8_t out[HASH_BYTES])
{
    sha256_digest(ctx(h), HASH_BYTES, out);
}

void hash_bytes(const void *p, size_t n, uint8_t out[HASH_BYTES])
{
    struct hash h;
    hash_init(&h);
    hash_update(&h, p, n);
    hash_final(&h, out);
}

void hash_git_blob(const void *p, size_t n, uint8_t out[HASH_GIT_BYTES])
{
    struct sha1_ctx h;
    char head[32];
    int len = snprintf(head, sizeof head, "blob %zu", n);
    sha1_init(&h);
    sha1_update(&h, (size_t)len + 1, (const uint8_t *)head);
    sha1_update(&h, n, p);
    sha1_digest(&h, HASH_GIT_BYTES, out);
}

void hash_hex(const uint8_t digest[HASH_BYTES], char out[HASH_HEX])
{
    static const char hex[] = "0123456789abcdef";
    for (size_t i = 0; i < HASH_BYTES; i++) {
        out[2 * i] = hex[digest[i] >> 4];
        out[2 * i + 1] = hex[digest[i] & 15];
    }
    out[HASH_HEX - 1] = '\0';
}

static bool from_hex(const char *hex, uint8_t *out, size_t n)
{
    size_t i = 0;
    for (; i < n; i++) {
        int high = str_hex_digit(hex[2 * i]), low = high < 0 ? -1 : str_hex_digit(hex[2 * i + 1]);
        if (low < 0)
            return false;
        out[i] = (uint8_t)(high << 4 | low);
    }
    return !hex[2 * i];
}

bool hash_from_hex(const char *hex, uint8_t out[HASH_BYTES])
{
    return from_hex(hex, out, HASH_BYTES);
}

bool hash_git_from_hex(const char *hex, uint8_t out[HASH_GIT_BYTES])
{
    return from_hex(hex, out, HASH_GIT_BYTES);
}
