/* lock.c - one at a time changes the models folder. flock() is of the open file, so it holds
 * between threads too, and goes with the process, however that ends. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "fetch/job.h"
#include "sys/file.h"

enum { LOOK_EVERY_MS = 100 };

static enum err_code wait_for(struct fetch *f, int fd, const char *path, struct err *err)
{
    for (bool told = false; flock(fd, LOCK_EX | LOCK_NB); told = true) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return err_set(err, ERR_IO, "%s: cannot lock: %s", path, strerror(errno));
        if (f->o.cancel && atomic_load(f->o.cancel))
            return err_set(err, ERR_CANCELLED, "stopped");
        if (!told)
            log_write(LOG_INFO, "waiting: somebody else changes the models in %s", f->o.models_dir);
        nanosleep(&(struct timespec){ .tv_nsec = LOOK_EVERY_MS * 1000000L }, NULL);
    }
    return ERR_NONE;
}

enum err_code lock_take(struct fetch *f, int *fd, struct err *err)
{
    char path[MODEL_PATH_MAX];
    *fd = -1;
    if (snprintf(path, sizeof path, "%s/.fovea.lock", f->o.models_dir) >= (int)sizeof path)
        return err_set(err, ERR_LIMIT, "%.60s...: path too long", f->o.models_dir);
    enum err_code rc = file_make_dirs(f->o.models_dir, err);
    if (rc != ERR_NONE)
        return rc;
    *fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (*fd < 0)
        return err_set(err, ERR_IO, "%s: cannot open: %s", path, strerror(errno));
    rc = wait_for(f, *fd, path, err);
    if (rc != ERR_NONE) {
        lock_release(*fd);
        *fd = -1;
    }
    return rc;
}

void lock_release(int fd)
{
    if (fd >= 0)
        close(fd);
}
