#include <pthread.h>
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
    int64_t cut_from;   /* the length of rows that end where they are settled; -1: none do */
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

/* ---- rows that are settled before their end ---- */

/* The towers that OpenAI's CLIP began take the vector of the token with the greatest id, the end of
 * the text, and let no token see what comes after it. So the padding after that changes nothing,
 * though it is most of the work: 77 places for "a dog on the beach", which is 7 tokens. */
static size_t settled(const struct text_ids *ids)
{
    size_t last = 0;
    for (size_t i = 1; i < ids->n; i++)
        if (ids->ids[i] > ids->ids[last])
            last = i;
    return last + 1;
}

/* A row of a network's input: from itself, or made 64 bits wide, which *wide is to be freed for. */
static enum err_code as_tensor(enum infer_type type, int32_t *row, size_t n, int64_t **wide,
                               struct infer_tensor *x, struct err *err)
{
    *x = (struct infer_tensor){ .type = type, .n_dims = 2, .dims = { 1, (int64_t)n }, .data = row };
    if (type != INFER_I64)
        return ERR_NONE;
    *wide = malloc((n ? n : 1) * sizeof **wide);
    if (!*wide)
        return err_set(err, ERR_NOMEM, "%zu token ids", n);
    for (size_t i = 0; i < n; i++)
        (*wide)[i] = row[i];
    x->data = *wide;
    return ERR_NONE;
}

static enum err_code try_row(struct infer_session *s, const struct text_ids *ids, bool cut,
                             struct buf *out, struct err *err)
{
    struct infer_tensor x, y = { 0 };
    int64_t *wide = NULL;
    size_t n = 0;
    enum err_code rc =
        as_tensor(infer_input(s, 0)->type, ids->ids, cut ? settled(ids) : ids->n, &wide, &x, err);
    if (rc == ERR_NONE)
        rc = infer_run(s, &x, 1, &y, 1, err);
    if (rc == ERR_NONE)
        rc = infer_count(&y, &n, err);
    if (rc == ERR_NONE && y.type != INFER_F32)
        rc = err_set(err, ERR_UNSUPPORTED, "first output is not of f32");
    if (rc == ERR_NONE)
        rc = buf_append(out, y.data, n * sizeof(float), err);
    infer_tensor_clear(&y);
    free(wide);
    return rc;
}

/* ---- opening ---- */

/* The tokenizer is read in a thread beside the network: neither needs the other until a network is
 * tried, and a large vocabulary takes as long as a network does. */
struct opening {
    struct task_clip_textual *t;
    const struct model_folder *folder;
    const struct model_text *text;
    pthread_t thread;
    bool is_beside; /* to be joined */
    enum err_code rc;
    struct err why;
};

static void *read_tokenizer(void *arg)
{
    struct opening *o = arg;
    o->rc = open_tokenizer(o->t, o->folder, o->text, &o->why);
    return NULL;
}

static void start(struct opening *o)
{
    o->is_beside = !pthread_create(&o->thread, NULL, read_tokenizer, o);
    if (!o->is_beside)
        read_tokenizer(o);
}

static enum err_code have_tokenizer(struct opening *o, struct err *err)
{
    if (o->is_beside)
        pthread_join(o->thread, NULL);
    o->is_beside = false;
    return o->rc == ERR_NONE ? ERR_NONE : err_set(err, o->rc, "%s", o->why.msg);
}

/* texts, the last of which as often as fills a row. Then that row with the greatest of all ids in
 * its midst: where another token than it ends a text, it is what cuts a row too early. */
static const char *const texts[] = {
    "", "a dog", "two children on the beach at sunset, and a red boat on the sea behind them",
    "boats, "
};
enum { N_TEXTS = sizeof texts / sizeof *texts, N_ROWS = N_TEXTS + 1 };

static enum err_code try_text(const struct opening *o, size_t i, struct infer_session *s, bool cut,
                              struct text_ids *ids, struct buf *out, struct err *err)
{
    const size_t length = o->text->context_length;
    const struct text_fit fit = { .max_length = length,
                                  .pad_length = length,
                                  .pad_id = o->t->fit.pad_id };
    struct buf text = { 0 };
    enum err_code rc = ERR_NONE;
    for (size_t n = i + 1 < N_TEXTS ? 1 : length; n && rc == ERR_NONE; n--)
        rc = buf_puts(&text, texts[i], err);
    if (rc == ERR_NONE)
        rc = text_encode(o->t->tokenizer, text.data, text.len, &fit, ids, err);
    if (rc == ERR_NONE)
        rc = try_row(s, ids, cut, out, err);
    buf_clear(&text);
    return rc;
}

static enum err_code try_rows(void *arg, struct infer_session *s, bool cut, struct buf *out,
                              struct err *err)
{
    struct opening *o = arg;
    struct text_ids ids = { 0 };
    enum err_code rc = have_tokenizer(o, err);
    for (size_t i = 0; i < N_TEXTS && rc == ERR_NONE; i++)
        rc = try_text(o, i, s, cut, &ids, out, err);
    if (rc == ERR_NONE) {
        ids.ids[ids.n / 2] = text_greatest_id(o->t->tokenizer);
        rc = try_row(s, &ids, cut, out, err);
    }
    text_ids_clear(&ids);
    return rc;
}

static enum err_code open_network(struct opening *o, struct infer *in, struct err *err)
{
    struct task_clip_textual *t = o->t;
    const struct infer_prefix prefix = { try_rows, N_ROWS, o };
    char *says = NULL;
    enum err_code rc =
        task_clip_open_network(&t->session, &t->dim, in, o->folder, MODEL_TEXTUAL, &prefix, err);
    if (rc == ERR_NONE)
        rc = infer_metadata(t->session, INFER_PREFIX_KEY, &says, err);
    t->cut_from = says ? strtoll(says, NULL, 10) : -1;
    free(says);
    return rc;
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
    int64_t fixed = t->cut_from;
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
    struct opening o = { .t = t, .folder = f, .text = &m };
    start(&o);
    enum err_code opened = open_network(&o, in, err);
    rc = have_tokenizer(&o, opened == ERR_NONE ? err : NULL);
    rc = opened == ERR_NONE ? rc : opened;
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
        rc = as_tensor(infer_input(t->session, i)->type, row,
                       t->cut_from >= 0 ? settled(&ids) : ids.n, &wide[i], &x[i], err);
    }
    if (rc == ERR_NONE)
        rc = task_network_embed(t->session, x, t->n_inputs, 1, t->dim, out, err);
    for (size_t i = 0; i < INPUTS_MAX; i++)
        free(wide[i]);
    text_ids_clear(&ids);
    return rc;
}
