/* hash.h - SHA-256 (FIPS 180-4), and git's name of a file, by nettle, which uses the CPU's SHA
 * instructions where it has them.
 */
#ifndef FOVEA_BASE_HASH_H
#define FOVEA_BASE_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HASH_BYTES 32
#define HASH_HEX (2 * HASH_BYTES + 1)
#define HASH_GIT_BYTES 20

struct hash {
    _Alignas(16) unsigned char state[128]; /* nettle's context; hash.c asserts that it fits */
};

void hash_init(struct hash *h); /* nothing to clear */
void hash_update(struct hash *h, const void *p, size_t n);
void hash_final(struct hash *h, uint8_t out[HASH_BYTES]);

void hash_bytes(const void *p, size_t n, uint8_t out[HASH_BYTES]);
/* What git calls the blob of these bytes: SHA-1 of "blob ", their count, a NUL and them. */
void hash_git_blob(const void *p, size_t n, uint8_t out[HASH_GIT_BYTES]);
/* Lower-case hexadecimal with a NUL. */
void hash_hex(const uint8_t digest[HASH_BYTES], char out[HASH_HEX]);

/* The other way; false unless hex is 64 hexadecimal digits. */
bool hash_from_hex(const char *hex, uint8_t out[HASH_BYTES]);
bool hash_git_from_hex(const char *hex, uint8_t out[HASH_GIT_BYTES]); /* 40 */

#endif
