/* import.c - a model's files from another folder. */
#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "fetch/listing.h"
#include "fetch/plan.h"
#include "fetch/record.h"
#include "sys/file.h"

enum { PIECE_BYTES = 1 << 20 };

static bool is_same(const char *a, const char *b)
{
    struct file_info x, y;
    return file_stat(a, &x, NULL) == ERR_NONE && file_stat(b, &y, NULL) == ERR_NONE &&
           x.dev == y.dev && x.inode == y.inode;
}

/* name below the folder that is imported. */
static enum err_code add_file(struct job *j, const char *dir, const char *folder, const char *name,
                              struct err *err)
{
    char source[MODEL_PATH_MAX];
    struct file_info info;
    struct fetch_file *f;
    if (j->n_files == FETCH_FILES_MAX)
        return err_set(err, ERR_LIMIT, "%s: more than %d files", dir, FETCH_FILES_MAX);
    if (snprintf(source, sizeof source, "%s/%s", dir, name) >= (int)sizeof source)
        return err_set(err, ERR_LIMIT, "%.60s...: path too long", dir);
    enum err_code rc = file_stat(source, &info, err);
    const char *own = rc == ERR_NONE ? arena_strndup(&j->arena, name, strlen(name), err) : NULL;
    const char *from = own ? arena_strndup(&j->arena, source, strlen(source), err) : NULL;
    if (rc == ERR_NONE)
        rc = from ? plan_add(j, folder, own, from, &f, err) : ERR_NOMEM;
    if (rc != ERR_NONE)
        return rc;
    f->has_size = true;
    f->size = info.size_bytes;
    j->n_bytes += is_same(source, f->path) ? 0 : info.size_bytes;
    return ERR_NONE;
}

static enum err_code add_folder(struct job *j, const char *dir, enum model_type type,
                                struct err *err)
{
    char path[MODEL_PATH_MAX];
    enum err_code rc = ERR_NONE;
    if (snprintf(path, sizeof path, "%s/%s", dir, model_type_name(type)) >= (int)sizeof path)
        return err_set(err, ERR_LIMIT, "%.60s...: path too long", dir);
    DIR *d = opendir(path);
    for (const struct dirent *e; d && rc == ERR_NONE && (e = readdir(d));) {
        char name[512];
        int n = snprintf(name, sizeof name, "%s/%s", model_type_name(type), e->d_name);
        if (n < (int)sizeof name && listing_wants(j->row->task, name, (size_t)n) &&
            e->d_type != DT_DIR)
            rc = add_file(j, dir, j->row->name, name, err);
    }
    if (d)
        closedir(d);
    return rc;
}

/* What one type needs is there; false of a type of OCR that is not there at all. */
static enum err_code check_needed(const struct model_row *row, const char *dir,
                                  enum model_type type, bool *there, struct err *err)
{
    struct model_file need[MODEL_FILES_MAX];
    char path[MODEL_PATH_MAX], missing[320] = "";
    size_t n = model_files(row, type, need);
    for (size_t i = 0; i < n; i++) {
        size_t len = strlen(missing);
        if (snprintf(path, sizeof path, "%s/%s", dir, need[i].path) >= (int)sizeof path)
            return err_set(err, ERR_LIMIT, "%.60s...: path too long", dir);
        if (!file_exists(path))
            snprintf(missing + len, sizeof missing - len, "%s%s", len ? ", " : "", need[i].path);
    }
    *there = !*missing;
    if (*there || row->task == MODEL_OCR)
        return ERR_NONE;
    return err_set(err, ERR_NOT_FOUND, "%s: lacks %s of model %s", dir, missing, row->name);
}

static enum err_code plan_from_hub(struct job *j, const char *dir, struct err *err)
{
    const enum model_type *types = model_types(j->row->task);
    bool there;
    enum err_code rc = ERR_NONE;
    for (int i = 0; i < 2 && rc == ERR_NONE; i++)
        rc = check_needed(j->row, dir, types[i], &there, err);
    for (int i = 0; i < 2 && rc == ERR_NONE; i++)
        rc = add_folder(j, dir, types[i], err);
    if (rc == ERR_NONE && j->row->task == MODEL_CLIP)
        rc = add_file(j, dir, j->row->name, "config.json", err);
    return rc;
}

/* Each type is a file of its own, and the detector goes where all languages find it. */
static enum err_code plan_pins(struct job *j, const char *dir, struct err *err)
{
    const enum model_type *types = model_types(j->row->task);
    enum err_code rc = ERR_NONE;
    for (int i = 0; i < 2 && rc == ERR_NONE; i++) {
        struct model_file need[MODEL_FILES_MAX];
        bool there;
        size_t n = model_files(j->row, types[i], need);
        rc = check_needed(j->row, dir, types[i], &there, err);
        for (size_t k = 0; k < n && there && rc == ERR_NONE; k++) {
            rc = add_file(j, dir, need[k].folder, need[k].path, err);
            if (rc == ERR_NONE)
                j->files[j->n_files - 1].has_sha256 =
                    hash_from_hex(need[k].remote.sha256, j->files[j->n_files - 1].sha256);
        }
    }
    if (rc == ERR_NONE && !j->n_files)
        return err_set(err, ERR_NOT_FOUND,
                       "%s: neither detection/model.onnx nor recognition/model.onnx", dir);
    return rc;
}

static enum err_code take_recorded(const char *name, const uint8_t sha256[HASH_BYTES], void *ctx,
                                   struct err *err)
{
    struct job *j = ctx;
    (void)err;
    for (size_t i = 0; i < j->n_files; i++)
        if (!strcmp(j->files[i].name, name) && !j->files[i].has_sha256) {
            memcpy(j->files[i].sha256, sha256, HASH_BYTES);
            j->files[i].has_sha256 = true;
        }
    return ERR_NONE;
}

static enum err_code copy_bytes(struct job *j, struct fetch_file *f, const struct file_map *m,
                                struct err *err)
{
    char tmp[MODEL_PATH_MAX];
    struct file_draft d;
    uint64_t n_there;
    char *slash = strrchr(f->path, '/');
    if (snprintf(tmp, sizeof tmp, "%.*s", (int)(slash - f->path), f->path) >= (int)sizeof tmp)
        return err_set(err, ERR_LIMIT, "%.60s...: path too long", f->path);
    enum err_code rc = file_make_dirs(tmp, err);
    if (rc == ERR_NONE && snprintf(tmp, sizeof tmp, "%.*s/.%s.import.part", (int)(slash - f->path),
                                   f->path, slash + 1) >= (int)sizeof tmp)
        return err_set(err, ERR_LIMIT, "%.60s...: path too long", f->path);
    if (rc == ERR_NONE)
        rc = file_draft_resume(&d, f->path, tmp, &n_there, err);
    if (rc != ERR_NONE)
        return rc;
    d.stays = false;
    rc = file_draft_truncate(&d, err);
    for (size_t at = 0; at < m->size && rc == ERR_NONE;) {
        size_t n = m->size - at < PIECE_BYTES ? m->size - at : PIECE_BYTES;
        rc = job_stopped(j) ? err_set(err, ERR_CANCELLED, "stopped")
                            : file_draft_write(&d, at, (const char *)m->data + at, n, err);
        job_progress(j, n);
        at += n;
    }
    if (rc == ERR_NONE)
        rc = file_draft_commit(&d, err);
    file_draft_close(&d);
    return rc;
}

static enum err_code copy_file(struct job *j, struct fetch_file *f, struct err *err)
{
    struct file_map m;
    uint8_t digest[HASH_BYTES];
    enum err_code rc = file_map_open(&m, f->url, err);
    if (rc != ERR_NONE)
        return rc;
    hash_bytes(m.data, m.size, digest);
    if (f->has_sha256 && memcmp(digest, f->sha256, sizeof digest))
        rc = err_set(err, ERR_CORRUPT, "%s: its SHA-256 is not the one that it should be", f->url);
    else if (!is_same(f->url, f->path))
        rc = copy_bytes(j, f, &m, err);
    memcpy(f->sha256, digest, sizeof digest);
    file_map_close(&m);
    return rc;
}

enum err_code fetch_import(struct fetch *f, const struct model_row *row, const char *dir,
                           struct err *err)
{
    struct job j = {
        .fetch = f, .row = row, .bring = copy_file, .lock = PTHREAD_MUTEX_INITIALIZER
    };
    int lock = -1;
    j.files = arena_alloc(&j.arena, FETCH_FILES_MAX, sizeof *j.files, err);
    enum err_code rc = j.files ? lock_take(f, &lock, err) : ERR_NOMEM;
    if (rc == ERR_NONE)
        rc = row->task == MODEL_OCR ? plan_pins(&j, dir, err) : plan_from_hub(&j, dir, err);
    if (rc == ERR_NONE)
        rc = record_read(dir, take_recorded, &j, err);
    if (rc == ERR_NONE)
        rc = job_run(&j, err);
    if (rc == ERR_NONE)
        rc = job_finish(&j, err);
    lock_release(lock);
    arena_clear(&j.arena);
    return rc;
}
