#include "image/helper.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "image/helper_proto.h"
#include "image/pixels.h"
#include "sys/clock.h"
#include "sys/cpu.h"
#include "sys/memfd.h"
#include "sys/process.h"

#define START_TIMEOUT_MS 20000 /* linking 100 libraries from a cold disk */
#define DECODE_TIMEOUT_MS 60000
#define IDLE_MS 30000
/* Threads of a decoder add up, so processor time may pass faster than the clock. */
#define CPU_S_PER_TIMEOUT_S 8

/* One process and its place; the place stays when the process ends. */
struct helper {
    struct process process; /* whose thread holds it: the one that set is_busy */
    bool is_busy;
    uint32_t n_asked;
    int64_t idle_since_ns;
};

struct image_helper {
    char *path;
    int timeout_ms, idle_ms;
    pthread_mutex_t lock;
    pthread_cond_t changed; /* a helper became idle, or stop */
    bool stop, has_retirer;
    pthread_t retirer;
    unsigned n_helpers;
    struct helper *helpers; /* [n_helpers] */
    atomic_uint_least64_t peak_bytes;
};

static bool runs(const struct helper *w)
{
    return w->process.pid > 0;
}

/* When the first of the idle helpers is due; INT64_MAX: none runs idle. */
static int64_t next_retirement_ns(struct image_helper *h, struct helper **which)
{
    int64_t first = INT64_MAX;
    for (unsigned i = 0; i < h->n_helpers; i++) {
        struct helper *w = &h->helpers[i];
        int64_t due = w->idle_since_ns + h->idle_ms * INT64_C(1000000);
        if (!w->is_busy && runs(w) && due < first) { /* in this order: a busy one is not ours */
            first = due;
            *which = w;
        }
    }
    return first;
}

/* A thread of its own, so that the memory goes back although nobody calls us any more. */
static void *retire(void *arg)
{
    struct image_helper *h = arg;
    pthread_mutex_lock(&h->lock);
    while (!h->stop) {
        struct helper *w = NULL;
        int64_t due = next_retirement_ns(h, &w);
        if (!w) {
            pthread_cond_wait(&h->changed, &h->lock);
        } else if (due <= clock_mono_ns()) {
            process_kill(&w->process, NULL);
        } else {
            struct timespec t = { .tv_sec = due / 1000000000, .tv_nsec = due % 1000000000 };
            pthread_cond_timedwait(&h->changed, &h->lock, &t);
        }
    }
    pthread_mutex_unlock(&h->lock);
    return NULL;
}

enum err_code image_helper_create(struct image_helper **out, const struct image_helper_opts *opts,
                                  struct err *err)
{
    *out = NULL;
    struct image_helper *h = calloc(1, sizeof *h);
    if (!h)
        return err_set(err, ERR_NOMEM, "decode helper");
    h->timeout_ms = opts->timeout_ms ? opts->timeout_ms : DECODE_TIMEOUT_MS;
    h->idle_ms = opts->idle_ms ? opts->idle_ms : IDLE_MS;
    h->n_helpers = opts->n_helpers ? opts->n_helpers : cpu_count();
    h->path = str_format("%s", opts->path);
    h->helpers = calloc(h->n_helpers, sizeof *h->helpers);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&h->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&h->lock, NULL);
    if (!h->path || !h->helpers) {
        image_helper_destroy(h);
        return err_set(err, ERR_NOMEM, "decode helper");
    }
    for (unsigned i = 0; i < h->n_helpers; i++)
        h->helpers[i].process.fd = -1;
    *out = h;
    return ERR_NONE;
}

void image_helper_destroy(struct image_helper *h)
{
    if (!h)
        return;
    pthread_mutex_lock(&h->lock);
    h->stop = true;
    pthread_cond_broadcast(&h->changed);
    pthread_mutex_unlock(&h->lock);
    if (h->has_retirer)
        pthread_join(h->retirer, NULL);
    for (unsigned i = 0; h->helpers && i < h->n_helpers; i++)
        process_kill(&h->helpers[i].process, NULL);
    pthread_mutex_destroy(&h->lock);
    pthread_cond_destroy(&h->changed);
    free(h->helpers);
    free(h->path);
    free(h);
}

/* Prefers one that runs, so that no more are started than are needed at once. */
static struct helper *find_free(struct image_helper *h)
{
    struct helper *found = NULL;
    for (unsigned i = 0; i < h->n_helpers; i++) {
        struct helper *w = &h->helpers[i];
        if (!w->is_busy && (!found || (runs(w) && !runs(found))))
            found = w;
    }
    return found;
}

static struct helper *acquire(struct image_helper *h)
{
    struct helper *w;
    pthread_mutex_lock(&h->lock);
    while (!(w = find_free(h)))
        pthread_cond_wait(&h->changed, &h->lock);
    w->is_busy = true;
    /* Without the thread a helper stays longer than it should, no more. */
    if (!h->has_retirer)
        h->has_retirer = !pthread_create(&h->retirer, NULL, retire, h);
    pthread_mutex_unlock(&h->lock);
    return w;
}

/* Broadcast: the retiring thread waits on the same condition as those who want a helper. */
static void release(struct image_helper *h, struct helper *w)
{
    pthread_mutex_lock(&h->lock);
    w->is_busy = false;
    w->idle_since_ns = clock_mono_ns();
    pthread_cond_broadcast(&h->changed);
    pthread_mutex_unlock(&h->lock);
}

/* One that is idle has nothing to say: what can be read is its end. */
static bool died_idle(const struct helper *w)
{
    struct pollfd p = { .fd = w->process.fd, .events = POLLIN };
    return poll(&p, 1, 0) != 0;
}

/* The environment is empty but for this: the helper gets no secret of ours, and libvips no switch.
 */
static enum err_code start(const struct image_helper *h, struct helper *w, struct err *err)
{
    static char *const env[] = { "LC_ALL=C", "MALLOC_ARENA_MAX=2", NULL };
    struct helper_hello hello = { 0 };
    struct err why = { 0 };
    int status;
    char how[80];
    enum err_code rc = process_spawn(&w->process, h->path, NULL, env, err);
    if (rc != ERR_NONE)
        return rc;
    rc = process_recv(w->process.fd, &hello, sizeof hello, NULL, 0, START_TIMEOUT_MS, &why);
    if (rc == ERR_NONE && hello.magic == HELPER_MAGIC && hello.code == ERR_NONE)
        return ERR_NONE;
    process_kill(&w->process, &status);
    if (rc == ERR_IO)
        return err_set(err, ERR_INTERNAL, "%s: %s as it started", h->path,
                       process_describe(status, how));
    if (rc == ERR_LIMIT)
        return err_set(err, ERR_INTERNAL, "%s: not ready within %d ms", h->path, START_TIMEOUT_MS);
    if (rc == ERR_NONE && hello.magic == HELPER_MAGIC)
        return err_set(err, ERR_INTERNAL, "%s: %.*s", h->path, (int)sizeof hello.msg, hello.msg);
    return err_set(err, ERR_INTERNAL, "%s: is not the decode helper of this version", h->path);
}

/* A dead helper tells nothing; its exit status does. */
static enum err_code explain_silence(const struct image_helper *h, struct helper *w,
                                     const char *format, enum err_code rc, struct err *err)
{
    int status;
    char how[80];
    process_kill(&w->process, &status);
    if (rc == ERR_LIMIT)
        return err_set(err, ERR_LIMIT, "%s: decoding took longer than %d ms", format,
                       h->timeout_ms);
    if (rc == ERR_IO)
        return err_set(err, ERR_INTERNAL, "%s: the decode helper was %s", format,
                       process_describe(status, how));
    return err_set(err, ERR_INTERNAL, "%s: the decode helper does not keep to the protocol",
                   format);
}

static bool is_margin(float a, float b)
{
    return a >= 0 && b >= 0 && a + b < 1; /* false for a NaN */
}

static bool keeps_limits(const struct helper_reply *r, uint64_t max_pixels)
{
    return r->code != ERR_NONE || (r->width_px && r->height_px && r->full_width_px >= r->width_px &&
                                   r->full_height_px >= r->height_px &&
                                   (uint64_t)r->full_width_px * r->full_height_px <= max_pixels &&
                                   is_margin(r->margin.left, r->margin.right) &&
                                   is_margin(r->margin.top, r->margin.bottom));
}

static enum err_code take_pixels(const struct helper_reply *r, int fd, struct image *out,
                                 struct err *err)
{
    size_t n = (size_t)r->width_px * r->height_px * 3; /* within max_pixels * 3 */
    uint8_t *px = image_pixels(r->width_px, r->height_px);
    if (!px)
        return err_set(err, ERR_NOMEM, "image of %u x %u", r->width_px, r->height_px);
    enum err_code rc = memfd_read(fd, px, n, err);
    if (rc != ERR_NONE) {
        image_pixels_free(px, r->width_px, r->height_px);
        return rc;
    }
    *out = (struct image){ .px = px,
                           .width_px = r->width_px,
                           .height_px = r->height_px,
                           .full_width_px = r->full_width_px,
                           .full_height_px = r->full_height_px,
                           .margin = r->margin };
    return ERR_NONE;
}

/* No code of the helper's choosing goes further than the set of those that a decoder has. */
static enum err_code refusal(const char *format, struct helper_reply *r, struct err *err)
{
    r->msg[sizeof r->msg - 1] = '\0';
    switch (r->code) {
    case ERR_INVALID:
    case ERR_NOMEM:
    case ERR_LIMIT:
    case ERR_UNSUPPORTED: return err_set(err, (enum err_code)r->code, "%s: %s", format, r->msg);
    default: return err_set(err, ERR_INTERNAL, "%s: %s", format, r->msg);
    }
}

static enum err_code exchange(const struct image_helper *h, struct helper *w,
                              const struct helper_request *q, const int fds[HELPER_N_FDS],
                              struct image *out, struct err *err)
{
    const char *format = image_format_name((enum image_format)q->format);
    struct helper_reply reply;
    struct err why = { 0 };
    enum err_code rc = process_send(w->process.fd, q, sizeof *q, fds, HELPER_N_FDS, &why);
    if (rc == ERR_NONE)
        rc = process_recv(w->process.fd, &reply, sizeof reply, NULL, 0, h->timeout_ms, &why);
    if (rc != ERR_NONE)
        return explain_silence(h, w, format, rc, err);
    if (reply.number != q->number || !keeps_limits(&reply, q->max_pixels))
        return explain_silence(h, w, format, ERR_INVALID, err);
    if (reply.code != ERR_NONE)
        return refusal(format, &reply, err);
    return take_pixels(&reply, fds[HELPER_FD_OUT], out, err);
}

static void note_peak(struct image_helper *h, uint64_t bytes)
{
    uint64_t most = atomic_load(&h->peak_bytes);
    while (bytes > most && !atomic_compare_exchange_weak(&h->peak_bytes, &most, bytes))
        ;
}

uint64_t image_helper_peak(struct image_helper *h)
{
    return atomic_load(&h->peak_bytes);
}

enum err_code image_helper_decode(struct image_helper *h, enum image_format format,
                                  const uint8_t *bytes, size_t n,
                                  const struct image_decode_opts *opts, struct image *out,
                                  struct err *err)
{
    int fds[HELPER_N_FDS] = { -1, -1 };
    struct helper_request request = {
        .size_bytes = n,
        .max_pixels = opts->max_pixels,
        .format = format,
        .contract = opts->contract,
        .target_side_px = opts->target_side_px,
        .cpu_s = (uint32_t)(h->timeout_ms / 1000 + 1) * CPU_S_PER_TIMEOUT_S,
    };
    struct helper *w = acquire(h);
    request.number = ++w->n_asked;
    if (runs(w) && died_idle(w))
        process_kill(&w->process, NULL);
    enum err_code rc = runs(w) ? ERR_NONE : start(h, w, err);
    if (rc == ERR_NONE)
        rc = memfd_of_bytes(&fds[HELPER_FD_IN], "fovea-photo", bytes, n, err);
    if (rc == ERR_NONE)
        rc = memfd_of_size(&fds[HELPER_FD_OUT], "fovea-pixels", opts->max_pixels * 3, err);
    if (rc == ERR_NONE)
        rc = exchange(h, w, &request, fds, out, err);
    if (runs(w))
        note_peak(h, cpu_peak_rss(w->process.pid));
    for (int i = 0; i < HELPER_N_FDS; i++)
        memfd_close(&fds[i]);
    release(h, w);
    return rc;
}
