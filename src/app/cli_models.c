/* cli_models.c - `fovea models`: what there is, and getting, checking and removing it. */
#include <stdio.h>
#include <string.h>

#include "app/cli.h"
#include "app/engine.h"
#include "app/out.h"

static const struct cli_option options[] = {
    { "quiet", 'q', NULL, "no progress" },
    { NULL, 0, NULL, NULL },
};

/* The row of a name, of whatever task. */
static const struct model_row *row_of(const char *name, struct err *err)
{
    for (int t = 0; t < MODEL_N_TASKS; t++) {
        const struct model_row *row = model_known((enum model_task)t, name);
        if (row)
            return row;
    }
    err_set(err, ERR_NOT_FOUND, "no model \"%.60s\"; `fovea models list` names them", name);
    return NULL;
}

static bool is_there(const struct fetch *f, const struct model_row *row)
{
    bool clip = row->task == MODEL_CLIP;
    return fetch_is_there(f, row, clip ? MODEL_VISUAL : MODEL_DETECTION) &&
           fetch_is_there(f, row, clip ? MODEL_TEXTUAL : MODEL_RECOGNITION);
}

static void show(const struct fetch_progress *p, void *ctx)
{
    out_progress_bytes(ctx, p->name, p->n_done_bytes, p->n_bytes);
}

static void print_missing(const char *path, const char *url, void *ctx)
{
    (void)ctx;
    fprintf(stderr, "  %s\n    from %s\n", path, url);
}

static int run_list(const struct cli_call *call, struct fetch *f, struct err *err)
{
    size_t n;
    const struct model_row *rows = model_registry(&n);
    (void)call, (void)err;
    for (size_t i = 0; i < n; i++)
        printf("%-18s  %-54s  %s\n", model_task_name(rows[i].task), rows[i].name,
               is_there(f, &rows[i]) ? "there" : "-");
    return EXIT_OK;
}

static enum err_code pull_one(struct fetch *f, const char *name, struct err *err)
{
    const struct model_row *row = row_of(name, err);
    if (!row)
        return ERR_NOT_FOUND;
    bool was_there = is_there(f, row);
    enum err_code rc = fetch_model(f, row, err);
    if (rc == ERR_NONE) {
        printf("%s: %s\n", row->name, was_there ? "already there" : "fetched");
        return rc;
    }
    fprintf(stderr, "missing of %s:\n", row->name);
    fetch_list_missing(f, row, print_missing, NULL);
    return rc;
}

static int run_pull(const struct cli_call *call, struct fetch *f, struct err *err)
{
    if (call->n_args < 2)
        return cli_usage(call, "pull which? `fovea models list` names them");
    for (size_t i = 1; i < call->n_args; i++)
        if (pull_one(f, call->args[i], err) != ERR_NONE)
            return cli_fail(err);
    return EXIT_OK;
}

static const struct {
    const char *name;
    int (*run)(const struct cli_call *call, struct fetch *f, struct err *err);
} verbs[] = {
    { "list", run_list },
    { "pull", run_pull },
};

static int run(const struct cli_call *call)
{
    const char *verb = call->n_args ? call->args[0] : "";
    struct out_progress bar;
    struct fetch *f = NULL;
    struct err err = { 0 };
    out_progress_init(&bar, stderr);
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
        if (strcmp(verbs[i].name, verb) != 0)
            continue;
        if (engine_fetch_create(&f, call->config, cli_given(call, "quiet") ? NULL : show, &bar,
                                NULL, &err) != ERR_NONE)
            return cli_fail(&err);
        int rc = verbs[i].run(call, f, &err);
        fetch_destroy(f);
        return rc;
    }
    return cli_usage(call, "give list or pull");
}

const struct cli_command cli_models = {
    .name = "models",
    .args = "list | pull NAME...",
    .summary = "list, fetch, check and remove models",
    .details = "list           the models that Immich offers\n"
               "pull NAME...   fetch what of them is not there",
    .options = options,
    .run = run,
};
