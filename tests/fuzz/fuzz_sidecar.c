/* Any bytes as a sidecar: opened against the stamp that its own header claims (the worst case: all
 * that a reader could compare agrees), then searched. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "index/index.h"
#include "index/layout.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void search(const struct index_view *view)
{
    static const uint64_t bits[1] = { 0x5555555555555555 };
    static float q[INDEX_DIM_MAX] = { 1, -1 };
    struct index_filter filter = { bits, 64 };
    struct index_hit hits[5];
    size_t n_hits;
    struct index_query query = { q, 1, view->dim, 5, NULL, NULL, NULL, NULL };
    if (index_search(view, 1, &query, hits, &n_hits, NULL) != ERR_NONE || n_hits > 5)
        __builtin_trap();
    query.filter = &filter;
    if (index_search(view, 1, &query, hits, &n_hits, NULL) != ERR_NONE || n_hits > 5)
        __builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct index_stamp stamp = { .n_rows = 3, .dim = 2 };
    if (size >= sizeof(struct layout_header)) {
        struct layout_header h;
        memcpy(&h, data, sizeof h);
        stamp =
            (struct index_stamp){ .generation = h.generation, .n_rows = h.n_rows, .dim = h.dim };
        memcpy(stamp.space, h.space, sizeof stamp.space);
    }
    int fd = memfd_create("sidecar", MFD_CLOEXEC);
    if (fd < 0)
        return 0;
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    struct index_sidecar s;
    if (write(fd, data, size) == (ssize_t)size &&
        index_sidecar_open(&s, path, &stamp, NULL) == ERR_NONE) {
        search(&s.view);
        index_sidecar_close(&s);
    }
    close(fd);
    return 0;
}
