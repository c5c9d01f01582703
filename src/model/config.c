#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/json.h"
#include "model/model.h"
#include "sys/file.h"

enum { CONFIG_MAX_BYTES = 1 << 20, SIZE_MAX_PX = 4096, CONTEXT_MAX = 1 << 16, DIM_MAX = 1 << 16 };

static enum err_code read_config(const char *path, struct json **out, struct err *err)
{
    uint8_t *text;
    size_t n;
    *out = NULL;
    enum err_code rc = file_read(path, CONFIG_MAX_BYTES, &text, &n, NULL, err);
    if (rc != ERR_NONE)
        return rc;
    struct err why = { 0 };
    rc = json_parse((const char *)text, n, out, &why);
    free(text);
    if (rc == ERR_NONE && !json_is_object(*out)) {
        json_destroy(*out);
        *out = NULL;
        rc = err_set(&why, ERR_CORRUPT, "not a JSON object");
    }
    return rc == ERR_NONE
               ? rc
               : err_set(err, rc == ERR_INVALID ? ERR_CORRUPT : rc, "%s: %s", path, why.msg);
}

static bool one_of(const struct json *v, const char *const *words, int n_words, int *out)
{
    const char *s = json_as_string(v, NULL);
    for (int i = 0; s && i < n_words; i++)
        if (!strcasecmp(s, words[i])) {
            *out = i;
            return true;
        }
    return !v; /* absent: the default stands */
}

static bool three(const struct json *v, double min, float out[3])
{
    if (json_len(v) != 3 || !json_is_array(v))
        return false;
    for (size_t i = 0; i < 3; i++) {
        double d;
        if (!json_as_f64(json_at(v, i), &d) || !(d >= min && d <= 1000))
            return false;
        out[i] = (float)d;
    }
    return true;
}

static bool in_range(const struct json *v, int64_t min, int64_t max, unsigned *out)
{
    int64_t i;
    if (!json_as_i64(v, &i) || i < min || i > max)
        return false;
    *out = (unsigned)i;
    return true;
}

/* The first field that is not what it should be, or NULL. */
static const char *take_preprocess(const struct json *v, struct model_preprocess *p)
{
    static const char *const interpolations[] = { "bicubic", "bilinear", "nearest" };
    static const char *const resizes[] = { "shortest", "longest", "squash" };
    int interpolation = MODEL_BICUBIC, resize = MODEL_SHORTEST;
    const struct json *size = json_get(v, "size"), *fill = json_get(v, "fill_color");
    if (json_is_array(size) && json_len(size) == 2)
        size = json_at(size, 0);
    if (!in_range(size, 1, SIZE_MAX_PX, &p->size_px))
        return "size";
    if (!three(json_get(v, "mean"), -1000, p->mean))
        return "mean";
    if (!three(json_get(v, "std"), 1e-6, p->std))
        return "std";
    if (!one_of(json_get(v, "interpolation"), interpolations, 3, &interpolation))
        return "interpolation";
    if (!one_of(json_get(v, "resize_mode"), resizes, 3, &resize))
        return "resize_mode";
    if (fill && !in_range(fill, 0, 255, &p->fill))
        return "fill_color";
    p->interpolation = (enum model_interpolation)interpolation;
    p->resize = (enum model_resize)resize;
    return NULL;
}

enum err_code model_preprocess_read(const struct model_folder *f, struct model_preprocess *out,
                                    struct err *err)
{
    char path[MODEL_PATH_MAX];
    struct json *v;
    *out = (struct model_preprocess){ 0 };
    enum err_code rc = model_path(f, MODEL_VISUAL, "preprocess_cfg.json", path, err);
    if (rc == ERR_NONE)
        rc = read_config(path, &v, err);
    if (rc != ERR_NONE)
        return rc;
    const char *wrong = take_preprocess(v, out);
    json_destroy(v);
    return wrong ? err_set(err, ERR_CORRUPT, "%s: \"%s\" is missing or out of range", path, wrong)
                 : ERR_NONE;
}

static enum err_code read_model_config(const struct model_folder *f, char path[MODEL_PATH_MAX],
                                       struct json **out, struct err *err)
{
    *out = NULL;
    if (snprintf(path, MODEL_PATH_MAX, "%s/config.json", f->dir) >= MODEL_PATH_MAX)
        return err_set(err, ERR_LIMIT, "%.60s...: path too long", f->dir);
    return read_config(path, out, err);
}

static const char *take_text(const struct json *v, struct model_text *out)
{
    const struct json *text = json_get(v, "text_cfg");
    const struct json *length = json_get(text, "context_length");
    const char *clean = json_as_string(json_get(json_get(text, "tokenizer_kwargs"), "clean"), NULL);
    out->context_length = 77; /* where OpenCLIP's file does not say */
    if (length && !in_range(length, 1, CONTEXT_MAX, &out->context_length))
        return "text_cfg.context_length";
    out->canonicalize = clean && !strcmp(clean, "canonicalize");
    return NULL;
}

/* A token is its text, or an object that has it as "content" (transformers writes both forms). */
static const char *take_pad_token(const struct json *v, struct model_text *out)
{
    const struct json *pad = json_get(v, "pad_token");
    size_t n;
    const char *s = json_as_string(json_is_object(pad) ? json_get(pad, "content") : pad, &n);
    if (!s || !n || n >= sizeof out->pad_token || strlen(s) != n)
        return "pad_token";
    memcpy(out->pad_token, s, n + 1);
    return NULL;
}

enum err_code model_text_read(const struct model_folder *f, struct model_text *out, struct err *err)
{
    char path[MODEL_PATH_MAX];
    struct json *v;
    *out = (struct model_text){ 0 };
    enum err_code rc = read_model_config(f, path, &v, err);
    if (rc != ERR_NONE)
        return rc;
    const char *wrong = take_text(v, out);
    json_destroy(v);
    if (!wrong) {
        rc = model_path(f, MODEL_TEXTUAL, "tokenizer_config.json", path, err);
        if (rc == ERR_NONE)
            rc = read_config(path, &v, err);
        if (rc != ERR_NONE)
            return rc;
        wrong = take_pad_token(v, out);
        json_destroy(v);
    }
    return wrong ? err_set(err, ERR_CORRUPT, "%s: \"%s\" is missing or out of range", path, wrong)
                 : ERR_NONE;
}

enum err_code model_embed_dim(const struct model_folder *f, unsigned *dim, struct err *err)
{
    char path[MODEL_PATH_MAX];
    struct json *v;
    enum err_code rc = read_model_config(f, path, &v, err);
    if (rc != ERR_NONE)
        return rc;
    if (!in_range(json_get(v, "embed_dim"), 1, DIM_MAX, dim))
        rc = err_set(err, ERR_CORRUPT, "%s: \"embed_dim\" is missing or out of range", path);
    json_destroy(v);
    return rc;
}
