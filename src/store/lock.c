/* lock.c - one writer a library, and who it is. flock() goes with the process, however it ends, so
 * a killed run leaves no lock behind; the text in the file is only for the message. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/str.h"
#include "store/db.h"

static enum err_code busy(int fd, const char *dir, struct err *err)
{
    char owner[128];
    ssize_t n = pread(fd, owner, sizeof owner - 1, 0);
    owner[n > 0 ? n : 0] = '\0';
    owner[strcspn(owner, "\n")] = '\0';
    return err_set(err, ERR_BUSY, "library %s is being written by %s; try again when it is done",
                   dir, *owner ? owner : "another process");
}

static enum err_code no_locks(const char *dir, struct err *err)
{
    return err_set(err, ERR_IO,
                   "library %s: its disk gives no locks, which programs that run at once need; "
                   "mount it with locks, or keep the library on another disk (--library)",
                   dir);
}

/* The database itself must not be opened here: closing it would end SQLite's locks on it. */
enum err_code store_lock_probe(const char *dir, struct err *err)
{
    char *path = str_format("%s/library.lock", dir);
    struct flock byte = { .l_type = F_RDLCK, .l_whence = SEEK_SET, .l_len = 1 };
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK) : -1;
    bool none = fd >= 0 && fcntl(fd, F_OFD_SETLK, &byte) && errno == ENOLCK;
    if (fd >= 0)
        close(fd);
    free(path);
    return none ? no_locks(dir, err) : ERR_NONE;
}

enum err_code store_lock_take(const char *dir, int *fd, struct err *err)
{
    char *path = str_format("%s/library.lock", dir);
    if (!path)
        return err_set(err, ERR_NOMEM, "library %s", dir);
    enum err_code rc = ERR_NONE;
    *fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (*fd < 0)
        rc = err_set(err, ERR_IO, "%s: cannot open: %s", path, strerror(errno));
    else if (flock(*fd, LOCK_EX | LOCK_NB))
        rc = errno == EWOULDBLOCK ? busy(*fd, dir, err)
             : errno == ENOLCK    ? no_locks(dir, err)
                               : err_set(err, ERR_IO, "%s: cannot lock: %s", path, strerror(errno));
    if (rc == ERR_NONE) {
        char host[64] = "", line[128];
        gethostname(host, sizeof host - 1);
        int n = snprintf(line, sizeof line, "process %ld on %s\n", (long)getpid(), host);
        /* A disk that is full must not keep anybody from reading, so this may fail. Cut to length
         * after it is written, so that whoever reads it finds a name at any moment. */
        if (pwrite(*fd, line, (size_t)n, 0) != n || ftruncate(*fd, n))
            errno = 0;
    } else if (*fd >= 0) {
        close(*fd);
        *fd = -1;
    }
    free(path);
    return rc;
}
