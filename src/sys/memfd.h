/* memfd.h - bytes in anonymous memory behind a descriptor, to be passed to another process.
 *
 * What came from another process is read with memfd_read(), which copies: a mapping of memory that
 * somebody else can shrink is a SIGBUS waiting to happen. The descriptors are the caller's to
 * close. Any thread. */
#ifndef FOVEA_SYS_MEMFD_H
#define FOVEA_SYS_MEMFD_H

#include <stddef.h>

#include "base/err.h"

/* n bytes that nobody can change any more; sealed against writing and resizing. */
enum err_code memfd_of_bytes(int *fd, const char *name, const void *bytes, size_t n,
                             struct err *err);
/* n zero bytes to be written through a mapping; the size is sealed. Pages are taken when touched,
 * so the size may be a bound rather than what is needed. */
enum err_code memfd_of_size(int *fd, const char *name, size_t n, struct err *err);
/* Copy n bytes from its beginning. ERR_IO when it holds fewer. */
enum err_code memfd_read(int fd, void *out, size_t n, struct err *err);
void memfd_close(int *fd); /* -1 is fine and is what is left */

#endif
