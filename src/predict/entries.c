/* entries.c - the form field `entries`: what is to be done with which model. */
#include <math.h>
#include <string.h>

#include "predict/predict.h"

/* What an entry may say besides the model's name. */
enum option {
    LANGUAGE = 1,
    MIN_SCORE = 2,
    MAX_RESOLUTION = 4,
    SCORE_MODE = 8,
    NULLS = 16, /* null is as not given */
    ANY = 32,
};

/* The reference's OCR models take options that they do not know, and do nothing with them. */
static const struct kind {
    enum model_task task;
    enum model_type type;
    unsigned options; /* of enum option */
} kinds[] = {
    { MODEL_CLIP, MODEL_VISUAL, 0 },
    { MODEL_CLIP, MODEL_TEXTUAL, LANGUAGE },
    { MODEL_FACES, MODEL_DETECTION, MIN_SCORE },
    { MODEL_FACES, MODEL_RECOGNITION, 0 },
    { MODEL_OCR, MODEL_DETECTION, MIN_SCORE | MAX_RESOLUTION | SCORE_MODE | NULLS | ANY },
    { MODEL_OCR, MODEL_RECOGNITION, MIN_SCORE | ANY },
};
enum { N_KINDS = sizeof kinds / sizeof *kinds };
_Static_assert((int)N_KINDS == PREDICT_ENTRIES_MAX, "each kind once, as keys of an object are");

static enum err_code bad_request(struct err *err)
{
    return err_set(err, ERR_INVALID, "Invalid request format.");
}

static const struct kind *find(const char *task, const char *type)
{
    for (int i = 0; i < N_KINDS; i++)
        if (!strcmp(model_task_name(kinds[i].task), task) &&
            !strcmp(model_type_name(kinds[i].type), type))
            return &kinds[i];
    return NULL;
}

static enum err_code bad_value(const char *key, const char *wanted, struct err *err)
{
    return err_set(err, ERR_INVALID, "option \"%s\" is not %s", key, wanted);
}

/* As in Python, true is 1. */
static bool as_number(const struct json *v, double *out)
{
    bool is;
    if (!json_as_bool(v, &is))
        return json_as_f64(v, out);
    *out = is;
    return true;
}

/* The reference takes any number as a least score, and any score mode but "fast" for the slow one.
 */
static enum err_code read_option(const char *key, const struct json *v, unsigned allowed,
                                 struct predict_entry *e, struct err *err)
{
    if (json_is_null(v) && allowed & NULLS)
        return ERR_NONE;
    if (!strcmp(key, "language") && allowed & LANGUAGE) {
        e->language = json_as_string(v, NULL);
        return e->language || json_is_null(v) ? ERR_NONE : bad_value(key, "text", err);
    }
    if (!strcmp(key, "minScore") && allowed & MIN_SCORE)
        return as_number(v, &e->min_score) ? ERR_NONE : bad_value(key, "a number", err);
    if (!strcmp(key, "maxResolution") && allowed & MAX_RESOLUTION)
        return as_number(v, &e->max_resolution) && e->max_resolution > 0
                   ? ERR_NONE
                   : bad_value(key, "a number of pixels, more than 0", err);
    if (!strcmp(key, "scoreMode") && allowed & SCORE_MODE) {
        const char *mode = json_as_string(v, NULL);
        e->slow_score = !mode || strcmp(mode, "fast") != 0;
        return ERR_NONE;
    }
    return allowed & ANY ? ERR_NONE
                         : err_set(err, ERR_INVALID, "%s %s has no option \"%.60s\"",
                                   model_task_name(e->task), model_type_name(e->type), key);
}

/* All languages share one detector: what follows the last "__" of "EN__PP-OCRv5_mobile". */
static const char *without_language(const char *name)
{
    for (const char *p; (p = strstr(name, "__"));)
        name = p + 2;
    return name;
}

/* {modelName, options} of one kind. */
static enum err_code read_entry(const char *task, const char *type, const struct json *v,
                                struct predict_entry *e, struct err *err)
{
    size_t n;
    const char *name = json_as_string(json_get(v, "modelName"), &n);
    const struct json *options = json_get(v, "options");
    if (!json_is_object(v) || !name || (options && !json_is_object(options)))
        return bad_request(err);
    const struct kind *k = find(task, type);
    if (!k)
        return err_set(err, ERR_INVALID, "nothing is known of task \"%.60s\" of type \"%.60s\"",
                       task, type);
    *e = (struct predict_entry){
        .task = k->task, .type = k->type, .model = name, .min_score = NAN, .max_resolution = NAN
    };
    if (k->task == MODEL_OCR && k->type == MODEL_DETECTION)
        e->model = without_language(name);
    if (strlen(name) != n)
        return err_set(err, ERR_INVALID, "a model's name has a NUL in it");
    enum err_code rc = ERR_NONE;
    for (const void *it = json_first(options); it && rc == ERR_NONE; it = json_next(options, it))
        rc = read_option(json_key(it), json_value(it), k->options, e, err);
    return rc;
}

static enum err_code read_task(const char *task, const struct json *types,
                               struct predict_entries *out, struct err *err)
{
    if (!json_is_object(types))
        return bad_request(err);
    enum err_code rc = ERR_NONE;
    for (const void *it = json_first(types); it && rc == ERR_NONE; it = json_next(types, it)) {
        struct predict_entry e;
        rc = read_entry(task, json_key(it), json_value(it), &e, err);
        if (rc == ERR_NONE)
            out->at[out->n++] = e;
    }
    return rc;
}

enum err_code predict_entries_parse(const char *json, size_t n, struct predict_entries *out,
                                    struct err *err)
{
    *out = (struct predict_entries){ 0 };
    enum err_code rc = json_parse(json, n, &out->json, NULL);
    if (rc == ERR_NOMEM)
        return err_set(err, rc, "entries of %zu bytes", n);
    if (rc != ERR_NONE)
        return bad_request(err);
    if (!json_is_object(out->json))
        rc = bad_request(err);
    for (const void *it = json_first(out->json); it && rc == ERR_NONE;
         it = json_next(out->json, it))
        rc = read_task(json_key(it), json_value(it), out, err);
    if (rc != ERR_NONE)
        predict_entries_clear(out);
    return rc;
}

void predict_entries_clear(struct predict_entries *e)
{
    json_destroy(e->json);
    *e = (struct predict_entries){ 0 };
}
