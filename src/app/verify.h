/* verify.h - the same questions put to this fovea and to another service, and what came of it.
 *
 * "here" is this fovea, in this process and with the settings that `fovea serve` would have;
 * "there" is the other, over HTTP. A check is one model's. */
#ifndef FOVEA_APP_VERIFY_H
#define FOVEA_APP_VERIFY_H

#include <stdbool.h>
#include <stddef.h>

#include "app/agree.h"
#include "app/photos.h"
#include "net/net.h"
#include "predict/predict.h"

enum {
    VERIFY_ANSWER_MS = 600000, /* a model may have to be downloaded there first */
    VERIFY_SILENT_MAX = 3,     /* questions in a row without an answer: it is given up */
};

struct verify_check {
    enum agree_kind kind;
    const char *model;
    struct buf entries; /* of a request, and read */
    struct predict_entries parsed;
    struct agree agree;
    size_t n_asked, n_compared, n_neither; /* neither: both refused it */
    size_t n_only_here, n_only_there, n_silent;
    double *here_ms, *there_ms; /* [n_compared] */
};

enum verify_event {
    VERIFY_DIFFERS,    /* compared, and not all of it is alike */
    VERIFY_ONLY_HERE,  /* refused there: no reason against this fovea */
    VERIFY_ONLY_THERE, /* refused here */
    VERIFY_SILENT,     /* there was no answer, or none to this question */
    VERIFY_UNREAD,     /* the file cannot be read, so nobody was asked */
};

/* An event of one question. */
struct verify_note {
    const struct verify_check *check;
    enum verify_event event;
    char *input, *why; /* a path or the text; a few words; on the heap */
};

struct verify {
    const char *url, *token; /* token: for it; NULL: none */
    double min_cosine;
    size_t max_bytes; /* of a photo */
    struct photos photos;
    struct verify_check checks[AGREE_N_KINDS];
    size_t n_checks;
    struct verify_note *notes;
    size_t n_notes, cap_notes;
    size_t n_silent_now; /* in a row */
};

/* What is asked about where the input is text. */
extern const char *const verify_texts[];
extern const size_t verify_n_texts;

/* Adds a check; model is borrowed. ERR_INVALID, ERR_NOMEM. */
enum err_code verify_add(struct verify *v, enum agree_kind kind, const char *model,
                         struct err *err);
size_t verify_n_inputs(const struct verify *v, const struct verify_check *c);

/* Loads the models of all checks, so that one that cannot be is told before anything is asked. What
 * predict_acquire() says. */
enum err_code verify_load(const struct verify *v, struct predict *p, struct err *err);

/* Puts all questions of a check to both sides; on_asked, after each. ERR_IO when the other side has
 * nothing to say any more; ERR_NOMEM. */
enum err_code verify_run(struct verify *v, struct verify_check *c, struct predict *p,
                         struct net *net, void (*on_asked)(void *ctx), void *ctx, struct err *err);

/* A check passes where something was compared, enough of it is alike, sizes are the same, and
 * nothing was refused here alone or answered with no answer. */
bool verify_passed(const struct verify_check *c);
void verify_clear(struct verify *v);

/* ---- verify_report.c ---- */

void verify_report_text(const struct verify *v);
enum err_code verify_report_json(const struct verify *v, struct buf *out, struct err *err);

#endif
