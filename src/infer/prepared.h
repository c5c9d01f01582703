/* prepared.h - a network kept as ONNX Runtime left it after optimising, so that the next start maps
 * it instead of parsing and optimising again. Private to infer/; the figures are in prepared.c. */
#ifndef FOVEA_INFER_PREPARED_H
#define FOVEA_INFER_PREPARED_H

#include <pthread.h>

#include "base/err.h"
#include "base/hash.h"
#include "infer/infer.h"
#include "sys/file.h"

enum { INFER_PREPARED_PATH_MAX = 4096, INFER_PREPARED_SEEN_MAX = 64 };

/* Where the prepared form of the network at path is kept, and the key that it must carry: a hash of
 * identity, the forms it may take, the library's version and what this CPU can do. */
struct infer_prepared {
    char file[INFER_PREPARED_PATH_MAX];
    uint8_t key[HASH_BYTES];
};
enum err_code infer_prepared_name(struct infer_prepared *p, const char *cache_dir,
                                  const struct infer_network *network, const char *version,
                                  struct err *err);

/* Files that an engine found whole, by what of them changes when they do. */
struct infer_prepared_seen {
    pthread_mutex_t lock;
    size_t n; /* ever added; the last INFER_PREPARED_SEEN_MAX are kept */
    uint8_t prints[INFER_PREPARED_SEEN_MAX][HASH_BYTES];
};

/* The network's bytes, mapped: *n of them from map->data. False if there is no such file or it is
 * not exactly what infer_prepared_keep() wrote under this key: every byte is checked, once for each
 * file that is in seen, since it takes an eighth of the time that a large network is loaded in. */
bool infer_prepared_open(const struct infer_prepared *p, struct infer_prepared_seen *seen,
                         struct file_map *map, size_t *n);

/* A file beside p->file to write to by its path; the lock on fd says whose it is, and goes with the
 * process. What one that was killed left in it is to be written over. */
struct infer_prepared_part {
    int fd;
    char path[INFER_PREPARED_PATH_MAX];
};
/* False if another process is at it, or the folder cannot be written or locked. Then either keep or
 * drop it. */
bool infer_prepared_claim(const struct infer_prepared *p, struct infer_prepared_part *part);
/* The part is not to be used any more, however it ends. Also removes what has lain in the folder
 * unused for a month. */
enum err_code infer_prepared_keep(const struct infer_prepared *p, struct infer_prepared_part *part,
                                  struct err *err);
void infer_prepared_drop(struct infer_prepared_part *part);

#endif
