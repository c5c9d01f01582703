#include "base/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK_MIN = 16 << 10 };

struct arena_block {
    struct arena_block *next;
    size_t used, cap;
    alignas(max_align_t) unsigned char data[];
};

void arena_clear(struct arena *a)
{
    for (struct arena_block *b = a->head, *next; b; b = next) {
        next = b->next;
        free(b);
    }
    *a = (struct arena){ .limit = a->limit };
}

static struct arena_block *grow(struct arena *a, size_t need, struct err *err)
{
    size_t limit = a->limit ? a->limit : ARENA_LIMIT_DEFAULT;
    size_t cap = need < BLOCK_MIN ? BLOCK_MIN : need;
    if (cap > limit || a->total > limit - cap) {
        err_set(err, ERR_LIMIT, "arena of %zu bytes cannot take %zu more (limit %zu)", a->total,
                cap, limit);
        return NULL;
    }
    struct arena_block *b = calloc(1, sizeof *b + cap);
    if (!b) {
        err_set(err, ERR_NOMEM, "arena block of %zu bytes", cap);
        return NULL;
    }
    b->cap = cap;
    b->next = a->head;
    a->head = b;
    a->total += cap;
    return b;
}

void *arena_alloc(struct arena *a, size_t n, size_t size, struct err *err)
{
    const size_t align = alignof(max_align_t);
    size_t need;
    if (__builtin_mul_overflow(n, size, &need) || need > SIZE_MAX / 2) {
        err_set(err, ERR_LIMIT, "arena cannot take %zu elements of %zu bytes", n, size);
        return NULL;
    }
    need = (need + align - 1) & ~(align - 1);
    struct arena_block *b = a->head;
    if (!b || b->cap - b->used < need)
        b = grow(a, need, err);
    if (!b)
        return NULL;
    void *p = b->data + b->used;
    b->used += need;
    return p;
}

char *arena_strndup(struct arena *a, const char *p, size_t n, struct err *err)
{
    char *s = arena_alloc(a, n + 1, 1, err);
    if (s && n)
        memcpy(s, p, n);
    return s;
}
