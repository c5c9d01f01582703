/* check.c - a model's files against their hashes. */
#include <string.h>

#include "fetch/fetch.h"
#include "fetch/plan.h"
#include "fetch/record.h"
#include "sys/file.h"

struct checking {
    const struct fetch *fetch;
    const struct model_folder *model;
    fetch_checked_fn fn;
    void *ctx;
};

static enum err_code check_one(const struct checking *c, const char *path, const char *name,
                               const uint8_t should[HASH_BYTES], struct err *err)
{
    struct fetch_checked is = { .name = name, .path = path, .state = FETCH_ABSENT };
    uint8_t digest[HASH_BYTES];
    struct file_info info = { 0 };
    if (file_stat(path, &info, NULL) == ERR_NONE) {
        enum err_code rc = record_hash(path, digest, err);
        if (rc != ERR_NONE)
            return rc;
        is.state = memcmp(digest, should, sizeof digest) ? FETCH_DAMAGED : FETCH_WHOLE;
        is.n_bytes = info.size_bytes;
    }
    c->fn(&is, c->ctx);
    return ERR_NONE;
}

static enum err_code check_recorded(const char *name, const uint8_t sha256[HASH_BYTES], void *ctx,
                                    struct err *err)
{
    const struct checking *c = ctx;
    char path[MODEL_PATH_MAX];
    if (snprintf(path, sizeof path, "%s/%s", c->model->dir, name) >= (int)sizeof path)
        return err_set(err, ERR_LIMIT, "%.60s...: path too long", c->model->dir);
    return check_one(c, path, name, sha256, err);
}

static enum err_code check_pinned(const struct checking *c, const struct model_row *row,
                                  enum model_type type, struct err *err)
{
    struct model_file need[MODEL_FILES_MAX];
    size_t n = model_files(row, type, need);
    enum err_code rc = ERR_NONE;
    for (size_t i = 0; i < n && rc == ERR_NONE; i++) {
        char path[MODEL_PATH_MAX];
        uint8_t sha256[HASH_BYTES];
        rc = plan_path(c->fetch, row->task, need[i].folder, need[i].path, path, err);
        if (rc == ERR_NONE && file_exists(path) && hash_from_hex(need[i].remote.sha256, sha256))
            rc = check_one(c, path, need[i].path, sha256, err);
    }
    return rc;
}

enum err_code fetch_check(const struct fetch *f, const struct model_folder *m, fetch_checked_fn fn,
                          void *ctx, struct err *err)
{
    struct checking c = { f, m, fn, ctx };
    const struct model_row *row = model_known(m->task, m->name);
    if (!row || row->task != MODEL_OCR)
        return record_read(m->dir, check_recorded, &c, err);
    enum err_code rc = check_pinned(&c, row, MODEL_DETECTION, err);
    return rc == ERR_NONE ? check_pinned(&c, row, MODEL_RECOGNITION, err) : rc;
}
