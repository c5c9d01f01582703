/* transfer.c - one file from its URL to its path: tries, ranges, size and hash.
 *
 * The part file is named after the hash that the whole is to have, so a part of what the hub no
 * longer has is never gone on with; a file of no known hash begins anew each time. */
#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"
#include "fetch/job.h"
#include "sys/clock.h"
#include "sys/file.h"

enum {
    TRIES_MAX = 5,          /* that bring next to nothing, in a row */
    FIRST_PAUSE_MS = 500,   /* doubled after each */
    RETRY_AFTER_MAX_S = 60, /* a server that wants a longer pause ends it */
    REDIRECTS_MAX = 5,
    ERROR_PAGE_BYTES = 4096,
    LIST_TIMEOUT_MS = 60000,
};
#define WORTH_BYTES ((uint64_t)1 << 20) /* a try that brought so much does not count */

/* A file under way, over its tries. */
struct transfer {
    struct job *job;
    struct fetch_file *file;
    struct file_draft draft;
    struct hash hash;
    uint64_t at; /* bytes in the draft, and in hash */
    bool begun;  /* this try's answer has been looked at */
    bool ours;   /* what failed is here: no try helps */
};

static bool nap(struct job *j, int64_t ms)
{
    for (int64_t until = clock_mono_ns() + ms * 1000000; clock_mono_ns() < until;) {
        if (job_stopped(j))
            return false;
        nanosleep(&(struct timespec){ .tv_nsec = 50 * 1000000L }, NULL);
    }
    return !job_stopped(j);
}

/* Another try? Sleeps before it. */
static bool again(struct job *j, unsigned *n_tries, const struct net_response *r,
                  const struct err *why)
{
    char text[32];
    int64_t pause_s = 0;
    if (++*n_tries >= TRIES_MAX)
        return false;
    if (net_response_header(r, "Retry-After", text, sizeof text) &&
        !str_to_i64(text, 0, RETRY_AFTER_MAX_S, &pause_s))
        return false; /* too long, or a date */
    int64_t pause_ms = (int64_t)FIRST_PAUSE_MS << (*n_tries - 1);
    pause_ms = pause_s * 1000 > pause_ms ? pause_s * 1000 : pause_ms;
    log_write(LOG_INFO, "%s; trying again in %.1f s", why->msg, (double)pause_ms / 1000);
    return nap(j, pause_ms);
}

static bool may_pass(unsigned status)
{
    return status == 408 || status == 416 || status == 429 || status / 100 == 5;
}

static enum err_code refused(const struct fetch *f, const char *url, unsigned status,
                             struct err *err)
{
    const struct net_shown u = net_shown(url);
    if (status == 401 || status == 403)
        return err_set(err, ERR_IO, "%s: status %u: %s", u.text, status,
                       f->o.token ? "HF_TOKEN is not accepted" : "it wants a token: set HF_TOKEN");
    if (status == 404)
        return err_set(err, ERR_NOT_FOUND, "%s: there is no such file (status 404)", u.text);
    return err_set(err, ERR_IO, "%s: status %u%s", u.text, status,
                   status == 429 ? ": too many requests, try later" : "");
}

static struct net_request request_of(const struct fetch *f, const char *url, bool from_hub)
{
    return (struct net_request){ .url = url,
                                 .token = from_hub ? f->o.token : NULL,
                                 .n_redirects_max = REDIRECTS_MAX,
                                 .connect_ms = f->o.stall_s * 1000,
                                 .stall_ms = f->o.stall_s * 1000,
                                 .max_bytes_per_s = f->o.max_bytes_per_s,
                                 .cancel = f->o.cancel };
}

/* Tries are counted by the caller, who knows whether one was in vain. */
static bool try_again(struct job *j, enum err_code rc, const struct net_response *r,
                      const struct err *why, unsigned *n_tries)
{
    bool network = rc == ERR_IO || rc == ERR_LIMIT;
    return network && (r->status / 100 == 2 || r->status == 0 || may_pass(r->status)) &&
           again(j, n_tries, r, why);
}

static enum err_code give_up(enum err_code rc, unsigned n_tries, const struct err *why,
                             struct err *err)
{
    bool network = rc == ERR_LIMIT || rc == ERR_UNSUPPORTED || rc == ERR_INVALID;
    rc = network ? ERR_IO : rc; /* not of the making of whoever asks for the model */
    if (n_tries < TRIES_MAX)
        return err_set(err, rc, "%s", why->msg);
    return err_set(err, rc, "%s (tried %u times)", why->msg, n_tries);
}

enum err_code transfer_list(struct job *j, const char *url, struct buf *out, struct err *err)
{
    struct net_request q = request_of(j->fetch, url, true);
    q.timeout_ms = LIST_TIMEOUT_MS;
    for (unsigned n_tries = 0;;) {
        struct net_response r = { .body.limit = FETCH_LIST_MAX_BYTES };
        struct err why = { 0 };
        enum err_code rc = net_send(j->fetch->net, &q, &r, &why);
        bool too_long = rc == ERR_LIMIT && r.body.len > FETCH_LIST_MAX_BYTES / 2;
        if (rc == ERR_NONE && r.status != 200)
            rc = refused(j->fetch, url, r.status, &why);
        if (rc == ERR_NONE)
            *out = r.body, r.body = (struct buf){ 0 };
        bool more = rc != ERR_NONE && !too_long && try_again(j, rc, &r, &why, &n_tries);
        net_response_clear(&r);
        if (rc == ERR_NONE)
            return ERR_NONE;
        if (!more)
            return give_up(rc, n_tries, &why, err);
    }
}

/* The whole length that an answer speaks of; false where it does not. */
static bool whole_length(const struct net_response *r, int64_t *out)
{
    char text[80];
    if (r->status == 200)
        return net_response_header(r, "Content-Length", text, sizeof text) &&
               str_to_i64(text, 0, INT64_MAX, out);
    const char *slash =
        net_response_header(r, "Content-Range", text, sizeof text) ? strchr(text, '/') : NULL;
    return slash && str_to_i64(slash + 1, 0, INT64_MAX, out);
}

static bool range_begins_at(const struct net_response *r, uint64_t at)
{
    char text[80], want[48];
    snprintf(want, sizeof want, "bytes %llu-", (unsigned long long)at);
    return net_response_header(r, "Content-Range", text, sizeof text) && str_starts(text, want);
}

static enum err_code start_over(struct transfer *t, struct err *err)
{
    atomic_fetch_sub(&t->job->n_done_bytes, t->at);
    t->at = 0;
    hash_init(&t->hash);
    enum err_code rc = file_draft_truncate(&t->draft, err);
    t->ours = rc != ERR_NONE;
    return rc;
}

/* Before the first byte of an answer is taken. */
static enum err_code look(struct transfer *t, const struct net_response *r, struct err *err)
{
    const struct fetch_file *f = t->file;
    int64_t whole;
    t->begun = true;
    const bool is_said = whole_length(r, &whole);
    if (is_said && f->has_size && (uint64_t)whole != f->size)
        return err_set(err, ERR_CORRUPT, "%lld bytes, the list says %llu", (long long)whole,
                       (unsigned long long)f->size);
    if (is_said && !f->has_size && (uint64_t)whole > t->at) {
        enum err_code rc = job_check_room(t->job, (uint64_t)whole - t->at, err);
        t->ours = rc != ERR_NONE;
        if (rc != ERR_NONE)
            return rc;
    }
    if (r->status == 206)
        return range_begins_at(r, t->at)
                   ? ERR_NONE
                   : err_set(err, ERR_CORRUPT, "another range than was asked for");
    return t->at ? start_over(t, err) : ERR_NONE; /* the server knows no ranges */
}

static enum err_code take(const struct net_response *r, const void *p, size_t n, void *ctx,
                          struct err *err)
{
    struct transfer *t = ctx;
    uint64_t limit = t->file->has_size ? t->file->size : FETCH_FILE_MAX_BYTES;
    if (job_stopped(t->job))
        return err_set(err, ERR_CANCELLED, "stopped");
    enum err_code rc = t->begun ? ERR_NONE : look(t, r, err);
    if (rc != ERR_NONE)
        return rc;
    if (n > limit - t->at)
        return err_set(err, ERR_CORRUPT, "more than %llu bytes", (unsigned long long)limit);
    rc = file_draft_write(&t->draft, t->at, p, n, err);
    t->ours = rc != ERR_NONE;
    if (rc != ERR_NONE)
        return rc;
    hash_update(&t->hash, p, n);
    t->at += n;
    job_progress(t->job, n);
    return ERR_NONE;
}

/* No such range: all of it is there already, or what is there is not of this file. */
static enum err_code no_more(struct transfer *t, const struct net_response *r, struct err *err)
{
    int64_t whole;
    if (whole_length(r, &whole) && (uint64_t)whole == t->at)
        return ERR_NONE;
    enum err_code rc = start_over(t, err);
    return rc == ERR_NONE
               ? err_set(err, ERR_IO, "%s: the range is refused", net_shown(t->file->url).text)
               : rc;
}

/* One request for what is still missing. */
static enum err_code ask(struct transfer *t, struct net_response *r, struct err *err)
{
    const struct fetch_file *f = t->file;
    struct net_request q = request_of(t->job->fetch, f->url, f->from_hub);
    char range[48];
    const char *const headers[] = { range };
    snprintf(range, sizeof range, "Range: bytes=%llu-", (unsigned long long)t->at);
    q.headers = headers;
    q.n_headers = t->at > 0;
    q.on_body = take;
    q.ctx = t;
    t->begun = t->ours = false;
    enum err_code rc = net_send(t->job->fetch->net, &q, r, err);
    if (rc != ERR_NONE)
        return rc;
    if (r->status == 416 && t->at)
        return no_more(t, r, err);
    if (r->status / 100 != 2)
        return refused(t->job->fetch, f->url, r->status, err);
    if (f->has_size && t->at < f->size)
        return err_set(err, ERR_IO, "%s: ended after %llu of %llu bytes", net_shown(f->url).text,
                       (unsigned long long)t->at, (unsigned long long)f->size);
    return ERR_NONE;
}

static enum err_code bring(struct transfer *t, struct err *err)
{
    unsigned n_tries = 0;
    while (!t->file->has_size || t->at < t->file->size || !t->file->size) {
        struct net_response r = { .body.limit = ERROR_PAGE_BYTES };
        struct err why = { 0 };
        uint64_t before = t->at;
        enum err_code rc = ask(t, &r, &why);
        n_tries = t->at > before + WORTH_BYTES ? 0 : n_tries;
        bool more = rc != ERR_NONE && !t->ours && try_again(t->job, rc, &r, &why, &n_tries);
        net_response_clear(&r);
        if (rc == ERR_NONE)
            return ERR_NONE;
        if (!more)
            return give_up(rc, n_tries, &why, err);
    }
    return ERR_NONE;
}

static enum err_code check_blob(struct transfer *t, struct err *err)
{
    struct file_map m;
    uint8_t blob[HASH_GIT_BYTES];
    enum err_code rc = file_map_open(&m, t->draft.tmp, err);
    if (rc != ERR_NONE)
        return rc;
    hash_git_blob(m.data, m.size, blob);
    file_map_close(&m);
    return memcmp(blob, t->file->blob, sizeof blob)
               ? err_set(err, ERR_CORRUPT, "%s: git's hash differs from the list's",
                         net_shown(t->file->url).text)
               : ERR_NONE;
}

/* What was brought is what the list says. */
static enum err_code check(struct transfer *t, struct err *err)
{
    struct fetch_file *f = t->file;
    struct hash h = t->hash;
    uint8_t digest[HASH_BYTES];
    char is[HASH_HEX], should[HASH_HEX];
    hash_final(&h, digest);
    if (f->has_sha256 && memcmp(digest, f->sha256, sizeof digest)) {
        hash_hex(digest, is);
        hash_hex(f->sha256, should);
        return err_set(err, ERR_CORRUPT, "%s: its SHA-256 is %s, should be %s",
                       net_shown(f->url).text, is, should);
    }
    enum err_code rc = f->has_blob && !f->has_sha256 ? check_blob(t, err) : ERR_NONE;
    if (rc == ERR_NONE)
        memcpy(f->sha256, digest, sizeof digest);
    return rc;
}

static enum err_code hash_what_is_there(struct transfer *t, uint64_t n, struct err *err)
{
    struct file_map m;
    enum err_code rc = n ? file_map_open(&m, t->draft.tmp, err) : ERR_NONE;
    if (rc != ERR_NONE || !n)
        return rc;
    hash_update(&t->hash, m.data, m.size);
    t->at = m.size;
    atomic_fetch_add(&t->job->n_done_bytes, m.size);
    file_map_close(&m);
    return ERR_NONE;
}

static bool is_known(const struct fetch_file *f)
{
    return f->has_sha256 || f->has_blob;
}

static enum err_code part_path(const struct fetch_file *f, char out[MODEL_PATH_MAX],
                               struct err *err)
{
    const char *slash = strrchr(f->path, '/');
    char id[17] = "new";
    for (int i = 0; i < 8 && is_known(f); i++)
        snprintf(id + 2 * i, 3, "%02x", f->has_sha256 ? f->sha256[i] : f->blob[i]);
    if (snprintf(out, MODEL_PATH_MAX, "%.*s/.%s.%s.part", (int)(slash - f->path), f->path,
                 slash + 1, id) >= MODEL_PATH_MAX)
        return err_set(err, ERR_LIMIT, "%.60s...: path too long", f->path);
    return ERR_NONE;
}

uint64_t transfer_n_there(const struct fetch_file *f)
{
    char path[MODEL_PATH_MAX];
    struct file_info info;
    return is_known(f) && part_path(f, path, NULL) == ERR_NONE &&
                   file_stat(path, &info, NULL) == ERR_NONE
               ? info.size_bytes
               : 0;
}

static enum err_code open_part(struct transfer *t, struct err *err)
{
    const struct fetch_file *f = t->file;
    char tmp[MODEL_PATH_MAX];
    uint64_t n_there = 0;
    enum err_code rc = part_path(f, tmp, err);
    if (rc != ERR_NONE)
        return rc;
    char *end = strrchr(tmp, '/');
    *end = '\0';
    rc = file_make_dirs(tmp, err);
    *end = '/';
    if (rc == ERR_NONE)
        rc = file_draft_resume(&t->draft, f->path, tmp, &n_there, err);
    if (rc != ERR_NONE)
        return rc;
    if (!is_known(f) || (f->has_size && n_there > f->size))
        return file_draft_truncate(&t->draft, err);
    return hash_what_is_there(t, n_there, err);
}

/* Brought and found right. What is wrong is fetched once more, from its beginning. */
static enum err_code bring_right(struct transfer *t, struct err *err)
{
    for (int n = 0;; n++) {
        struct err why = { 0 };
        enum err_code rc = bring(t, &why);
        if (rc == ERR_NONE)
            rc = check(t, &why);
        if (rc == ERR_NONE)
            return rc;
        if (rc != ERR_CORRUPT || n)
            return err_set(err, rc, "%s", why.msg);
        log_write(LOG_WARN, "%s; fetching it once more", why.msg);
        rc = start_over(t, err);
        if (rc != ERR_NONE)
            return rc;
    }
}

enum err_code transfer_file(struct job *j, struct fetch_file *file, struct err *err)
{
    struct transfer t = { .job = j, .file = file, .draft.fd = -1 };
    hash_init(&t.hash);
    enum err_code rc = open_part(&t, err);
    if (rc == ERR_NONE)
        rc = bring_right(&t, err);
    if (rc == ERR_NONE)
        rc = file_draft_commit(&t.draft, err);
    t.draft.stays = rc != ERR_CORRUPT; /* nothing to go on with */
    file_draft_close(&t.draft);
    return rc;
}
