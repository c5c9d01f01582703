#include "app/verify.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "remote/remote.h"
#include "sys/clock.h"
#include "sys/file.h"

/* What people look for, and what tokenizers take apart differently: other scripts, an emoji, marks,
 * spaces, a text longer than a model takes. */
const char *const verify_texts[] = {
    "a dog on the beach",
    "sunset over mountains",
    "birthday cake with candles",
    "a red car in the snow",
    "zwei Kinder spielen im Garten",
    "une église au bord de la mer",
    "кошка на подоконнике",
    "海边的日落",
    "🐶 snow",
    "  Grandma's  60th -- June 2019  ",
    "IMG_2041.JPG",
    "a very long description of a photograph in which a family stands before an old stone house "
    "with green shutters, two dogs lie in the grass, a child holds a yellow balloon, clouds gather "
    "over the hills behind them, and on the left a bicycle leans against a wooden fence that "
    "somebody has begun to paint white but has not finished, next to a row of sunflowers",
};
const size_t verify_n_texts = sizeof verify_texts / sizeof *verify_texts;

/* Requests as Immich's server makes them with its default settings; @ is the model's name. */
static const char *const requests[AGREE_N_KINDS] = {
    [AGREE_VISUAL] = "{\"clip\":{\"visual\":{\"modelName\":@}}}",
    [AGREE_TEXTUAL] = "{\"clip\":{\"textual\":{\"modelName\":@}}}",
    [AGREE_FACES] = "{\"facial-recognition\":{\"detection\":{\"modelName\":@,\"options\":"
                    "{\"minScore\":0.7}},\"recognition\":{\"modelName\":@}}}",
    [AGREE_OCR] = "{\"ocr\":{\"detection\":{\"modelName\":@,\"options\":{\"minScore\":0.5,"
                  "\"maxResolution\":736}},\"recognition\":{\"modelName\":@,\"options\":"
                  "{\"minScore\":0.8}}}}",
};

enum err_code verify_add(struct verify *v, enum agree_kind kind, const char *model, struct err *err)
{
    struct verify_check *c = &v->checks[v->n_checks++];
    *c = (struct verify_check){ .kind = kind, .model = model, .agree.min_cosine = 1 };
    enum err_code rc = ERR_NONE;
    for (const char *at = requests[kind]; *at && rc == ERR_NONE; at++)
        rc = *at == '@' ? json_put_string(&c->entries, model, strlen(model), err)
                        : buf_append(&c->entries, at, 1, err);
    return rc == ERR_NONE ? predict_entries_parse(c->entries.data, c->entries.len, &c->parsed, err)
                          : rc;
}

size_t verify_n_inputs(const struct verify *v, const struct verify_check *c)
{
    return c->kind == AGREE_TEXTUAL ? verify_n_texts : v->photos.n;
}

bool verify_passed(const struct verify_check *c)
{
    const struct agree *a = &c->agree;
    return c->n_compared && !c->n_only_there && !c->n_silent && !a->n_sizes &&
           (double)a->n_alike >= agree_share(c->kind) * (double)a->n;
}

static enum err_code note(struct verify *v, const struct verify_check *c, enum verify_event event,
                          const char *input, const char *why, struct err *err)
{
    if (v->n_notes == v->cap_notes) {
        size_t cap = v->cap_notes ? v->cap_notes * 2 : 16;
        struct verify_note *notes = realloc(v->notes, cap * sizeof *notes);
        if (!notes)
            return err_set(err, ERR_NOMEM, "list of %zu differences", cap);
        v->notes = notes;
        v->cap_notes = cap;
    }
    struct verify_note n = { c, event, str_ndup(input, strlen(input)), str_ndup(why, strlen(why)) };
    v->notes[v->n_notes++] = n;
    return n.input && n.why ? ERR_NONE : err_set(err, ERR_NOMEM, "note of a difference");
}

/* ---- one question ---- */

struct question {
    const struct verify_check *check;
    const char *input;
    struct predict_input in;
};

/* What a side said: an answer, a refusal, or nothing that makes sense. */
struct said {
    enum { ANSWERED, REFUSED, SILENT } how;
    struct err why; /* unless it answered */
    double ms;
};

static void ask_here(const struct question *q, struct predict *p, struct buf *answer,
                     struct said *out)
{
    int64_t start = clock_mono_ns();
    if (predict_run(p, &q->check->parsed, &q->in, answer, &out->why) != ERR_NONE)
        out->how = REFUSED;
    out->ms = clock_ms_since(start);
}

/* The statuses with which an input is refused. Immich's own answers 500 to a picture that it cannot
 * read; the others tell of the service or of what stands before it. */
static bool is_refusal(unsigned status)
{
    return status == 400 || status == 413 || status == 415 || status == 422 || status == 500;
}

static void ask_there(const struct question *q, const struct verify *v, struct net *net,
                      struct net_response *r, struct said *out)
{
    int64_t start = clock_mono_ns();
    enum err_code rc = remote_predict(net, v->url, v->token, q->check->entries.data, &q->in,
                                      VERIFY_ANSWER_MS, r, &out->why);
    out->ms = clock_ms_since(start);
    if (rc == ERR_NONE && r->status == 200)
        return;
    out->how = rc == ERR_NONE && is_refusal(r->status) ? REFUSED : SILENT;
    err_set(&out->why, ERR_IO, "status %u: %.200s", r->status, r->body.len ? r->body.data : "");
}

static enum err_code compare(struct verify *v, struct verify_check *c, const struct question *q,
                             const struct buf *here, const struct buf *there, struct said *said,
                             struct err *err)
{
    struct agree before = c->agree;
    enum err_code rc = agree_compare(c->kind, v->min_cosine, here, there, &c->agree, &said->why);
    if (rc == ERR_NOMEM)
        return err_set(err, rc, "%s", said->why.msg);
    if (rc != ERR_NONE) {
        said->how = SILENT;
        return ERR_NONE;
    }
    size_t n = c->agree.n - before.n, n_alike = c->agree.n_alike - before.n_alike;
    char why[128];
    if (c->agree.n_sizes > before.n_sizes)
        snprintf(why, sizeof why, "the picture has another size");
    else if (n_alike == n)
        return ERR_NONE;
    else if (c->kind <= AGREE_TEXTUAL)
        snprintf(why, sizeof why, "cosine %.6f", c->agree.sum_cosine - before.sum_cosine);
    else
        snprintf(why, sizeof why, "%zu of %zu %s alike", n_alike, n,
                 c->kind == AGREE_FACES ? "faces" : "lines");
    return note(v, c, VERIFY_DIFFERS, q->input, why, err);
}

static enum err_code settle(struct verify *v, struct verify_check *c, const struct question *q,
                            const struct said *here, const struct said *there, struct err *err)
{
    if (there->how == SILENT) {
        c->n_silent++;
        return note(v, c, VERIFY_SILENT, q->input, there->why.msg, err);
    }
    if (here->how == ANSWERED && there->how == ANSWERED) {
        c->here_ms[c->n_compared] = here->ms;
        c->there_ms[c->n_compared++] = there->ms;
        return ERR_NONE;
    }
    if (here->how == there->how) {
        c->n_neither++;
        return ERR_NONE;
    }
    bool only_here = there->how == REFUSED;
    ++*(only_here ? &c->n_only_here : &c->n_only_there);
    return note(v, c, only_here ? VERIFY_ONLY_HERE : VERIFY_ONLY_THERE, q->input,
                only_here ? there->why.msg : here->why.msg, err);
}

static enum err_code ask(struct verify *v, struct verify_check *c, const struct question *q,
                         struct predict *p, struct net *net, struct err *err)
{
    struct buf answer = { 0 };
    struct net_response response = { 0 };
    struct said here = { 0 }, there = { 0 };
    c->n_asked++;
    ask_here(q, p, &answer, &here);
    ask_there(q, v, net, &response, &there);
    enum err_code rc = ERR_NONE;
    v->n_silent_now = there.how == SILENT ? v->n_silent_now + 1 : 0;
    if (v->n_silent_now == VERIFY_SILENT_MAX)
        rc = err_set(err, ERR_IO, "no answer to %d requests in a row: %s", VERIFY_SILENT_MAX,
                     there.why.msg);
    if (rc == ERR_NONE && here.how == ANSWERED && there.how == ANSWERED)
        rc = compare(v, c, q, &answer, &response.body, &there, err);
    if (rc == ERR_NONE)
        rc = settle(v, c, q, &here, &there, err);
    buf_clear(&answer);
    net_response_clear(&response);
    return rc;
}

/* ---- all of a check ---- */

static enum err_code load(struct predict *p, const struct predict_entry *e, struct err *err)
{
    struct predict_bundle *b = NULL;
    enum err_code rc = predict_acquire(p, e->task, e->type, e->model, &b, err);
    predict_release(p, b);
    return rc;
}

enum err_code verify_load(const struct verify *v, struct predict *p, struct err *err)
{
    enum err_code rc = ERR_NONE;
    for (size_t i = 0; i < v->n_checks; i++)
        for (size_t k = 0; k < v->checks[i].parsed.n && rc == ERR_NONE; k++)
            rc = load(p, &v->checks[i].parsed.at[k], err);
    return rc;
}

static enum err_code ask_about(struct verify *v, struct verify_check *c, size_t i,
                               struct predict *p, struct net *net, struct err *err)
{
    bool of_text = c->kind == AGREE_TEXTUAL;
    struct question q = { .check = c };
    q.input = of_text ? verify_texts[i] : v->photos.paths[i];
    uint8_t *bytes = NULL;
    struct err why = { 0 };
    if (of_text) {
        q.in.text = q.input;
        q.in.n_text = strlen(q.input);
    } else if (file_read(q.input, v->max_bytes, &bytes, &q.in.n_image, NULL, &why) != ERR_NONE) {
        return note(v, c, VERIFY_UNREAD, q.input, why.msg, err);
    }
    q.in.image = bytes;
    enum err_code rc = ask(v, c, &q, p, net, err);
    free(bytes);
    return rc;
}

enum err_code verify_run(struct verify *v, struct verify_check *c, struct predict *p,
                         struct net *net, void (*on_asked)(void *ctx), void *ctx, struct err *err)
{
    size_t n = verify_n_inputs(v, c);
    c->here_ms = calloc(n + 1, sizeof *c->here_ms);
    c->there_ms = calloc(n + 1, sizeof *c->there_ms);
    enum err_code rc =
        c->here_ms && c->there_ms ? ERR_NONE : err_set(err, ERR_NOMEM, "times of %zu questions", n);
    for (size_t i = 0; i < n && rc == ERR_NONE; i++) {
        rc = ask_about(v, c, i, p, net, err);
        on_asked(ctx);
    }
    return rc;
}

void verify_clear(struct verify *v)
{
    for (size_t i = 0; i < v->n_checks; i++) {
        buf_clear(&v->checks[i].entries);
        predict_entries_clear(&v->checks[i].parsed);
        free(v->checks[i].here_ms);
        free(v->checks[i].there_ms);
    }
    for (size_t i = 0; i < v->n_notes; i++) {
        free(v->notes[i].input);
        free(v->notes[i].why);
    }
    free(v->notes);
    photos_clear(&v->photos);
    *v = (struct verify){ 0 };
}
