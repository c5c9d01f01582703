#include "image/pixels.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "image/image.h"

#define HUGE_PAGE ((size_t)2 << 20)

/* Bytes of an image in whole huge pages; 0 where small ones do. */
static size_t huge_bytes(size_t n)
{
    if (n < 2 * HUGE_PAGE || n > SIZE_MAX - HUGE_PAGE)
        return 0;
    return (n + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
}

/* A photo of 12 MP is 9,000 small pages, and the kernel's work to map each as it is first touched
 * was 27 of the 95 ms that decoding one took; in huge pages it is 5. */
uint8_t *image_pixels(uint32_t width_px, uint32_t height_px)
{
    size_t n;
    if (__builtin_mul_overflow((size_t)width_px * 3, (size_t)height_px, &n))
        return NULL;
    size_t huge = huge_bytes(n);
    if (!huge)
        return malloc(n);
    uint8_t *px = aligned_alloc(HUGE_PAGE, huge);
    if (px)
        (void)madvise(px, huge, MADV_HUGEPAGE); /* where the system has none, small ones do */
    return px;
}

/* What is free of the heap is lent again, in pieces: one of 20 bytes in a place that stayed marked
 * for huge pages took 2 MB, which a service then held while it was idle. */
void image_pixels_free(uint8_t *px, uint32_t width_px, uint32_t height_px)
{
    size_t huge = huge_bytes((size_t)width_px * 3 * height_px);
    if (px && huge && (uintptr_t)px % HUGE_PAGE == 0)
        (void)madvise(px, huge, MADV_NOHUGEPAGE);
    free(px);
}

void image_clear(struct image *im)
{
    if (!im)
        return;
    image_pixels_free(im->px, im->width_px, im->height_px);
    *im = (struct image){ 0 };
}
