/* verify_report.c - what came of it, for people and for programs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/out.h"
#include "app/verify.h"

enum { NOTES_SHOWN = 20 };

static const struct kind_words {
    const char *what, *thing, *task, *type;
} words[AGREE_N_KINDS] = {
    [AGREE_VISUAL] = { "pictures", "vector", "clip", "visual" },
    [AGREE_TEXTUAL] = { "words", "vector", "clip", "textual" },
    [AGREE_FACES] = { "faces", "face", "facial-recognition", NULL },
    [AGREE_OCR] = { "text", "line", "ocr", NULL },
};

static const struct event_words {
    const char *name, *text;
} events[] = {
    [VERIFY_DIFFERS] = { "differs", "" },
    [VERIFY_ONLY_HERE] = { "only-here", "answered here alone; there: " },
    [VERIFY_ONLY_THERE] = { "only-there", "answered there alone; here: " },
    [VERIFY_SILENT] = { "no-answer", "no answer there: " },
    [VERIFY_UNREAD] = { "unread", "not asked about: " },
};

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* 0 of none; v is brought into order. */
static double median(double *v, size_t n)
{
    if (!n)
        return 0;
    qsort(v, n, sizeof *v, ascending);
    return (v[(n - 1) / 2] + v[n / 2]) / 2;
}

static double mean_cosine(const struct agree *a)
{
    return a->n_cosines ? a->sum_cosine / (double)a->n_cosines : 0;
}

static bool all_passed(const struct verify *v)
{
    bool passed = true;
    for (size_t i = 0; i < v->n_checks; i++)
        passed &= verify_passed(&v->checks[i]);
    return passed;
}

/* ---- for people ---- */

static void print_numbers(const struct verify_check *c)
{
    const struct agree *a = &c->agree;
    if (a->n_cosines)
        printf("  %10.7f  %10.7f", a->min_cosine, mean_cosine(a));
    else
        printf("  %10s  %10s", "-", "-");
    if (c->kind <= AGREE_TEXTUAL && a->n_cosines)
        printf("  %8.1e", a->max_norm);
    else
        printf("  %8s", "-");
    printf("  %8.1f  %8.1f\n", median(c->here_ms, c->n_compared),
           median(c->there_ms, c->n_compared));
}

static void print_check(const struct verify_check *c, int width)
{
    char alike[96];
    snprintf(alike, sizeof alike, "%zu of %s", c->agree.n_alike,
             out_count(c->agree.n, words[c->kind].thing).text);
    printf("%-6s  %-8s  %-*s  %-20s", verify_passed(c) ? "ok" : "SHORT", words[c->kind].what, width,
           c->model, alike);
    print_numbers(c);
}

static void print_table(const struct verify *v)
{
    int width = 5;
    for (size_t i = 0; i < v->n_checks; i++)
        if ((int)strlen(v->checks[i].model) > width)
            width = (int)strlen(v->checks[i].model);
    printf("%-6s  %-8s  %-*s  %-20s  %10s  %10s  %8s  %8s  %8s\n", "", "", width, "model", "alike",
           "min cosine", "mean", "norm off", "here ms", "there ms");
    for (size_t i = 0; i < v->n_checks; i++)
        print_check(&v->checks[i], width);
}

static void print_notes(const struct verify *v)
{
    size_t n_neither = 0;
    for (size_t i = 0; i < v->n_checks; i++)
        n_neither += v->checks[i].n_neither;
    if (v->n_notes || n_neither)
        printf("\n");
    for (size_t i = 0; i < v->n_notes && i < NOTES_SHOWN; i++) {
        const struct verify_note *n = &v->notes[i];
        printf("%s: ", words[n->check->kind].what);
        out_path(stdout, n->input);
        printf(": %s", events[n->event].text);
        out_path(stdout, n->why);
        printf("\n");
    }
    if (v->n_notes > NOTES_SHOWN)
        printf("and %zu more; --json lists them all\n", v->n_notes - NOTES_SHOWN);
    if (n_neither)
        printf("%s refused by both\n", out_count(n_neither, "question").text);
}

static void print_bar(const struct verify *v, const struct verify_check *c)
{
    if (!c->n_compared)
        printf("%s: nothing could be compared\n", words[c->kind].what);
    else if (c->kind <= AGREE_TEXTUAL)
        printf("%s: each is to have a cosine of %g and a norm within %g\n", words[c->kind].what,
               v->min_cosine, AGREE_NORM);
    else
        printf("%s: %g %% of the %ss are to be alike, and nothing answered there alone\n",
               words[c->kind].what, 100 * agree_share(c->kind), words[c->kind].thing);
}

void verify_report_text(const struct verify *v)
{
    printf("fovea " FOVEA_VERSION " here, %s there: %s\n\n", net_shown(v->url).text,
           out_count(v->photos.n, "picture").text);
    print_table(v);
    print_notes(v);
    printf("\n");
    if (all_passed(v)) {
        printf("The answers are the same: what was made with the other service stays valid.\n");
        return;
    }
    printf("The answers are NOT the same.\n");
    for (size_t i = 0; i < v->n_checks; i++)
        if (!verify_passed(&v->checks[i]))
            print_bar(v, &v->checks[i]);
}

/* ---- for programs ---- */

static enum err_code put_text(struct buf *b, const char *key, const char *text, struct err *err)
{
    enum err_code rc = buf_puts(b, key, err);
    return rc == ERR_NONE ? json_put_string(b, text, strlen(text), err) : rc;
}

static enum err_code put_kind(struct buf *b, const struct verify_check *c, struct err *err)
{
    enum err_code rc = put_text(b, "{\"task\":", words[c->kind].task, err);
    if (rc == ERR_NONE && words[c->kind].type)
        rc = put_text(b, ",\"type\":", words[c->kind].type, err);
    return rc == ERR_NONE ? put_text(b, ",\"model\":", c->model, err) : rc;
}

static enum err_code put_check(struct buf *b, const struct verify_check *c, struct err *err)
{
    const struct agree *a = &c->agree;
    enum err_code rc = put_kind(b, c, err);
    if (rc == ERR_NONE)
        rc = buf_printf(b, err,
                        ",\"passed\":%s,\"asked\":%zu,\"compared\":%zu,\"only_here\":%zu,"
                        "\"only_there\":%zu,\"neither\":%zu,\"no_answer\":%zu,\"%ss\":%zu,"
                        "\"alike\":%zu,\"other_size\":%zu",
                        verify_passed(c) ? "true" : "false", c->n_asked, c->n_compared,
                        c->n_only_here, c->n_only_there, c->n_neither, c->n_silent,
                        words[c->kind].thing, a->n, a->n_alike, a->n_sizes);
    if (rc == ERR_NONE && a->n_cosines)
        rc = buf_printf(b, err, ",\"cosine_min\":%.9g,\"cosine_mean\":%.9g", a->min_cosine,
                        mean_cosine(a));
    if (rc == ERR_NONE && a->n_cosines && c->kind <= AGREE_TEXTUAL)
        rc = buf_printf(b, err, ",\"norm_off_max\":%.9g", a->max_norm);
    return rc == ERR_NONE
               ? buf_printf(b, err, ",\"here_ms\":%.3f,\"there_ms\":%.3f}",
                            median(c->here_ms, c->n_compared), median(c->there_ms, c->n_compared))
               : rc;
}

static enum err_code put_note(struct buf *b, const struct verify_note *n, struct err *err)
{
    enum err_code rc = put_kind(b, n->check, err);
    if (rc == ERR_NONE)
        rc = put_text(b, ",\"event\":", events[n->event].name, err);
    if (rc == ERR_NONE)
        rc = put_text(b, ",\"input\":", n->input, err);
    if (rc == ERR_NONE)
        rc = put_text(b, ",\"why\":", n->why, err);
    return rc == ERR_NONE ? buf_puts(b, "}", err) : rc;
}

enum err_code verify_report_json(const struct verify *v, struct buf *b, struct err *err)
{
    enum err_code rc = put_text(b, "{\"fovea\":", FOVEA_VERSION, err);
    if (rc == ERR_NONE)
        rc = put_text(b, ",\"url\":", net_shown(v->url).text, err);
    if (rc == ERR_NONE)
        rc = buf_printf(b, err, ",\"passed\":%s,\"checks\":[", all_passed(v) ? "true" : "false");
    for (size_t i = 0; i < v->n_checks && rc == ERR_NONE; i++) {
        rc = buf_puts(b, i ? "," : "", err);
        if (rc == ERR_NONE)
            rc = put_check(b, &v->checks[i], err);
    }
    if (rc == ERR_NONE)
        rc = buf_puts(b, "],\"notes\":[", err);
    for (size_t i = 0; i < v->n_notes && rc == ERR_NONE; i++) {
        rc = buf_puts(b, i ? "," : "", err);
        if (rc == ERR_NONE)
            rc = put_note(b, &v->notes[i], err);
    }
    return rc == ERR_NONE ? buf_puts(b, "]}\n", err) : rc;
}
