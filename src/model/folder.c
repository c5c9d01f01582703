#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/folder.h"
#include "sys/file.h"

const char *model_task_name(enum model_task task)
{
    static const char *const names[] = {
        [MODEL_CLIP] = "clip", [MODEL_FACES] = "facial-recognition", [MODEL_OCR] = "ocr"
    };
    return names[task];
}

const char *model_type_name(enum model_type type)
{
    static const char *const names[] = { [MODEL_VISUAL] = "visual",
                                         [MODEL_TEXTUAL] = "textual",
                                         [MODEL_DETECTION] = "detection",
                                         [MODEL_RECOGNITION] = "recognition" };
    return names[type];
}

const enum model_type *model_types(enum model_task task)
{
    static const enum model_type towers[] = { MODEL_VISUAL, MODEL_TEXTUAL },
                                 stages[] = { MODEL_DETECTION, MODEL_RECOGNITION };
    return task == MODEL_CLIP ? towers : stages;
}

enum err_code model_clean_name(const char *name, char out[MODEL_NAME_MAX], struct err *err)
{
    const char *slash = strrchr(name, '/');
    const char *from = slash ? slash + 1 : name;
    size_t n = 0;
    for (; *from; from++) {
        if (*from == '.')
            continue;
        if ((unsigned char)*from < 0x20 || *from == 0x7f)
            return err_set(err, ERR_INVALID, "model name with a control character: %.60s", name);
        if (n == MODEL_NAME_MAX - 1)
            return err_set(err, ERR_INVALID, "model name longer than %d bytes: %.60s...",
                           MODEL_NAME_MAX - 1, name);
        out[n++] = *from;
        if (*from == ':' || *from == '\\')
            out[n - 1] = '_';
    }
    out[n] = '\0';
    return n ? ERR_NONE : err_set(err, ERR_INVALID, "\"%.60s\" names no model", name);
}

enum err_code model_place(const char *models_dir, enum model_task task, const char *name,
                          struct model_folder *out, struct err *err)
{
    enum err_code rc = model_clean_name(name, out->name, err);
    if (rc != ERR_NONE)
        return rc;
    out->task = task;
    if (snprintf(out->dir, sizeof out->dir, "%s/%s/%s", models_dir, model_task_name(task),
                 out->name) >= (int)sizeof out->dir)
        return err_set(err, ERR_LIMIT, "%.60s...: path too long", models_dir);
    return ERR_NONE;
}

/* Wherever a model is missed, this is what its user is told to do. */
static enum err_code not_there(enum model_task task, const char *name, struct err *err)
{
    if (model_known(task, name))
        return err_set(err, ERR_NOT_FOUND,
                       "model \"%s\" is not there; `fovea models pull %s` fetches it", name, name);
    if (task == MODEL_CLIP && !strcmp(name, "starter")) /* which only a checkout can make */
        return err_set(err, ERR_NOT_FOUND,
                       "model \"starter\" is not there, and no package brings it; `fovea models "
                       "pull ViT-B-32__openai` fetches another, FOVEA_MODEL=ViT-B-32__openai "
                       "has it used");
    return err_set(err, ERR_NOT_FOUND,
                   "model \"%s\" is not there; `fovea models list` names what is or can be fetched",
                   name);
}

enum err_code model_find(const char *models_dir, enum model_task task, const char *name,
                         struct model_folder *out, struct err *err)
{
    enum err_code rc = model_place(models_dir, task, name, out, err);
    if (rc != ERR_NONE || file_is_folder(out->dir))
        return rc;
    return not_there(task, out->name, err);
}

enum err_code model_path(const struct model_folder *f, enum model_type type, const char *file,
                         char out[MODEL_PATH_MAX], struct err *err)
{
    if (snprintf(out, MODEL_PATH_MAX, "%s/%s/%s", f->dir, model_type_name(type), file) >=
        MODEL_PATH_MAX)
        return err_set(err, ERR_LIMIT, "%.60s...: path too long", f->dir);
    return ERR_NONE;
}

enum err_code model_read(const struct model_folder *f, enum model_type type, const char *file,
                         size_t max_bytes, char **data, size_t *n, struct err *err)
{
    char path[MODEL_PATH_MAX];
    uint8_t *bytes = NULL;
    enum err_code rc = model_path(f, type, file, path, err);
    if (rc == ERR_NONE)
        rc = file_read(path, max_bytes, &bytes, n, NULL, err);
    *data = (char *)bytes;
    return rc;
}

static int visible(const struct dirent *e)
{
    return e->d_name[0] != '.';
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name); /* not alphasort(), which follows the locale */
}

enum err_code model_list_dir(const char *dir, model_entry_fn fn, void *ctx, struct err *err)
{
    struct dirent **entries;
    int n = scandir(dir, &entries, visible, by_bytes);
    if (n < 0)
        return err_set(err, errno == ENOENT || errno == ENOTDIR ? ERR_NOT_FOUND : ERR_IO, "%s: %s",
                       dir, strerror(errno));
    enum err_code rc = ERR_NONE;
    for (int i = 0; i < n; i++) {
        if (rc == ERR_NONE)
            rc = fn(entries[i]->d_name, ctx, err);
        free(entries[i]);
    }
    free(entries);
    return rc;
}

struct listing {
    const char *models_dir;
    enum model_task task;
    model_list_fn fn;
    void *ctx;
};

static enum err_code list_one(const char *name, void *ctx, struct err *err)
{
    const struct listing *l = ctx;
    struct model_folder f;
    if (model_find(l->models_dir, l->task, name, &f, NULL) != ERR_NONE || strcmp(f.name, name) != 0)
        return ERR_NONE; /* a name that no request can ask for */
    return l->fn(&f, l->ctx, err);
}

enum err_code model_list(const char *models_dir, model_list_fn fn, void *ctx, struct err *err)
{
    for (int t = 0; t < MODEL_N_TASKS; t++) {
        struct listing l = { models_dir, (enum model_task)t, fn, ctx };
        char dir[MODEL_PATH_MAX];
        if (snprintf(dir, sizeof dir, "%s/%s", models_dir, model_task_name(l.task)) >=
            (int)sizeof dir)
            return err_set(err, ERR_LIMIT, "%.60s...: path too long", models_dir);
        if (!file_is_folder(dir))
            continue;
        enum err_code rc = model_list_dir(dir, list_one, &l, err);
        if (rc != ERR_NONE)
            return rc;
    }
    return ERR_NONE;
}
