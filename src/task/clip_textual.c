#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "task/clip.h"
#include "task/language.h"
#include "task/network.h"
#include "text/text.h"

enum { INPUTS_MAX = 3 };

/* What a network's input is filled with, in struct text_ids. */
enum feed { FEED_IDS, FEED_MASK, FEED_TYPES };

struct task_clip_textual {
    struct infer_session *session;
    struct text_tokenizer *tokenizer;
    size_t dim, n_inputs;
    bool canonicalize;
    bool asks_language; /* a code before the text says it */
    struct text_fit fit;
    enum feed feeds[INPUTS_MAX];
};

static enum err_code open_tokenizer(struct task_clip_textual *t, const struct model_folder *f,
                                    const struct model_text *m, struct err *err)
{
    char *json;
    size_t n;
    enum err_code rc =
        model_read(f, MODEL_TEXTUAL, "tokenizer.json", TEXT_MAX_JSON_BYTES, &json, &n, err);
    if (rc != ERR_NONE)
        return rc;
    struct err why = { 0 };
    rc = text_tokenizer_create(&t->tokenizer, json, n, &why);
    free(json);
    if (rc != ERR_NONE)
        return err_set(err, rc, "%s/textual/tokenizer.json: %s", f->dir, why.msg);
    t->fit.pad_id = text_token_id(t->tokenizer, m->pad_token);
    if (t->fit.pad_id < 0)
        return err_set(err, ERR_CORRUPT, "%s/textual: no token \"%s\", which pads", f->dir,
                       m->pad_token);
    return ERR_NONE;
}

/* By name where transformers has one for it; the ids go by many names ("text", "input_ids"). */
static enum feed feed_of(const char *name)
{
    return !strcmp(name, "attention_mask")   ? FEED_MASK
           : !strcmp(name, "token_type_ids") ? FEED_TYPES
                                             : FEED_IDS;
}

/* How the network wants its text: which inputs, and how long. A network that is told which tokens
 * are padding gets none, which gives the same vector sooner; one that is not was trained with the
 * padding in place. */
static enum err_code read_inputs(struct task_clip_textual *t, const struct model_folder *f,
                                 size_t context_length, struct err *err)
{
    size_t n_ids = 0;
    bool masked = false;
    int64_t fixed = -1;
    t->n_inputs = infer_n_inputs(t->session);
    if (!t->n_inputs || t->n_inputs > INPUTS_MAX)
        return err_set(err, ERR_UNSUPPORTED, "%s: the textual network has %zu inputs, not 1 to %d",
                       f->dir, t->n_inputs, INPUTS_MAX);
    for (size_t i = 0; i < t->n_inputs; i++) {
        const struct infer_port *p = infer_input(t->session, i);
        if ((p->type != INFER_I32 && p->type != INFER_I64) || p->n_dims != 2 || p->dims[0] > 1)
            return err_set(err, ERR_UNSUPPORTED,
                           "%s: input \"%s\" of the textual network is not i32 or i64 [1, length]",
                           f->dir, p->name);
        t->feeds[i] = feed_of(p->name);
        n_ids += t->feeds[i] == FEED_IDS;
        masked |= t->feeds[i] == FEED_MASK;
        fixed = p->dims[1] >= 0 ? p->dims[1] : fixed;
    }
    if (n_ids != 1 || (fixed >= 0 && (size_t)fixed != context_length))
        return err_set(err, ERR_UNSUPPORTED,
                       "%s: the textual network does not take one list of %zu token ids", f->dir,
                       context_length);
    t->fit.max_length = context_length;
    t->fit.pad_length = masked && fixed < 0 ? 0 : context_length;
    return ERR_NONE;
}

enum err_code task_clip_textual_open(struct task_clip_textual **out, struct infer *in,
                                     const struct model_folder *f, struct err *err)
{
    struct model_text m;
    *out = NULL;
    enum err_code rc = model_text_read(f, &m, err);
    if (rc != ERR_NONE)
        return rc;
    struct task_clip_textual *t = calloc(1, sizeof *t);
    if (!t)
        return err_set(err, ERR_NOMEM, "%s", f->dir);
    t->canonicalize = m.canonicalize;
    t->asks_language = str_starts(f->name, "nllb");
    rc = open_tokenizer(t, f, &m, err);
    if (rc == ERR_NONE)
        rc = task_clip_open_network(&t->session, &t->dim, in, f, MODEL_TEXTUAL, err);
    if (rc == ERR_NONE)
        rc = read_inputs(t, f, m.context_length, err);
    if (rc == ERR_NONE)
        *out = t;
    else
        task_clip_textual_close(t);
    return rc;
}

void task_clip_textual_close(struct task_clip_textual *t)
{
    if (!t)
        return;
    infer_session_close(t->session);
    text_tokenizer_destroy(t->tokenizer);
    free(t);
}

size_t task_clip_textual_dim(const struct task_clip_textual *t)
{
    return t->dim;
}

static enum err_code encode(const struct task_clip_textual *t, const char *text, size_t n,
                            const char *language, struct text_ids *ids, struct err *err)
{
    struct buf clean = { .limit = 4 * TEXT_MAX_BYTES };
    enum err_code rc = ERR_NONE;
    if (t->asks_language && language)
        rc = buf_puts(&clean, task_flores_code(language), err);
    if (rc == ERR_NONE)
        rc = text_clean(&clean, text, n, t->canonicalize, err);
    if (rc == ERR_NONE)
        rc = text_encode(t->tokenizer, clean.len ? clean.data : "", clean.len, &t->fit, ids, err);
    buf_clear(&clean);
    return rc;
}

static enum err_code widen(const int32_t *from, size_t n, int64_t **out, struct err *err)
{
    *out = malloc((n ? n : 1) * sizeof **out);
    if (!*out)
        return err_set(err, ERR_NOMEM, "%zu token ids", n);
    for (size_t i = 0; i < n; i++)
        (*out)[i] = from[i];
    return ERR_NONE;
}

enum err_code task_clip_textual_embed(const struct task_clip_textual *t, const char *text, size_t n,
                                      const char *language, float *out, struct err *err)
{
    struct text_ids ids = { 0 };
    struct infer_tensor x[INPUTS_MAX] = { 0 };
    int64_t *wide[INPUTS_MAX] = { 0 };
    enum err_code rc = encode(t, text, n, language, &ids, err);
    for (size_t i = 0; i < t->n_inputs && rc == ERR_NONE; i++) {
        int32_t *row = t->feeds[i] == FEED_IDS    ? ids.ids
                       : t->feeds[i] == FEED_MASK ? ids.mask
                                                  : ids.types;
        x[i] = (struct infer_tensor){ .type = infer_input(t->session, i)->type,
                                      .n_dims = 2,
                                      .dims = { 1, (int64_t)ids.n },
                                      .data = row };
        if (x[i].type != INFER_I64)
            continue;
        rc = widen(row, ids.n, &wide[i], err);
        x[i].data = wide[i];
    }
    if (rc == ERR_NONE)
        rc = task_network_embed(t->session, x, t->n_inputs, 1, t->dim, out, err);
    for (size_t i = 0; i < INPUTS_MAX; i++)
        free(wide[i]);
    text_ids_clear(&ids);
    return rc;
}
