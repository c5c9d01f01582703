#include "library/library.h"

#include <string.h>

#include "library/plan.h"
#include "library/sidecar.h"
#include "library/work.h"
#include "sys/clock.h"
#include "sys/cpu.h"

/* The walk and what it removes are one transaction: a run that is cut short in it changed nothing.
 */
static enum err_code plan_and_note(struct plan *plan, const struct library_index_options *o,
                                   struct store *s, const struct store_space *space,
                                   const char *const *paths, size_t n_paths,
                                   struct library_report *report, struct err *err)
{
    enum err_code rc = store_begin(s, err);
    if (rc == ERR_NONE)
        rc = plan_make(plan, o, s, space, paths, n_paths, report, err);
    int64_t now = clock_wall_ns();
    for (size_t i = 0; i < plan->n_gone && rc == ERR_NONE; i++)
        rc = store_file_gone(s, plan->gone[i], now, err);
    return store_end(s, rc, err);
}

static double seconds_since(int64_t ns)
{
    return clock_ms_since(ns) / 1000;
}

static enum err_code run(const struct library_index_options *o, struct store *s,
                         struct store_space *space, const char *const *paths, size_t n_paths,
                         struct library_report *report, struct err *err)
{
    struct plan plan = { 0 };
    int64_t t = clock_mono_ns();
    enum err_code rc = plan_and_note(&plan, o, s, space, paths, n_paths, report, err);
    report->scan_s = seconds_since(t);
    t = clock_mono_ns();
    unsigned n = o->n_threads ? o->n_threads : cpu_count();
    if (rc == ERR_NONE && plan.n_jobs)
        rc = work_run(o, s, space, &plan, plan.n_jobs < n ? (unsigned)plan.n_jobs : n, report, err);
    report->work_s = seconds_since(t);
    t = clock_mono_ns();
    report->cancelled = o->cancel && atomic_load(o->cancel);
    if (rc == ERR_NONE && space->id && !report->cancelled)
        rc = sidecar_refresh(s, o->dir, space, err);
    report->sidecar_s = seconds_since(t);
    plan_clear(&plan);
    return rc;
}

/* A space that is not there yet is made once the model is loaded, which knows its dimension. */
static enum err_code find_space(struct store *s, const char *hash_hex, struct store_space *space,
                                struct err *err)
{
    struct err why = { 0 };
    uint8_t hash[HASH_BYTES];
    if (!hash_from_hex(hash_hex, hash))
        return err_set(err, ERR_INTERNAL, "\"%s\" is not the hash of a space", hash_hex);
    enum err_code rc = store_space_find(s, hash, space, &why);
    if (rc == ERR_NOT_FOUND) {
        *space = (struct store_space){ 0 };
        memcpy(space->hash, hash, sizeof hash);
        return ERR_NONE;
    }
    return rc == ERR_NONE ? rc : err_set(err, rc, "%s", why.msg);
}

enum err_code library_index(const struct library_index_options *o, const char *const *paths,
                            size_t n_paths, struct library_report *report, struct err *err)
{
    struct store *s = NULL;
    struct store_space space;
    char hash_hex[HASH_HEX];
    *report = (struct library_report){ 0 };
    /* The model first: without it there is no reason to touch the library. */
    enum err_code rc = predict_space(o->predict, o->model, hash_hex, err);
    if (rc == ERR_NONE)
        rc = store_open(&s, o->dir, STORE_WRITE, err);
    if (rc == ERR_NONE)
        rc = find_space(s, hash_hex, &space, err);
    if (rc == ERR_NONE)
        rc = run(o, s, &space, paths, n_paths, report, err);
    store_close(s);
    return rc;
}
