/* file.h - files read whole, mapped, and replaced so that a crash leaves the old or the new one.
 *
 * Only regular files are ever opened for reading: a FIFO would block, a device could do anything.
 * Errors name the path and what the system said. Any thread. */
#ifndef FOVEA_SYS_FILE_H
#define FOVEA_SYS_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct file_info {
    uint64_t size_bytes, dev, inode;
    int64_t mtime_ns;
};

/* ERR_NOT_FOUND, ERR_IO, ERR_UNSUPPORTED (not a regular file). Follows symbolic links. */
enum err_code file_stat(const char *path, struct file_info *out, struct err *err);
bool file_exists(const char *path); /* of any kind */
bool file_is_folder(const char *path);

/* The content of a regular file, read in place; data is NULL when size is 0. A file that somebody
 * else truncates while it is mapped raises SIGBUS, so map only files of our own (models, sidecars).
 */
struct file_map {
    const void *data;
    size_t size;
};
enum err_code file_map_open(struct file_map *m, const char *path, struct err *err);
void file_map_close(struct file_map *m);

/* The content in one heap block, a NUL after it; the path may be longer than PATH_MAX; *info (may
 * be NULL) is of the opened file. ERR_LIMIT when larger than max_bytes, before anything is
 * allocated; a file that grows or shrinks while it is read is ERR_IO. On failure *data is NULL.
 * Free with free(). */
enum err_code file_read(const char *path, size_t max_bytes, uint8_t **data, size_t *n,
                        struct file_info *info, struct err *err);

/* All n bytes to fd, from its offset on; false where the system says no, and errno is set. */
bool file_write_all(int fd, const void *data, size_t n);

/* Write beside path, sync, rename over it: readers see the old or the new content, never a part. */
enum err_code file_replace(const char *path, const void *data, size_t n, struct err *err);

/* The same for what is written in pieces: a file beside path, at any offsets, that takes its place
 * on commit. Closing without a commit removes it; closing after one is nothing. `.fd = -1` is an
 * empty one; a failed open leaves that. */
struct file_draft {
    int fd;
    bool stays; /* closing without a commit leaves tmp */
    char path[4096], tmp[4096];
};
enum err_code file_draft_open(struct file_draft *d, const char *path, struct err *err);
/* A draft that goes on where an earlier one ended: it is written to the file tmp, of the same file
 * system as path, which stays when it is closed without a commit. *n_there (0 for a new one) bytes
 * are in it. One at a time: the caller holds a lock. */
enum err_code file_draft_resume(struct file_draft *d, const char *path, const char *tmp,
                                uint64_t *n_there, struct err *err);
/* Nothing is in it any more. */
enum err_code file_draft_truncate(struct file_draft *d, struct err *err);
enum err_code file_draft_write(struct file_draft *d, uint64_t at, const void *data, size_t n,
                               struct err *err);
enum err_code file_draft_commit(struct file_draft *d, struct err *err);
void file_draft_close(struct file_draft *d);

/* Is the file or folder on another machine, where locks and shared memory are not what they are
 * here? */
bool file_is_remote(const char *path);

/* Create dir and its parents (0700 for new ones: a library tells where somebody lives). */
enum err_code file_make_dirs(const char *dir, struct err *err);

/* Folder of the running binary, no trailing slash; false where the system does not say. */
bool file_self_dir(char *out, size_t n);

#endif
