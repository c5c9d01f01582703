/* memo.h - what was computed not long ago, kept for who asks the same again: the vectors of texts,
 * and pictures decoded for one task that the next ones bring as well. Both are bounded. Any
 * thread. */
#ifndef FOVEA_PREDICT_MEMO_H
#define FOVEA_PREDICT_MEMO_H

#include <pthread.h>

#include "base/hash.h"
#include "predict/predict.h"

/* 256 vectors of 512 floats are 1.5 MB; a picture is held for a minute at most. */
enum { MEMO_TEXTS = 256, MEMO_TEXT_MAX_BYTES = 32 << 10, MEMO_PICTURES = 16 };
#define MEMO_NS (INT64_C(60) * 1000000000)
#define MEMO_PICTURES_MAX_BYTES ((size_t)32 << 20) /* four of Immich's previews */

struct memo_text {
    uint8_t key[HASH_BYTES];
    char *answer; /* JSON; NULL: a free place */
    size_t n;
    uint64_t used; /* the tick of the last use */
};

/* A picture that one thread decodes and all who ask for it share. Once it is settled nothing
 * of it changes but n_holders. */
struct memo_picture {
    uint8_t key[HASH_BYTES];
    struct image image;
    enum err_code code; /* why there is no image */
    struct err err;
    bool is_settled;
    int64_t since_ns;
    size_t n_holders; /* the memo itself is one */
};

struct memo {
    pthread_mutex_t lock;
    pthread_cond_t settled;
    uint64_t tick;
    struct memo_text texts[MEMO_TEXTS];
    struct memo_picture *pictures[MEMO_PICTURES]; /* NULL: a free place */
};

void memo_init(struct memo *m);
void memo_clear(struct memo *m);

/* Appends the answer and says true, if it is known. */
bool memo_find_text(struct memo *m, const uint8_t key[HASH_BYTES], struct buf *out);
/* Keeps a copy of it, in the place of the one not used for longest; it may as well not. */
void memo_keep_text(struct memo *m, const uint8_t key[HASH_BYTES], const char *answer, size_t n);

/* The picture of these bytes; memo_release() gives it back. While another thread decodes it, this
 * one waits. *mine: nobody has, and it is this thread's to decode and to settle, come what may.
 * NULL: out of memory. */
struct memo_picture *memo_find_picture(struct memo *m, const uint8_t key[HASH_BYTES], bool *mine);
/* How decoding p ended: code, with image, which it takes, or err. It is kept for who asks later
 * where there is an image and that is small enough. */
void memo_settle_picture(struct memo *m, struct memo_picture *p, enum err_code code,
                         struct image *image, const struct err *err);
void memo_release(struct memo *m, struct memo_picture *p); /* NULL is fine */
/* Let go of what was kept before that time; true if there was any. */
bool memo_forget_pictures(struct memo *m, int64_t before_ns);

#endif
