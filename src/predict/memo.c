#include "predict/memo.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "sys/clock.h"

void memo_init(struct memo *m)
{
    *m = (struct memo){ 0 };
    pthread_mutex_init(&m->lock, NULL);
    pthread_cond_init(&m->settled, NULL);
}

void memo_clear(struct memo *m)
{
    memo_forget_pictures(m, INT64_MAX);
    for (int i = 0; i < MEMO_TEXTS; i++)
        free(m->texts[i].answer);
    pthread_cond_destroy(&m->settled);
    pthread_mutex_destroy(&m->lock);
}

static bool same(const uint8_t *a, const uint8_t *b)
{
    return !memcmp(a, b, HASH_BYTES);
}

bool memo_find_text(struct memo *m, const uint8_t key[HASH_BYTES], struct buf *out)
{
    bool found = false;
    pthread_mutex_lock(&m->lock);
    for (int i = 0; i < MEMO_TEXTS && !found; i++) {
        struct memo_text *t = &m->texts[i];
        if (!t->answer || !same(t->key, key))
            continue;
        t->used = ++m->tick;
        found = buf_append(out, t->answer, t->n, NULL) == ERR_NONE;
    }
    pthread_mutex_unlock(&m->lock);
    return found;
}

void memo_keep_text(struct memo *m, const uint8_t key[HASH_BYTES], const char *answer, size_t n)
{
    char *copy = n <= MEMO_TEXT_MAX_BYTES ? str_ndup(answer, n) : NULL;
    if (!copy)
        return;
    pthread_mutex_lock(&m->lock);
    struct memo_text *place = &m->texts[0]; /* its own, else the oldest */
    for (int i = 0; i < MEMO_TEXTS; i++) {
        struct memo_text *t = &m->texts[i];
        if (t->answer && same(t->key, key)) {
            place = t;
            break;
        }
        if (t->used < place->used)
            place = t;
    }
    free(place->answer);
    *place = (struct memo_text){ .answer = copy, .n = n, .used = ++m->tick };
    memcpy(place->key, key, HASH_BYTES);
    pthread_mutex_unlock(&m->lock);
}

/* With the lock held. */
static void let_go(struct memo_picture *p)
{
    if (--p->n_holders)
        return;
    image_clear(&p->image);
    free(p);
}

static void drop(struct memo *m, int i)
{
    let_go(m->pictures[i]);
    m->pictures[i] = NULL;
}

static size_t bytes_of(const struct image *im)
{
    return (size_t)3 * im->width_px * im->height_px;
}

/* With the lock held: a free place, the oldest pictures dropped until the rest and n bytes are
 * within the bound. */
static int make_room(struct memo *m, size_t n)
{
    for (;;) {
        int free_place = -1, oldest = -1;
        size_t total = n;
        for (int i = 0; i < MEMO_PICTURES; i++) {
            const struct memo_picture *p = m->pictures[i];
            if (!p) {
                free_place = i;
                continue;
            }
            total += bytes_of(&p->image);
            if (oldest < 0 || p->since_ns < m->pictures[oldest]->since_ns)
                oldest = i;
        }
        if (free_place >= 0 && total <= MEMO_PICTURES_MAX_BYTES)
            return free_place;
        drop(m, oldest);
    }
}

/* With the lock held: a new one, held by the caller and the memo. */
static struct memo_picture *begin(struct memo *m, const uint8_t key[HASH_BYTES])
{
    struct memo_picture *p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    memcpy(p->key, key, HASH_BYTES);
    p->since_ns = clock_mono_ns();
    p->n_holders = 2;
    m->pictures[make_room(m, 0)] = p;
    return p;
}

static int place_of(const struct memo *m, const uint8_t key[HASH_BYTES])
{
    int i = 0;
    while (i < MEMO_PICTURES && !(m->pictures[i] && same(m->pictures[i]->key, key)))
        i++;
    return i;
}

struct memo_picture *memo_find_picture(struct memo *m, const uint8_t key[HASH_BYTES], bool *mine)
{
    pthread_mutex_lock(&m->lock);
    int i = place_of(m, key);
    *mine = i == MEMO_PICTURES;
    struct memo_picture *p = *mine ? begin(m, key) : m->pictures[i];
    if (!*mine) {
        p->n_holders++;
        while (!p->is_settled)
            pthread_cond_wait(&m->settled, &m->lock);
    }
    pthread_mutex_unlock(&m->lock);
    return p;
}

/* It leaves its place and, where it is to be kept, takes one for which there is room; it may have
 * lost its own to others meanwhile. */
void memo_settle_picture(struct memo *m, struct memo_picture *p, enum err_code code,
                         struct image *image, const struct err *err)
{
    pthread_mutex_lock(&m->lock);
    p->code = code;
    if (code == ERR_NONE)
        p->image = *image;
    else
        p->err = *err;
    size_t n = bytes_of(&p->image);
    for (int i = 0; i < MEMO_PICTURES; i++)
        if (m->pictures[i] == p)
            drop(m, i);
    if (code == ERR_NONE && n <= MEMO_PICTURES_MAX_BYTES) {
        p->since_ns = clock_mono_ns();
        p->n_holders++;
        m->pictures[make_room(m, n)] = p;
    }
    p->is_settled = true;
    pthread_cond_broadcast(&m->settled);
    pthread_mutex_unlock(&m->lock);
}

void memo_release(struct memo *m, struct memo_picture *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&m->lock);
    let_go(p);
    pthread_mutex_unlock(&m->lock);
}

bool memo_forget_pictures(struct memo *m, int64_t before_ns)
{
    bool any = false;
    pthread_mutex_lock(&m->lock);
    for (int i = 0; i < MEMO_PICTURES; i++)
        if (m->pictures[i] && m->pictures[i]->since_ns < before_ns) {
            drop(m, i);
            any = true;
        }
    pthread_mutex_unlock(&m->lock);
    return any;
}
