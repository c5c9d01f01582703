/* process.h - a child of ours that gets messages and file descriptors over a socket.
 *
 * The child's standard input is one end of a SOCK_SEQPACKET pair: whole messages or none, and its
 * end of file is how either side learns that the other is gone. Nothing else of ours reaches it:
 * the environment is what the caller says, signals are reset, descriptors are close-on-exec.
 *
 * Bytes travel beside a message as a memfd (memfd.h). Any thread; one process struct is for one
 * thread at a time. */
#ifndef FOVEA_SYS_PROCESS_H
#define FOVEA_SYS_PROCESS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

#define PROCESS_FDS_MAX 4

/* `{ .fd = -1 }` is a valid empty one. */
struct process {
    pid_t pid; /* 0: none */
    int fd;    /* our end of the socket, or -1 */
};

/* Start the program at path (no search) with this argument (NULL: none) and environment (NULL:
 * ours). ERR_NOT_FOUND, ERR_IO. */
enum err_code process_spawn(struct process *p, const char *path, const char *arg, char *const env[],
                            struct err *err);
/* Close the socket, kill the child if it still runs, reap it; p is empty again. *status (may be
 * NULL) is as of waitpid(), for process_describe(); 0 where there was no child. */
void process_kill(struct process *p, int *status);
/* "killed by signal 11 (Segmentation fault)", "ended with status 1"; returns out. */
char *process_describe(int status, char out[80]);

/* One message with 0 .. PROCESS_FDS_MAX descriptors; they stay the caller's. ERR_IO: the other side
 * is gone. */
enum err_code process_send(int fd, const void *msg, size_t n, const int *fds, size_t n_fds,
                           struct err *err);
/* One message of exactly n bytes with exactly n_fds descriptors, which become the caller's.
 * timeout_ms -1: no bound. ERR_LIMIT: none came in time; ERR_IO: the other side is gone;
 * ERR_INVALID: a message of another shape. */
enum err_code process_recv(int fd, void *msg, size_t n, int *fds, size_t n_fds, int timeout_ms,
                           struct err *err);

#endif
