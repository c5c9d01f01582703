/* arena.h - memory for one request: many allocations, one free.
 *
 * `{ .limit = n }` is a valid empty one; limit 0 means ARENA_LIMIT_DEFAULT. Blocks come from the
 * heap and go back together in arena_clear(). What it gives is zeroed and aligned for any type. One
 * thread.
 */
#ifndef FOVEA_BASE_ARENA_H
#define FOVEA_BASE_ARENA_H

#include <stddef.h>

#include "base/err.h"

#define ARENA_LIMIT_DEFAULT ((size_t)256 << 20)

struct arena_block;

struct arena {
    struct arena_block *head;
    size_t total, limit; /* bytes held in blocks; bound on them */
};

void arena_clear(struct arena *a);

/* n * size bytes, zeroed. NULL and err set (ERR_LIMIT, ERR_NOMEM) when it cannot be had. */
void *arena_alloc(struct arena *a, size_t n, size_t size, struct err *err);
/* n bytes of p and a NUL. */
char *arena_strndup(struct arena *a, const char *p, size_t n, struct err *err);

#endif
