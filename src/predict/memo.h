/* memo.h - what was computed not long ago, kept for who asks the same again: the vectors of texts,
 * and pictures decoded for one task that the next ones bring as well. Both are bounded. Any
 * thread. */
#ifndef FOVEA_PREDICT_MEMO_H
#define FOVEA_PREDICT_MEMO_H

#include <pthread.h>

#include "base/hash.h"
#include "predict/predict.h"

/* 256 vectors of 512 floats are 1.5 MB; a picture is held for a minute at most. */
enum { MEMO_TEXTS = 256, MEMO_TEXT_MAX_BYTES = 32 << 10, MEMO_PICTURES = 16, MEMO_SECONDS = 60 };
#define MEMO_PICTURES_MAX_BYTES ((size_t)64 << 20)

struct memo_text {
    uint8_t key[HASH_BYTES];
    char *answer; /* JSON; NULL: a free place */
    size_t n;
    uint64_t used; /* the tick of the last use */
};

/* px is shared by all who hold it. */
struct memo_picture {
    uint8_t key[HASH_BYTES];
    struct image image;
    int64_t since_ns;
    size_t n_holders; /* the memo itself is one */
};

struct memo {
    pthread_mutex_t lock;
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

/* The decoded picture of these bytes, NULL if it is not known; memo_release() gives it back. */
struct memo_picture *memo_find_picture(struct memo *m, const uint8_t key[HASH_BYTES]);
/* Takes image, keeps it where it is small enough, and lends it out; NULL: out of memory, image is
 * left as it was. */
struct memo_picture *memo_keep_picture(struct memo *m, const uint8_t key[HASH_BYTES],
                                       struct image *image);
void memo_release(struct memo *m, struct memo_picture *p); /* NULL is fine */
/* Let go of what was kept before that time. */
void memo_forget_pictures(struct memo *m, int64_t before_ns);

#endif
