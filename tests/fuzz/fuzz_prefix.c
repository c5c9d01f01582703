/* Any bytes as a network that is made to take the beginning of a row. */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "infer/prefix.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
    if (!ok)
        abort();
}

/* What is written is a network still, and takes rows of any length already. */
static void check_written(int fd)
{
    struct err err = { 0 };
    const off_t n = lseek(fd, 0, SEEK_CUR);
    const void *p = n > 0 ? mmap(NULL, (size_t)n, PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;
    check(p != MAP_FAILED);
    check(infer_prefix_write(-1, p, (size_t)n, &err) == ERR_UNSUPPORTED && *err.msg);
    munmap((void *)(uintptr_t)p, (size_t)n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = { 0 };
    const int fd = memfd_create("prefix", MFD_CLOEXEC);
    check(fd >= 0);
    enum err_code rc = infer_prefix_write(fd, data, size, &err);
    check(rc == ERR_NONE || (err.code == rc && *err.msg));
    if (rc == ERR_NONE)
        check_written(fd);
    close(fd);
    return 0;
}
