/* ort_heap.c - the memory that networks compute in: one heap for all sessions of an engine.
 *
 * ONNX Runtime's own arena, one a session, grows by powers of two and gives back only what is free
 * from end to end: pictures of many sizes leave it in pieces, and what it then holds depends on
 * their order. Here blocks lie in one range of addresses, each as low as it fits (first-fit in
 * order of address: Knuth 1997, vol. 1, 2.5), and of what is free after a run all pages but the
 * lowest KEEP_MAX_BYTES go back to the system. So what is held between runs is bounded, whatever
 * ran before.
 *
 * 200 pages of text of mixed sizes in three orders, in all: 207 to 211 MB resident after a page
 * where the arenas left 269 to 288, a peak of 394 where it was 552 to 578, in less time. */
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "infer/ort.h"

enum { LARGE_BYTES = 16 << 10, PAGE_BYTES = 4096 };
#define KEEP_MAX_BYTES ((size_t)96 << 20)
/* Of addresses, which cost nothing; what does not fit is from malloc(). */
#define RANGE_MAX_BYTES ((size_t)16 << 30)
#define RANGE_MIN_BYTES ((size_t)1 << 30)

/* Lies before what a caller gets, and is aligned for it. */
struct block {
    _Alignas(64) size_t size; /* with this; 0: from malloc() */
    struct block *next;       /* the free one after it */
};

struct infer_ort_heap {
    OrtAllocator face; /* first: ONNX Runtime calls back with its address */
    const struct infer_ort *ort;
    OrtMemoryInfo *info;
    bool registered;
    void *range;
    size_t n_range;
    pthread_mutex_t lock;
    struct block *free; /* in order of address */
    char *top;          /* from here on no page was touched */
};

static struct infer_ort_heap *heap_of(OrtAllocator *face)
{
    return (struct infer_ort_heap *)(void *)face;
}

static char *end_of(struct block *b)
{
    return (char *)b + b->size;
}

/* What b has beyond size becomes the free block before *at, where that is worth it. */
static void split(struct block *b, size_t size, struct block **at)
{
    if (b->size - size < LARGE_BYTES)
        return;
    struct block *rest = (struct block *)(void *)((char *)b + size);
    *rest = (struct block){ b->size - size, *at };
    *at = rest;
    b->size = size;
}

static struct block *take(struct infer_ort_heap *h, size_t size)
{
    struct block **at = &h->free, *b;
    while ((b = *at) && b->size < size)
        at = &b->next;
    if (!b)
        return NULL;
    *at = b->next;
    split(b, size, at);
    char *touched = end_of(b) + sizeof *b; /* what was split off begins there */
    h->top = h->top > touched ? h->top : touched;
    return b;
}

/* Merged with the free ones that it touches. */
static void put_back(struct infer_ort_heap *h, struct block *b)
{
    struct block **at = &h->free, *before = NULL;
    while (*at && *at < b) {
        before = *at;
        at = &before->next;
    }
    b->next = *at;
    *at = b;
    if (b->next && end_of(b) == (char *)b->next) {
        b->size += b->next->size;
        b->next = b->next->next;
    }
    if (before && end_of(before) == (char *)b) {
        before->size += b->size;
        before->next = b->next;
    }
}

static void *ORT_API_CALL heap_alloc(OrtAllocator *face, size_t n)
{
    struct infer_ort_heap *h = heap_of(face);
    struct block *b = NULL;
    size_t size;
    if (!n || __builtin_add_overflow(n, 2 * sizeof *b - 1, &size))
        return NULL;
    size = size / sizeof *b * sizeof *b;
    if (size >= LARGE_BYTES) {
        pthread_mutex_lock(&h->lock);
        b = take(h, size);
        pthread_mutex_unlock(&h->lock);
    }
    if (!b && (b = aligned_alloc(sizeof *b, size)))
        b->size = 0;
    return b ? b + 1 : NULL;
}

static void ORT_API_CALL heap_free(OrtAllocator *face, void *p)
{
    struct infer_ort_heap *h = heap_of(face);
    struct block *b = p;
    if (!b)
        return;
    b--;
    if (!b->size) {
        free(b);
        return;
    }
    pthread_mutex_lock(&h->lock);
    put_back(h, b);
    pthread_mutex_unlock(&h->lock);
}

static const OrtMemoryInfo *ORT_API_CALL heap_info(const OrtAllocator *face)
{
    return ((const struct infer_ort_heap *)(const void *)face)->info;
}

static char *page_of(char *p)
{
    return p - ((uintptr_t)p & (PAGE_BYTES - 1));
}

/* The pages of b from `from` on, but for those that it shares with what is around it. */
static void give_back(const struct infer_ort_heap *h, struct block *b, char *from)
{
    char *to = page_of(end_of(b) < h->top ? end_of(b) : page_of(h->top) + PAGE_BYTES);
    from = page_of((from > (char *)(b + 1) ? from : (char *)(b + 1)) + PAGE_BYTES - 1);
    if (to > from)
        (void)madvise(from, (size_t)(to - from), MADV_DONTNEED);
}

static void settle(struct infer_ort_heap *h, size_t keep)
{
    pthread_mutex_lock(&h->lock);
    for (struct block *b = h->free; b && (char *)b < h->top; b = b->next) {
        const size_t kept = b->size < keep ? b->size : keep;
        keep -= kept;
        give_back(h, b, (char *)b + kept);
        if (!b->next && end_of(b) >= h->top && kept < b->size)
            h->top = (char *)b + (kept > sizeof *b ? kept : sizeof *b);
    }
    pthread_mutex_unlock(&h->lock);
}

void infer_ort_heap_after_run(struct infer_ort_heap *h)
{
    if (h)
        settle(h, KEEP_MAX_BYTES);
}

void infer_ort_heap_empty(struct infer_ort_heap *h)
{
    if (h)
        settle(h, 0);
}

/* As many addresses as there are to have: the system may limit them. */
static bool map_range(struct infer_ort_heap *h)
{
    for (h->n_range = RANGE_MAX_BYTES; h->n_range >= RANGE_MIN_BYTES; h->n_range /= 2) {
        h->range = mmap(NULL, h->n_range, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (h->range != MAP_FAILED)
            break;
        h->range = NULL;
    }
    if (!h->range)
        return false;
    h->free = h->range;
    *h->free = (struct block){ h->n_range, NULL };
    h->top = (char *)(h->free + 1);
    return true;
}

enum err_code infer_ort_heap_create(struct infer_ort_heap **out, const struct infer_ort *ort,
                                    struct err *err)
{
    const OrtApi *api = ort->api;
    *out = NULL;
    struct infer_ort_heap *h = calloc(1, sizeof *h);
    if (!h)
        return err_set(err, ERR_NOMEM, "the networks' memory");
    h->face = (OrtAllocator){
        .version = INFER_ORT_API_VERSION, .Alloc = heap_alloc, .Free = heap_free, .Info = heap_info
    };
    h->ort = ort;
    pthread_mutex_init(&h->lock, NULL);
    enum err_code rc = infer_ort_check(
        ort, api->CreateCpuMemoryInfo(OrtDeviceAllocator, OrtMemTypeDefault, &h->info),
        ERR_INTERNAL, "the networks' memory", err);
    if (rc == ERR_NONE && map_range(h)) {
        OrtStatus *st = api->RegisterAllocator(ort->env, &h->face);
        h->registered = !st;
        if (st)
            api->ReleaseStatus(st);
    }
    if (h->registered)
        *out = h;
    else
        infer_ort_heap_destroy(h);
    return rc;
}

void infer_ort_heap_destroy(struct infer_ort_heap *h)
{
    if (!h)
        return;
    OrtStatus *st = h->registered ? h->ort->api->UnregisterAllocator(h->ort->env, h->info) : NULL;
    if (st)
        h->ort->api->ReleaseStatus(st);
    if (h->info)
        h->ort->api->ReleaseMemoryInfo(h->info);
    if (h->range)
        munmap(h->range, h->n_range);
    pthread_mutex_destroy(&h->lock);
    free(h);
}
