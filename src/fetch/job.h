/* job.h - private to fetch/: a model's files on their way. */
#ifndef FOVEA_FETCH_JOB_H
#define FOVEA_FETCH_JOB_H

#include <pthread.h>

#include "base/arena.h"
#include "base/hash.h"
#include "fetch/failed.h"
#include "net/net.h"

struct fetch {
    struct fetch_options o; /* its strings are ours */
    struct net *net;
    struct failed failed;
};

/* One file. Strings are of the job's arena. */
struct fetch_file {
    const char *name; /* below the model's folder, for messages and the record */
    const char *path; /* where it goes */
    const char *url;  /* of an import: the file to copy */
    bool from_hub;    /* gets the token */
    bool is_there;    /* and right: nothing to do */
    bool has_size, has_sha256, has_blob;
    uint64_t size;
    uint8_t sha256[HASH_BYTES]; /* as it should be; once it is there, as it is */
    uint8_t blob[HASH_GIT_BYTES];
};

/* One model. */
struct job {
    struct fetch *fetch;
    const struct model_row *row;
    /* How a file comes to its path, whole: transfer_file() or import's. Of several threads. */
    enum err_code (*bring)(struct job *j, struct fetch_file *file, struct err *err);
    struct arena arena;
    struct fetch_file *files; /* n_files */
    size_t n_files;
    uint64_t n_bytes; /* to fetch, as far as known */
    atomic_ullong n_done_bytes;
    atomic_bool stop;            /* a file failed, or the caller wants it to end */
    pthread_mutex_t lock;        /* over all below */
    int64_t shown_ns, logged_ns; /* when progress was last told */
    struct err why;              /* of the first file that failed */
};

/* transfer.c: the file comes to its path, whole. */
enum err_code transfer_file(struct job *j, struct fetch_file *file, struct err *err);
/* Bytes of it that an earlier try left. */
uint64_t transfer_n_there(const struct fetch_file *file);
/* The hub's list into a buffer. */
enum err_code transfer_list(struct job *j, const char *url, struct buf *out, struct err *err);

/* job.c */
void job_progress(struct job *j, uint64_t n_bytes); /* that many more */
bool job_stopped(struct job *j);
/* Has the disk of the models n_bytes and some to spare? ERR_IO. */
enum err_code job_check_room(const struct job *j, uint64_t n_bytes, struct err *err);
enum err_code job_run(struct job *j, struct err *err); /* all files, several at once */
/* Left-over parts go; the hashes are recorded. */
enum err_code job_finish(const struct job *j, struct err *err);

/* Waits until no other thread or process changes the models folder. ERR_IO, ERR_CANCELLED. */
enum err_code lock_take(struct fetch *f, int *fd, struct err *err);
void lock_release(int fd);

#endif
