/* plan.c - which files a model needs, and where each comes from. */
#include "fetch/plan.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "fetch/listing.h"
#include "fetch/record.h"
#include "sys/file.h"

static const char *hub(const struct fetch *f)
{
    return f->o.hub_url ? f->o.hub_url : MODEL_HUB_URL;
}

enum err_code plan_path(const struct fetch *f, enum model_task task, const char *folder,
                        const char *name, char out[MODEL_PATH_MAX], struct err *err)
{
    if (snprintf(out, MODEL_PATH_MAX, "%s/%s/%s%s%s", f->o.models_dir, model_task_name(task),
                 folder, *name ? "/" : "", name) >= MODEL_PATH_MAX)
        return err_set(err, ERR_LIMIT, "%.60s...: path too long", f->o.models_dir);
    return ERR_NONE;
}

void plan_url(const struct fetch *f, const struct model_row *row, const struct model_file *m,
              char *out, size_t n)
{
    if (m->remote.path)
        snprintf(out, n, "%s/%s", f->o.ocr_url ? f->o.ocr_url : MODEL_OCR_URL, m->remote.path);
    else
        snprintf(out, n, "%s/" MODEL_HUB_OWNER "/%s/resolve/main/%s", hub(f), row->name, m->path);
}

/* Everything but what RFC 3986 leaves as it is; names come from the hub. */
static enum err_code put_escaped(struct buf *b, const char *s, struct err *err)
{
    enum err_code rc = ERR_NONE;
    for (; *s && rc == ERR_NONE; s++) {
        bool plain = (*s >= '0' && *s <= '9') || ((*s | 32) >= 'a' && (*s | 32) <= 'z') ||
                     strchr("-._~/", *s);
        rc = plain ? buf_append(b, s, 1, err) : buf_printf(b, err, "%%%02X", (unsigned char)*s);
    }
    return rc;
}

static const char *hub_url(struct job *j, const char *revision, const char *name, struct err *err)
{
    struct buf b = { 0 };
    const char *out = NULL;
    enum err_code rc = buf_printf(&b, err, "%s/" MODEL_HUB_OWNER "/%s/resolve/%s/", hub(j->fetch),
                                  j->row->name, revision);
    if (rc == ERR_NONE)
        rc = put_escaped(&b, name, err);
    if (rc == ERR_NONE)
        out = arena_strndup(&j->arena, b.data, b.len, err);
    buf_clear(&b);
    return out;
}

enum err_code plan_add(struct job *j, const char *folder, const char *name, const char *url,
                       struct fetch_file **out, struct err *err)
{
    char path[MODEL_PATH_MAX];
    enum err_code rc = plan_path(j->fetch, j->row->task, folder, name, path, err);
    if (rc != ERR_NONE)
        return rc;
    struct fetch_file *f = &j->files[j->n_files];
    f->name = name;
    f->url = url;
    f->path = arena_strndup(&j->arena, path, strlen(path), err);
    if (!f->path || !url)
        return ERR_NOMEM;
    j->n_files++;
    *out = f;
    return ERR_NONE;
}

static enum err_code has_all(const struct job *j, enum model_type type, const char *repository,
                             struct err *err)
{
    struct model_file need[MODEL_FILES_MAX];
    size_t n = model_files(j->row, type, need);
    for (size_t i = 0; i < n; i++) {
        size_t k = 0;
        while (k < j->n_files && strcmp(j->files[k].name, need[i].path) != 0)
            k++;
        if (k == j->n_files)
            return err_set(err, ERR_CORRUPT, "%s: lists no %s", net_shown(repository).text,
                           need[i].path);
    }
    return ERR_NONE;
}

static enum err_code take_listing(struct job *j, const struct listing *l, struct err *err)
{
    enum err_code rc = ERR_NONE;
    j->files = arena_alloc(&j->arena, l->n_files + 1, sizeof *j->files, err);
    if (!j->files)
        return ERR_NOMEM;
    for (size_t i = 0; i < l->n_files && rc == ERR_NONE; i++) {
        const struct listing_file *from = &l->files[i];
        struct fetch_file *f = NULL;
        rc = plan_add(j, j->row->name, from->name, hub_url(j, l->revision, from->name, err), &f,
                      err);
        if (rc != ERR_NONE)
            break;
        f->from_hub = true;
        f->has_size = from->has_size;
        f->size = from->size;
        f->has_sha256 = from->has_sha256;
        f->has_blob = from->has_blob;
        memcpy(f->sha256, from->sha256, sizeof f->sha256);
        memcpy(f->blob, from->blob, sizeof f->blob);
    }
    return rc;
}

enum err_code plan_hub(struct job *j, enum model_type type, struct err *err)
{
    struct buf text = { 0 };
    struct listing l;
    struct err why = { 0 };
    char url[1024];
    if (snprintf(url, sizeof url, "%s/api/models/" MODEL_HUB_OWNER "/%s/revision/main?blobs=true",
                 hub(j->fetch), j->row->name) >= (int)sizeof url)
        return err_set(err, ERR_LIMIT, "%.60s...: URL too long", net_shown(url).text);
    enum err_code rc = transfer_list(j, url, &text, err);
    if (rc != ERR_NONE)
        return rc;
    rc = listing_parse(text.data ? text.data : "", text.len, j->row->task, &j->arena, &l, &why);
    buf_clear(&text);
    if (rc != ERR_NONE)
        return err_set(err, rc == ERR_NOMEM ? rc : ERR_CORRUPT, "%s: %s", net_shown(url).text,
                       why.msg);
    rc = take_listing(j, &l, err);
    return rc == ERR_NONE ? has_all(j, type, url, err) : rc;
}

enum err_code plan_pinned(struct job *j, enum model_type type, struct err *err)
{
    struct model_file need[MODEL_FILES_MAX];
    size_t n = model_files(j->row, type, need);
    enum err_code rc = ERR_NONE;
    j->files = arena_alloc(&j->arena, n + 1, sizeof *j->files, err);
    if (!j->files)
        return ERR_NOMEM;
    for (size_t i = 0; i < n && rc == ERR_NONE; i++) {
        char url[1024];
        struct fetch_file *f = NULL;
        plan_url(j->fetch, j->row, &need[i], url, sizeof url);
        rc = plan_add(j, need[i].folder, need[i].path,
                      arena_strndup(&j->arena, url, strlen(url), err), &f, err);
        if (rc == ERR_NONE)
            f->has_sha256 = hash_from_hex(need[i].remote.sha256, f->sha256);
    }
    return rc;
}

/* As the file should be, as far as that is known. */
static bool is_right(struct fetch_file *f)
{
    struct file_info info;
    uint8_t sha256[HASH_BYTES];
    if (file_stat(f->path, &info, NULL) != ERR_NONE ||
        (f->has_size && info.size_bytes != f->size) ||
        record_hash(f->path, sha256, NULL) != ERR_NONE)
        return false;
    if (f->has_sha256)
        return !memcmp(sha256, f->sha256, sizeof sha256);
    memcpy(f->sha256, sha256, sizeof sha256);
    return true;
}

void plan_keep_right(struct job *j)
{
    for (size_t i = 0; i < j->n_files; i++) {
        struct fetch_file *f = &j->files[i];
        f->is_there = file_exists(f->path) && is_right(f);
        j->n_bytes += !f->is_there && f->has_size ? f->size : 0;
    }
}
