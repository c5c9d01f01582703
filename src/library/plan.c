#include "library/plan.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "library/photo.h"
#include "library/roots.h"
#include "library/scan.h"
#include "sys/clock.h"

enum { REPORT_EVERY = 512 };

/* What the store knows of a root's files, in byte order of path. */
struct known {
    int64_t id, size_bytes, mtime_ns, photo_id;
    const char *path, *error;
    size_t path_len;
    bool retry, gone, seen;
};

struct part {
    struct plan *plan;
    const struct library_index_options *o;
    struct library_report *report;
    struct store *store;
    struct roots *roots;
    struct root *root; /* and the folder of it to walk */
    const char *below;
    const struct stat *library; /* its own folder, which holds no photo */
    int64_t started_ns, next_report_ns;
    struct known *known;
    size_t n_known, cap_known;
    const char **blind; /* folders of which nothing is known now */
    size_t n_blind, cap_blind;
    uint64_t n_found;
    const uint64_t *embedded; /* bitmap by photo id: has a vector in the space */
    size_t n_embedded_bits;
    const char *fault; /* why the folder to walk could not itself be read */
};

static enum err_code room(void **items, size_t n, size_t *cap, size_t size, struct err *err)
{
    if (n < *cap)
        return ERR_NONE;
    size_t more = *cap ? *cap * 2 : 64;
    void *p = reallocarray(*items, more, size);
    if (!p)
        return err_set(err, ERR_NOMEM, "list of %zu", more);
    *items = p;
    *cap = more;
    return ERR_NONE;
}

static const char *keep(struct part *p, const char *s, size_t n, struct err *err)
{
    return arena_strndup(&p->plan->mem, s, n, err);
}

static enum err_code note_known(const struct store_file *f, void *ctx, struct err *err)
{
    struct part *p = ctx;
    enum err_code rc = room((void **)&p->known, p->n_known, &p->cap_known, sizeof *p->known, err);
    if (rc != ERR_NONE)
        return rc;
    struct known k = { .id = f->id,
                       .size_bytes = f->size_bytes,
                       .mtime_ns = f->mtime_ns,
                       .photo_id = f->photo_id,
                       .path = keep(p, f->path, f->path_len, err),
                       .path_len = f->path_len,
                       .retry = f->retry,
                       .gone = f->gone_ns != 0 };
    if (f->error)
        k.error = keep(p, f->error, strlen(f->error), err);
    if (!k.path || (f->error && !k.error))
        return ERR_NOMEM;
    p->known[p->n_known++] = k;
    return ERR_NONE;
}

static int by_path(const void *a, const void *b)
{
    const struct known *x = a, *y = b;
    size_t n = x->path_len < y->path_len ? x->path_len : y->path_len;
    int c = memcmp(x->path, y->path, n);
    return c ? c : (x->path_len > y->path_len) - (x->path_len < y->path_len);
}

static bool embedded(const struct part *p, int64_t photo_id)
{
    size_t i = (size_t)photo_id;
    return i < p->n_embedded_bits && (p->embedded[i / 64] >> i % 64 & 1);
}

static void tell_failure(const struct part *p, const char *path, const char *why)
{
    char *full = p->o->on_failure ? str_path(p->root->path, path) : NULL;
    if (full)
        p->o->on_failure(full, why, p->o->ctx);
    free(full);
}

static void tell_progress(struct part *p)
{
    int64_t now = clock_mono_ns();
    if (!p->o->on_progress || p->n_found % REPORT_EVERY || now < p->next_report_ns)
        return;
    p->next_report_ns = now + 100000000;
    struct library_progress pr = { .scanning = true,
                                   .n_total = p->n_found,
                                   .elapsed_s = (double)(now - p->started_ns) / 1e9 };
    p->o->on_progress(&pr, p->o->ctx);
}

static enum err_code on_file(const struct scan_file *f, void *ctx, struct err *err)
{
    struct part *p = ctx;
    p->n_found++;
    tell_progress(p);
    struct known key = { .path = f->path, .path_len = f->path_len };
    struct known *k =
        p->n_known ? bsearch(&key, p->known, p->n_known, sizeof *p->known, by_path) : NULL;
    if (k)
        k->seen = true;
    bool same = k && !k->gone && k->size_bytes == f->size_bytes && k->mtime_ns == f->mtime_ns;
    if (same && k->photo_id && embedded(p, k->photo_id)) {
        p->report->n_unchanged++;
        return ERR_NONE;
    }
    if (same && k->error &&
        !k->retry) { /* a photo that cannot be read is read again once it changes */
        p->report->n_failed_before++;
        tell_failure(p, k->path, k->error);
        return ERR_NONE;
    }
    struct plan *plan = p->plan;
    enum err_code rc =
        room((void **)&plan->jobs, plan->n_jobs, &plan->cap_jobs, sizeof *plan->jobs, err);
    if (rc == ERR_NONE)
        rc = roots_join(p->root, p->store, err);
    if (rc != ERR_NONE)
        return rc;
    struct job j = { .root_id = p->root->id,
                     .root = p->root->path,
                     .path = keep(p, f->path, f->path_len, err),
                     .path_len = f->path_len,
                     .size_bytes = f->size_bytes,
                     .mtime_ns = f->mtime_ns,
                     .known = k && !k->gone && k->photo_id };
    if (!j.path)
        return ERR_NOMEM;
    plan->jobs[plan->n_jobs++] = j;
    return ERR_NONE;
}

static enum err_code on_folder(const char *path, const struct stat *st, bool mounted, bool *enter,
                               void *ctx, struct err *err)
{
    struct part *p = ctx;
    if (p->library && st->st_dev == p->library->st_dev && st->st_ino == p->library->st_ino) {
        *enter = false;
        return ERR_NONE;
    }
    char *full = str_path(p->root->path, path);
    if (!full)
        return err_set(err, ERR_NOMEM, "path of a folder");
    bool root = roots_has(p->roots, full);
    *enter = !mounted && !root;
    enum err_code rc = mounted && !root ? roots_add_mounted(p->roots, full, err) : ERR_NONE;
    free(full);
    return rc;
}

static enum err_code on_blind(const char *path, const char *why, void *ctx, struct err *err)
{
    struct part *p = ctx;
    const char *at = keep(p, path, strlen(path), err), *reason = keep(p, why, strlen(why), err);
    enum err_code rc = room((void **)&p->blind, p->n_blind, &p->cap_blind, sizeof *p->blind, err);
    if (!at || !reason || rc != ERR_NONE)
        return rc != ERR_NONE ? rc : ERR_NOMEM;
    p->blind[p->n_blind++] = at;
    if (!strcmp(path, p->below)) {
        p->fault = reason;
    } else {
        p->report->n_offline++;
        tell_failure(p, path, why);
    }
    return ERR_NONE;
}

static bool nothing_known_of(const struct part *p, const char *path)
{
    for (size_t i = 0; i < p->n_blind; i++)
        if (roots_below(path, p->blind[i]))
            return true;
    return false;
}

static enum err_code note_gone(struct part *p, struct err *err)
{
    struct plan *plan = p->plan;
    for (size_t i = 0; i < p->n_known; i++) {
        const struct known *k = &p->known[i];
        if (k->seen || k->gone || !roots_below(k->path, p->below) || nothing_known_of(p, k->path))
            continue;
        enum err_code rc =
            room((void **)&plan->gone, plan->n_gone, &plan->cap_gone, sizeof *plan->gone, err);
        if (rc != ERR_NONE)
            return rc;
        plan->gone[plan->n_gone++] = k->id;
        p->report->n_removed++;
    }
    return ERR_NONE;
}

static bool any_present(const struct part *p)
{
    for (size_t i = 0; i < p->n_known; i++)
        if (!p->known[i].gone && roots_below(p->known[i].path, p->below))
            return true;
    return false;
}

/* A root that is missing, unreadable or suddenly empty is offline: a disk that is not mounted
 * leaves an empty folder, and nobody deletes all photos on purpose without a trace of another file.
 */
static enum err_code scan_part(struct part *p, struct err *err)
{
    enum err_code rc =
        p->root->id ? store_files(p->store, p->root->id, note_known, p, err) : ERR_NONE;
    if (rc != ERR_NONE)
        return rc;
    uint64_t n_entries = 0;
    struct scan scan = { .root = p->root->path,
                         .part = p->below,
                         .cancel = p->o->cancel,
                         .on_file = on_file,
                         .on_folder = on_folder,
                         .on_blind = on_blind,
                         .ctx = p };
    rc = scan_run(&scan, &n_entries, err);
    if (rc != ERR_NONE || !p->root->id) /* a disk without photos is no root */
        return rc;
    bool whole = !*p->below;
    const char *fault = p->fault;
    if (!fault && n_entries == 0 && any_present(p) && whole)
        fault = "empty";
    if (fault) {
        p->report->n_offline++;
        tell_failure(p, p->below,
                     strcmp(fault, "empty") != 0 ? fault
                                                 : "offline: it had photos and is empty now; "
                                                   "nothing of it was removed");
        /* Of a folder inside it that is not there, nothing follows for the root. */
        return whole ? store_root_mark(p->store, p->root->id, fault, clock_wall_ns(), err)
                     : ERR_NONE;
    }
    if (!(p->o->cancel && atomic_load(p->o->cancel)))
        rc = note_gone(p, err);
    return rc == ERR_NONE ? store_root_mark(p->store, p->root->id, NULL, clock_wall_ns(), err) : rc;
}

/* ---- the whole ---- */

struct bitmap {
    uint64_t *bits;
    size_t n_bits;
};

static enum err_code set_bit(int64_t id, void *ctx, struct err *err)
{
    struct bitmap *b = ctx;
    size_t i = (size_t)id;
    if (id < 0 || id > PHOTO_ID_MAX)
        return err_set(err, ERR_CORRUPT, "photo %lld cannot be", (long long)id);
    if (i >= b->n_bits) {
        size_t words = (i / 64 + 1) * 2;
        uint64_t *bits = reallocarray(b->bits, words, sizeof *bits);
        if (!bits)
            return err_set(err, ERR_NOMEM, "bitmap of %zu photos", i);
        memset(bits + b->n_bits / 64, 0, (words - b->n_bits / 64) * sizeof *bits);
        b->bits = bits;
        b->n_bits = words * 64;
    }
    b->bits[i / 64] |= (uint64_t)1 << i % 64;
    return ERR_NONE;
}

enum err_code plan_make(struct plan *p, const struct library_index_options *o, struct store *s,
                        const struct store_space *space, const char *const *paths, size_t n_paths,
                        struct library_report *report, struct err *err)
{
    *p = (struct plan){ .mem.limit = (size_t)8 << 30 };
    struct roots roots;
    struct bitmap has = { 0 };
    struct stat library;
    enum err_code rc = roots_init(&roots, &p->mem, s, err);
    if (rc == ERR_NONE)
        rc = store_vectors_ids(s, space, set_bit, &has, err);
    for (size_t i = 0; i < n_paths && rc == ERR_NONE; i++)
        rc = roots_add_path(&roots, s, paths[i], err);
    if (!n_paths && rc == ERR_NONE)
        rc = roots_add_all(&roots, err);
    if (rc == ERR_NONE && !roots.first)
        rc = err_set(err, ERR_INVALID,
                     "the library has no folder yet: name one, as in `fovea index ~/Pictures`");
    struct part start = { .plan = p,
                          .o = o,
                          .report = report,
                          .store = s,
                          .roots = &roots,
                          .library = stat(o->dir, &library) ? NULL : &library,
                          .started_ns = clock_mono_ns(),
                          .embedded = has.bits,
                          .n_embedded_bits = has.n_bits };
    for (struct root_part *w = roots.first; w && rc == ERR_NONE; w = w->next) {
        struct part part = start;
        part.root = w->root;
        part.below = w->below;
        rc = scan_part(&part, err);
        report->n_roots += w->root->id != 0;
        free(part.known);
        free(part.blind);
    }
    free(has.bits);
    if (rc != ERR_NONE)
        plan_clear(p);
    return rc;
}

void plan_clear(struct plan *p)
{
    arena_clear(&p->mem);
    free(p->jobs);
    free(p->gone);
    *p = (struct plan){ 0 };
}
