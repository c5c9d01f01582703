#include "fetch/fetch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"
#include "fetch/plan.h"
#include "fetch/record.h"
#include "sys/clock.h"
#include "sys/file.h"

static bool copy(const char **s)
{
    const char *from = *s;
    *s = from ? str_ndup(from, strlen(from)) : NULL;
    return *s || !from;
}

/* A slash at the end of an endpoint is none of the path's. */
static void trim(const char *url)
{
    char *s = (char *)(uintptr_t)url;
    for (size_t n = s ? strlen(s) : 0; n && s[n - 1] == '/'; n--)
        s[n - 1] = '\0';
}

enum err_code fetch_create(struct fetch **out, const struct fetch_options *o, struct err *err)
{
    struct fetch *f = calloc(1, sizeof *f);
    if (!f)
        return err_set(err, ERR_NOMEM, "download of models");
    f->o = *o;
    pthread_mutex_init(&f->failed.lock, NULL);
    const char **strings[] = { &f->o.models_dir, &f->o.hub_url, &f->o.ocr_url, &f->o.token,
                               &f->o.ca_file };
    bool copied = true;
    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++)
        copied &= copy(strings[i]);
    trim(f->o.hub_url);
    trim(f->o.ocr_url);
    enum err_code rc = copied ? net_create(&f->net, f->o.ca_file, err)
                              : err_set(err, ERR_NOMEM, "download of models");
    if (rc == ERR_NONE)
        *out = f;
    else
        fetch_destroy(f);
    return rc;
}

static void drop(const char *s)
{
    free((void *)(uintptr_t)s);
}

void fetch_destroy(struct fetch *f)
{
    if (!f)
        return;
    net_destroy(f->net);
    pthread_mutex_destroy(&f->failed.lock);
    drop(f->o.models_dir);
    drop(f->o.hub_url);
    drop(f->o.ocr_url);
    drop(f->o.token);
    drop(f->o.ca_file);
    free(f);
}

static enum err_code look_for(const char *name, const uint8_t sha256[HASH_BYTES], void *ctx,
                              struct err *err)
{
    char path[MODEL_PATH_MAX];
    (void)sha256;
    if (snprintf(path, sizeof path, "%s/%s", (const char *)ctx, name) < (int)sizeof path &&
        file_exists(path))
        return ERR_NONE;
    return err_set(err, ERR_NOT_FOUND, "%s", name);
}

/* The files that the type cannot do without, and what the record names besides: weights that lie
 * beside a large network. */
bool fetch_is_there(const struct fetch *f, const struct model_row *row, enum model_type type)
{
    struct model_file need[MODEL_FILES_MAX];
    char path[MODEL_PATH_MAX];
    size_t n = model_files(row, type, need);
    for (size_t i = 0; i < n; i++)
        if (plan_path(f, row->task, need[i].folder, need[i].path, path, NULL) != ERR_NONE ||
            !file_exists(path))
            return false;
    return plan_path(f, row->task, row->name, "", path, NULL) == ERR_NONE &&
           record_read(path, look_for, path, NULL) != ERR_NOT_FOUND;
}

enum { MISSING_BYTES = 320 };

static void each_missing(const struct fetch *f, const struct model_row *row, enum model_type type,
                         void (*fn)(const struct model_file *m, const char *path, void *ctx),
                         void *ctx)
{
    struct model_file need[MODEL_FILES_MAX];
    char path[MODEL_PATH_MAX];
    size_t n = model_files(row, type, need);
    for (size_t i = 0; i < n; i++)
        if (plan_path(f, row->task, need[i].folder, need[i].path, path, NULL) == ERR_NONE &&
            !file_exists(path))
            fn(&need[i], path, ctx);
}

static void add_name(const struct model_file *m, const char *path, void *ctx)
{
    char *text = ctx;
    size_t len = strlen(text);
    (void)path;
    snprintf(text + len, MISSING_BYTES - len, "%s%s/%s", len ? ", " : "", m->folder, m->path);
}

static enum err_code offline(const struct fetch *f, const struct model_row *row,
                             enum model_type type, struct err *err)
{
    char missing[MISSING_BYTES] = "";
    each_missing(f, row, type, add_name, missing);
    return err_set(err, ERR_NOT_FOUND,
                   "model \"%s\": %s/%s lacks %s, and HF_HUB_OFFLINE forbids to fetch it; `fovea "
                   "models pull %s` says how to get it by hand",
                   row->name, f->o.models_dir, model_task_name(row->task), missing, row->name);
}

static enum err_code bring_now(struct fetch *f, const struct model_row *row, enum model_type type,
                               struct err *err)
{
    struct job j = {
        .fetch = f, .row = row, .bring = transfer_file, .lock = PTHREAD_MUTEX_INITIALIZER
    };
    enum err_code rc =
        row->task == MODEL_OCR ? plan_pinned(&j, type, err) : plan_hub(&j, type, err);
    if (rc == ERR_NONE) {
        plan_keep_right(&j);
        rc = job_run(&j, err);
    }
    if (rc == ERR_NONE)
        rc = job_finish(&j, err);
    arena_clear(&j.arena);
    return rc;
}

/* With the lock held, and not offline. */
static enum err_code bring(struct fetch *f, const struct model_row *row, enum model_type type,
                           struct err *err)
{
    struct err why = { 0 };
    enum err_code rc = bring_now(f, row, type, &why);
    if (rc == ERR_NONE)
        return rc;
    if (rc != ERR_CANCELLED && rc != ERR_NOMEM)
        failed_note(&f->failed, row, clock_mono_ns(), &why);
    return err_set(err, rc, "%s", why.msg);
}

enum err_code fetch_type(struct fetch *f, const struct model_row *row, enum model_type type,
                         struct err *err)
{
    int lock;
    if (fetch_is_there(f, row, type))
        return ERR_NONE;
    if (f->o.offline)
        return offline(f, row, type, err);
    enum err_code rc = failed_recall(&f->failed, row, clock_mono_ns(), err);
    if (rc == ERR_NONE)
        rc = lock_take(f, &lock, err);
    if (rc != ERR_NONE)
        return rc;
    if (!fetch_is_there(f, row, type)) { /* else another fetched it, or failed to */
        rc = failed_recall(&f->failed, row, clock_mono_ns(), err);
        if (rc == ERR_NONE)
            rc = bring(f, row, type, err);
    }
    lock_release(lock);
    return rc;
}

enum err_code fetch_model(struct fetch *f, const struct model_row *row, struct err *err)
{
    enum err_code rc = fetch_type(f, row, model_types(row->task)[0], err);
    return rc == ERR_NONE ? fetch_type(f, row, model_types(row->task)[1], err) : rc;
}

static void drop_damaged(const struct fetch_checked *is, void *ctx)
{
    size_t *n_bad = ctx;
    if (is->state == FETCH_WHOLE)
        return;
    ++*n_bad;
    if (is->state == FETCH_DAMAGED && !unlink(is->path))
        log_write(LOG_WARN, "%s is not what was fetched; fetching it again", is->path);
}

enum err_code fetch_repair(struct fetch *f, const struct model_row *row, enum model_type type,
                           struct err *err)
{
    int lock;
    size_t n_bad = 0;
    struct model_folder m;
    if (f->o.offline) /* what cannot be fetched again is not dropped */
        return ERR_NONE;
    enum err_code rc = model_place(f->o.models_dir, row->task, row->name, &m, err);
    if (rc == ERR_NONE)
        rc = lock_take(f, &lock, err);
    if (rc != ERR_NONE)
        return rc;
    rc = fetch_check(f, &m, drop_damaged, &n_bad, err);
    if (rc == ERR_NONE && n_bad)
        rc = bring(f, row, type, err);
    lock_release(lock);
    return rc;
}

struct listed {
    const struct fetch *fetch;
    const struct model_row *row;
    struct model_file told[MODEL_FILES_MAX]; /* n_told: what the type before needs */
    size_t n_told;
    fetch_missing_fn fn;
    void *ctx;
};

/* config.json is of both types. */
static void list_one(const struct model_file *m, const char *path, void *ctx)
{
    const struct listed *l = ctx;
    char url[1024];
    for (size_t i = 0; i < l->n_told; i++)
        if (!strcmp(l->told[i].path, m->path))
            return;
    plan_url(l->fetch, l->row, m, url, sizeof url);
    l->fn(path, url, l->ctx);
}

void fetch_list_missing(const struct fetch *f, const struct model_row *row, fetch_missing_fn fn,
                        void *ctx)
{
    const enum model_type *types = model_types(row->task);
    struct listed l = { .fetch = f, .row = row, .fn = fn, .ctx = ctx };
    each_missing(f, row, types[0], list_one, &l);
    l.n_told = model_files(row, types[0], l.told);
    each_missing(f, row, types[1], list_one, &l);
}
