/* vocab.h - token spelling to id: an open-addressing table, sized once, in its owner's arena.
 *
 * Looking up is the inner loop of every model, so a slot holds all that a miss needs (hash and
 * length) in 16 bytes, and no spelling longer than the longest is looked for at all. */
#ifndef FOVEA_TEXT_VOCAB_H
#define FOVEA_TEXT_VOCAB_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/json.h"

struct text_vocab_slot {
    uint32_t hash, at, n; /* spelling: bytes[at .. at + n) */
    int32_t id;           /* -1: empty */
};

struct text_vocab {
    struct text_vocab_slot *slots; /* [mask + 1] */
    char *bytes;
    size_t mask, n, n_bytes, longest; /* longest spelling in bytes */
};

/* Room for n_tokens of n_bytes together. */
enum err_code text_vocab_init(struct text_vocab *v, size_t n_tokens, size_t n_bytes,
                              struct arena *mem, struct err *err);
/* A spelling that is there already gets the new id. Only within the room of text_vocab_init(). */
void text_vocab_add(struct text_vocab *v, const char *s, size_t n, int32_t id);
/* From {"spelling": id, ...}. ERR_CORRUPT. */
enum err_code text_vocab_load(struct text_vocab *v, const struct json *object, struct arena *mem,
                              struct err *err);

int32_t text_vocab_find(const struct text_vocab *v, const char *s, size_t n); /* -1: none */

#endif
