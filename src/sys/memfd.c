#include "sys/memfd.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sys/file.h"

enum err_code memfd_of_size(int *fd, const char *name, size_t n, struct err *err)
{
    *fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (*fd < 0 || ftruncate(*fd, (off_t)n) ||
        fcntl(*fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW)) {
        int e = errno;
        memfd_close(fd);
        return err_set(err, e == ENOMEM ? ERR_NOMEM : ERR_IO, "%s: no memory file of %zu bytes: %s",
                       name, n, strerror(e));
    }
    return ERR_NONE;
}

enum err_code memfd_of_bytes(int *fd, const char *name, const void *bytes, size_t n,
                             struct err *err)
{
    enum err_code rc = memfd_of_size(fd, name, n, err);
    if (rc != ERR_NONE)
        return rc;
    if (!file_write_all(*fd, bytes, n)) {
        rc = err_set(err, ERR_IO, "%s: cannot fill %zu bytes: %s", name, n, strerror(errno));
        memfd_close(fd);
        return rc;
    }
    fcntl(*fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SEAL);
    return ERR_NONE;
}

enum err_code memfd_read(int fd, void *out, size_t n, struct err *err)
{
    for (size_t done = 0; done < n;) {
        ssize_t k = pread(fd, (char *)out + done, n - done, (off_t)done);
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            return err_set(err, ERR_IO, "%zu of %zu bytes: %s", done, n,
                           k < 0 ? strerror(errno) : "the memory file ends there");
        done += (size_t)k;
    }
    return ERR_NONE;
}

void memfd_close(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}
