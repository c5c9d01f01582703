/* job.c - a job's files, several at once, and how far they are. */
#include "fetch/job.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"
#include "fetch/plan.h"
#include "fetch/record.h"
#include "sys/clock.h"
#include "sys/pool.h"

enum { AT_ONCE = 4, SHOW_EVERY_MS = 200, LOG_EVERY_MS = 10000 };
#define SPARE_BYTES ((uint64_t)16 << 20) /* left free on the disk */

static void log_progress(const struct fetch_progress *p)
{
    char done[16], all[16];
    log_write(LOG_INFO, "fetching %s: %s of %s", p->name, str_bytes(p->n_done_bytes, done),
              p->n_bytes ? str_bytes(p->n_bytes, all) : "what there is");
}

static void show(struct job *j, bool last)
{
    const struct fetch_options *o = &j->fetch->o;
    pthread_mutex_lock(&j->lock);
    int64_t now = clock_mono_ns();
    const struct fetch_progress p = { j->row->name, atomic_load(&j->n_done_bytes), j->n_bytes };
    if (o->on_progress && (last || now - j->shown_ns >= SHOW_EVERY_MS * INT64_C(1000000))) {
        j->shown_ns = now;
        o->on_progress(&p, o->ctx);
    }
    if (!last && now - j->logged_ns >= LOG_EVERY_MS * INT64_C(1000000)) {
        j->logged_ns = now;
        log_progress(&p);
    }
    pthread_mutex_unlock(&j->lock);
}

void job_progress(struct job *j, uint64_t n_bytes)
{
    atomic_fetch_add(&j->n_done_bytes, n_bytes);
    show(j, false);
}

bool job_stopped(struct job *j)
{
    const atomic_bool *cancel = j->fetch->o.cancel;
    return atomic_load(&j->stop) || (cancel && atomic_load(cancel));
}

/* A file of the job, for the pool. */
struct task {
    struct job *job;
    struct fetch_file *file;
};

static void run_one(void *arg, unsigned worker)
{
    struct task *t = arg;
    struct err why = { 0 };
    (void)worker;
    if (job_stopped(t->job) || t->job->bring(t->job, t->file, &why) == ERR_NONE)
        return;
    pthread_mutex_lock(&t->job->lock);
    err_set(&t->job->why, why.code, "%s", why.msg); /* the first stays */
    pthread_mutex_unlock(&t->job->lock);
    atomic_store(&t->job->stop, true);
}

enum err_code job_check_room(const struct job *j, uint64_t n_bytes, struct err *err)
{
    const char *dir = j->fetch->o.models_dir;
    struct statvfs fs;
    char need[16], free_[16];
    if (statvfs(dir, &fs))
        return err_set(err, ERR_IO, "%s: cannot see how much room there is: %s", dir,
                       strerror(errno));
    uint64_t room = (uint64_t)fs.f_bavail * fs.f_frsize;
    if (room >= n_bytes && room - n_bytes >= SPARE_BYTES)
        return ERR_NONE;
    return err_set(err, ERR_IO, "%s: %s wanted for %s, %s free on that disk", dir,
                   str_bytes(n_bytes + SPARE_BYTES, need), j->row->name, str_bytes(room, free_));
}

/* What the list says; of a file whose size it does not say, the answer does. */
static enum err_code check_space(const struct job *j, struct err *err)
{
    uint64_t n_there = 0;
    for (size_t i = 0; i < j->n_files; i++)
        n_there += j->files[i].is_there ? 0 : transfer_n_there(&j->files[i]);
    return job_check_room(j, j->n_bytes > n_there ? j->n_bytes - n_there : 0, err);
}

/* Networks come last: the reference, and fetch_is_there(), take a model that has one for whole. A
 * capped download takes one file after another, so that the cap is that of all. */
static enum err_code run_all(struct job *j, struct err *err)
{
    struct pool *pool;
    struct task *tasks = arena_alloc(&j->arena, j->n_files + 1, sizeof *tasks, err);
    if (!tasks)
        return ERR_NOMEM;
    enum err_code rc = pool_create(&pool, j->fetch->o.max_bytes_per_s ? 1 : AT_ONCE, AT_ONCE, err);
    if (rc != ERR_NONE)
        return rc;
    for (int networks = 0; networks <= 1; networks++) {
        for (size_t i = 0; i < j->n_files; i++) {
            struct fetch_file *f = &j->files[i];
            tasks[i] = (struct task){ j, f };
            if (!f->is_there && str_ends(f->name, "/model.onnx") == networks)
                pool_submit(pool, run_one, &tasks[i]);
        }
        pool_wait_idle(pool);
    }
    pool_destroy(pool);
    show(j, true);
    if (j->why.code != ERR_NONE)
        return err_set(err, j->why.code, "%s", j->why.msg);
    return job_stopped(j) ? err_set(err, ERR_CANCELLED, "stopped") : ERR_NONE;
}

enum err_code job_run(struct job *j, struct err *err)
{
    int64_t begun = clock_mono_ns();
    char size[16];
    enum err_code rc = check_space(j, err);
    if (rc != ERR_NONE)
        return rc;
    log_write(LOG_INFO, "fetching %s to %s; this may take a while", j->row->name,
              j->fetch->o.models_dir);
    j->logged_ns = begun;
    rc = run_all(j, err);
    if (rc == ERR_NONE)
        log_write(LOG_INFO, "fetched %s: %s in %.1f s", j->row->name,
                  str_bytes(atomic_load(&j->n_done_bytes), size), clock_ms_since(begun) / 1000);
    return rc;
}

/* Parts of files that the hub no longer has. */
static void drop_parts(const char *folder)
{
    DIR *d = opendir(folder);
    for (const struct dirent *e; d && (e = readdir(d));)
        if (e->d_name[0] == '.' && str_ends(e->d_name, ".part"))
            (void)unlinkat(dirfd(d), e->d_name, 0);
    if (d)
        closedir(d);
}

enum err_code job_finish(const struct job *j, struct err *err)
{
    char folder[MODEL_PATH_MAX];
    for (size_t i = 0; i < j->n_files; i++) {
        snprintf(folder, sizeof folder, "%.*s",
                 (int)(strrchr(j->files[i].path, '/') - j->files[i].path), j->files[i].path);
        drop_parts(folder);
    }
    if (j->row->task == MODEL_OCR) /* the registry has its hashes */
        return ERR_NONE;
    enum err_code rc = plan_path(j->fetch, j->row->task, j->row->name, "", folder, err);
    return rc == ERR_NONE ? record_write(folder, j->files, j->n_files, err) : rc;
}
