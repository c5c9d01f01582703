#include "text/vocab.h"

#include <string.h>

/* FNV-1a with a last mix: spellings are a few bytes long, so its byte loop is as good as any. */
static uint32_t hash_of(const char *s, size_t n)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < n; i++)
        h = (h ^ (unsigned char)s[i]) * 0x100000001b3u;
    return (uint32_t)(h ^ h >> 32);
}

enum err_code text_vocab_init(struct text_vocab *v, size_t n_tokens, size_t n_bytes,
                              struct arena *mem, struct err *err)
{
    if (n_tokens > INT32_MAX / 2 || n_bytes > UINT32_MAX)
        return err_set(err, ERR_LIMIT, "vocabulary of %zu tokens, %zu bytes", n_tokens, n_bytes);
    size_t cap = 16;
    while (cap < 2 * n_tokens) /* at most half full: one or two probes */
        cap *= 2;
    *v = (struct text_vocab){ .mask = cap - 1 };
    v->slots = arena_alloc(mem, cap, sizeof *v->slots, err);
    v->bytes = v->slots ? arena_alloc(mem, n_bytes ? n_bytes : 1, 1, err) : NULL;
    if (!v->bytes)
        return ERR_NOMEM;
    for (size_t i = 0; i < cap; i++)
        v->slots[i].id = -1;
    return ERR_NONE;
}

/* The slot that holds s, or the empty one where it would go. */
static struct text_vocab_slot *slot_of(const struct text_vocab *v, const char *s, size_t n,
                                       uint32_t hash)
{
    for (size_t i = hash & v->mask;; i = (i + 1) & v->mask) {
        struct text_vocab_slot *e = &v->slots[i];
        if (e->id < 0 || (e->hash == hash && e->n == n && !memcmp(v->bytes + e->at, s, n)))
            return e;
    }
}

void text_vocab_add(struct text_vocab *v, const char *s, size_t n, int32_t id)
{
    uint32_t hash = hash_of(s, n);
    struct text_vocab_slot *e = slot_of(v, s, n, hash);
    if (e->id < 0) {
        memcpy(v->bytes + v->n_bytes, s, n);
        *e = (struct text_vocab_slot){ .hash = hash, .at = (uint32_t)v->n_bytes, .n = (uint32_t)n };
        v->n_bytes += n;
        v->n++;
        if (n > v->longest)
            v->longest = n;
    }
    e->id = id;
}

enum err_code text_vocab_load(struct text_vocab *v, const struct json *object, struct arena *mem,
                              struct err *err)
{
    if (!json_is_object(object))
        return err_set(err, ERR_CORRUPT, "vocab is not an object");
    size_t n_bytes = 0;
    for (const void *it = json_first(object); it; it = json_next(object, it))
        n_bytes += strlen(json_key(it));
    enum err_code rc = text_vocab_init(v, json_len(object), n_bytes, mem, err);
    if (rc != ERR_NONE)
        return rc;
    for (const void *it = json_first(object); it; it = json_next(object, it)) {
        int64_t id;
        const char *s = json_key(it);
        if (!json_as_i64(json_value(it), &id) || id < 0 || id > INT32_MAX)
            return err_set(err, ERR_CORRUPT, "vocab: the id of \"%s\" is not one", s);
        text_vocab_add(v, s, strlen(s), (int32_t)id);
    }
    return ERR_NONE;
}

int32_t text_vocab_find(const struct text_vocab *v, const char *s, size_t n)
{
    return n > v->longest ? -1 : slot_of(v, s, n, hash_of(s, n))->id;
}
