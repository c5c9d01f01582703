/* fault.h - an allocator that runs out on demand. Fault injection needs no patched library: the
 * linker swaps these in (-Wl,--wrap) for every allocation of the code under test, not libc's own.
 */
#ifndef TESTS_FAULT_H
#define TESTS_FAULT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "tap.h"

/* Allocations left before one fails, of whatever thread; < 0: never fail. */
static atomic_int fault_countdown = -1;

static inline bool fault_now(void)
{
    return fault_countdown >= 0 && fault_countdown-- == 0;
}

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__real_reallocarray(void *p, size_t n, size_t size);
void *__real_aligned_alloc(size_t align, size_t n);
char *__real_strdup(const char *s);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
void *__wrap_reallocarray(void *p, size_t n, size_t size);
void *__wrap_aligned_alloc(size_t align, size_t n);
char *__wrap_strdup(const char *s);

void *__wrap_malloc(size_t n)
{
    return fault_now() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return fault_now() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
    return fault_now() ? NULL : __real_realloc(p, n);
}

void *__wrap_reallocarray(void *p, size_t n, size_t size)
{
    return fault_now() ? NULL : __real_reallocarray(p, n, size);
}

void *__wrap_aligned_alloc(size_t align, size_t n)
{
    return fault_now() ? NULL : __real_aligned_alloc(align, n);
}

char *__wrap_strdup(const char *s)
{
    return fault_now() ? NULL : __real_strdup(s);
}

/* Fail the 1st, 2nd, ... allocation of use() in turn, until it has fewer: each must come back as
 * ERR_NOMEM with a message. Returns how many it has. */
static inline int fault_each(enum err_code (*use)(struct err *err))
{
    int n = 0;
    for (;; n++) {
        struct err e = { 0 };
        fault_countdown = n;
        enum err_code rc = use(&e);
        fault_countdown = -1;
        if (rc == ERR_NONE)
            break;
        if (!CHECK(rc == ERR_NOMEM && e.code == ERR_NOMEM && e.msg[0]))
            printf("# allocation %d: %s\n", n, e.msg);
    }
    printf("# %d allocations\n", n);
    return n;
}

#endif
