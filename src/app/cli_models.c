/* cli_models.c - `fovea models`: what there is, and getting, checking and removing it. */
#include <stdio.h>
#include <string.h>

#include "app/cli.h"
#include "app/engine.h"
#include "app/out.h"
#include "base/str.h"
#include "net/net.h"

static const struct cli_option options[] = {
    { "quiet", 'q', NULL, "no progress" },
    { NULL, 0, NULL, NULL },
};

/* What a verb gets. names: its arguments. */
struct models {
    const struct cli_call *call;
    const char *const *names;
    size_t n_names;
    struct fetch *fetch;
    struct out_progress bar;
    size_t n_bad, n_unknown; /* verify: files, and models of no known hash */
};

static void show(const struct fetch_progress *p, void *ctx)
{
    struct models *m = ctx;
    out_progress_bytes(&m->bar, p->name, p->n_done_bytes, p->n_bytes);
}

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

/* The folder of NAME or TASK/NAME, which may be a model of the user's own. */
static enum err_code folder_of(const struct models *m, const char *name, struct model_folder *out,
                               struct err *err)
{
    const char *slash = strchr(name, '/');
    size_t n_found = 0;
    for (int t = 0; t < MODEL_N_TASKS; t++) {
        const char *task = model_task_name((enum model_task)t);
        struct model_folder f;
        bool named = slash && strlen(task) == (size_t)(slash - name) && str_starts(name, task);
        if ((named || !slash) && model_find(m->call->config->models_dir, (enum model_task)t,
                                            named ? slash + 1 : name, &f, NULL) == ERR_NONE) {
            *out = f;
            n_found++;
        }
    }
    if (n_found > 1)
        return err_set(err, ERR_INVALID,
                       "\"%.60s\" is the name of several models: say which as TASK/%.60s", name,
                       name);
    return n_found ? ERR_NONE
                   : err_set(err, ERR_NOT_FOUND, "no model \"%.60s\" in %s", name,
                             m->call->config->models_dir);
}

static bool is_there(const struct fetch *f, const struct model_row *row)
{
    return fetch_is_there(f, row, model_types(row->task)[0]) &&
           fetch_is_there(f, row, model_types(row->task)[1]);
}

static enum err_code print_folder(const struct model_folder *f, void *ctx, struct err *err)
{
    const struct models *m = ctx;
    const struct model_row *row = model_known(f->task, f->name);
    struct fetch_size size;
    char bytes[16];
    enum err_code rc = fetch_measure(f, &size, err);
    if (rc != ERR_NONE)
        return rc;
    printf("%-18s  ", model_task_name(f->task));
    out_path(stdout, f->name);
    printf("  %s%s\n", str_bytes(size.n_bytes, bytes),
           !row                      ? ", not one of Immich's"
           : is_there(m->fetch, row) ? ""
                                     : ", not whole");
    return ERR_NONE;
}

static int run_list(struct models *m, struct err *err)
{
    size_t n;
    const struct model_row *rows = model_registry(&n);
    if (m->n_names)
        return cli_usage(m->call, "list takes no name");
    printf("in %s:\n", m->call->config->models_dir);
    if (model_list(m->call->config->models_dir, print_folder, m, err) != ERR_NONE)
        return cli_fail(err);
    printf("\nto be had by `fovea models pull NAME`:\n");
    for (size_t i = 0; i < n; i++)
        if (!is_there(m->fetch, &rows[i]))
            printf("%-18s  %s\n", model_task_name(rows[i].task), rows[i].name);
    return EXIT_OK;
}

static void print_missing(const char *path, const char *url, void *ctx)
{
    (void)ctx;
    fprintf(stderr, "  %s\n    from %s\n", path, net_shown(url).text);
}

static enum err_code pull_one(struct models *m, const char *name, struct err *err)
{
    const struct model_row *row = row_of(name, err);
    if (!row)
        return ERR_NOT_FOUND;
    bool was_there = is_there(m->fetch, row);
    enum err_code rc = fetch_model(m->fetch, row, err);
    out_progress_end(&m->bar);
    if (rc == ERR_NONE) {
        printf("%s: %s\n", row->name, was_there ? "already there" : "fetched");
        return rc;
    }
    fprintf(stderr, "missing of %s, if you want to get it by hand:\n", row->name);
    fetch_list_missing(m->fetch, row, print_missing, NULL);
    return rc;
}

static int run_pull(struct models *m, struct err *err)
{
    if (!m->n_names)
        return cli_usage(m->call, "pull which? `fovea models list` names them");
    for (size_t i = 0; i < m->n_names; i++)
        if (pull_one(m, m->names[i], err) != ERR_NONE)
            return cli_fail(err);
    return EXIT_OK;
}

struct verified {
    size_t n_whole, n_bad;
    uint64_t n_bytes;
};

static void count_checked(const struct fetch_checked *is, void *ctx)
{
    struct verified *v = ctx;
    v->n_whole += is->state == FETCH_WHOLE;
    v->n_bytes += is->n_bytes;
    if (is->state == FETCH_WHOLE)
        return;
    v->n_bad++;
    out_failure(stdout, is->path,
                is->state == FETCH_ABSENT ? "missing"
                                          : "not what was fetched: its SHA-256 differs");
    putchar('\n');
}

/* What was got in another way has no hash to be compared with. One that cannot be checked keeps no
 * other from it. */
static enum err_code verify_one(const struct model_folder *f, void *ctx, struct err *err)
{
    struct models *m = ctx;
    struct verified v = { 0 };
    struct err why = { 0 };
    char bytes[16];
    (void)err;
    enum err_code rc = fetch_check(m->fetch, f, count_checked, &v, &why);
    printf("%s/", model_task_name(f->task));
    if (rc != ERR_NONE) {
        out_failure(stdout, f->name, why.msg);
        putchar('\n');
        m->n_bad += v.n_bad + 1;
        return ERR_NONE;
    }
    out_path(stdout, f->name);
    if (v.n_bad)
        printf(": %zu of %zu files are not whole\n", v.n_bad, v.n_bad + v.n_whole);
    else if (v.n_whole)
        printf(": %s, %s: whole\n", out_count(v.n_whole, "file").text, str_bytes(v.n_bytes, bytes));
    else
        printf(": no hash is known: fovea did not fetch it\n");
    m->n_bad += v.n_bad;
    m->n_unknown += !v.n_bad && !v.n_whole;
    return ERR_NONE;
}

/* A model that was named and cannot be verified is a failure; among all of them it is not. */
static int run_verify(struct models *m, struct err *err)
{
    enum err_code rc = ERR_NONE;
    if (!m->n_names)
        rc = model_list(m->call->config->models_dir, verify_one, m, err);
    for (size_t i = 0; i < m->n_names && rc == ERR_NONE; i++) {
        struct model_folder f;
        rc = folder_of(m, m->names[i], &f, err);
        if (rc == ERR_NONE)
            rc = verify_one(&f, m, err);
    }
    if (rc != ERR_NONE)
        return cli_fail(err);
    if (m->n_bad)
        fprintf(stderr, "fovea: `fovea models remove NAME`, then `pull NAME`, fetches it again\n");
    return m->n_bad || (m->n_names && m->n_unknown) ? EXIT_FAILED : EXIT_OK;
}

static int run_remove(struct models *m, struct err *err)
{
    if (!m->n_names)
        return cli_usage(m->call, "remove which?");
    for (size_t i = 0; i < m->n_names; i++) {
        struct model_folder f;
        struct fetch_size size = { 0 };
        char bytes[16];
        if (folder_of(m, m->names[i], &f, err) != ERR_NONE ||
            fetch_remove(m->fetch, &f, &size, err) != ERR_NONE)
            return cli_fail(err);
        printf("removed %s/", model_task_name(f.task));
        out_path(stdout, f.name);
        printf(": %s, %s\n", out_count(size.n_files, "file").text, str_bytes(size.n_bytes, bytes));
    }
    return EXIT_OK;
}

/* DIR [NAME]: without a name, the folder's is the model's. */
static int run_import(struct models *m, struct err *err)
{
    char dir[MODEL_PATH_MAX];
    if (m->n_names < 1 || m->n_names > 2)
        return cli_usage(m->call,
                         "import takes a folder, and a name where that is not the folder's");
    if (snprintf(dir, sizeof dir, "%s", m->names[0]) >= (int)sizeof dir)
        return cli_usage(m->call, "that path is too long");
    for (size_t n = strlen(dir); n > 1 && dir[n - 1] == '/'; n--)
        dir[n - 1] = '\0';
    const struct model_row *row = row_of(m->n_names == 2 ? m->names[1] : dir, err);
    if (!row)
        return cli_fail(err);
    enum err_code rc = fetch_import(m->fetch, row, dir, err);
    out_progress_end(&m->bar);
    if (rc != ERR_NONE)
        return cli_fail(err);
    printf("%s: imported\n", row->name);
    return EXIT_OK;
}

static const struct {
    const char *name;
    int (*run)(struct models *m, struct err *err);
} verbs[] = {
    { "list", run_list },     { "pull", run_pull },     { "verify", run_verify },
    { "remove", run_remove }, { "import", run_import },
};

static int run(const struct cli_call *call)
{
    struct models m = { .call = call };
    struct err err = { 0 };
    out_progress_init(&m.bar, stderr);
    for (size_t i = 0; call->n_args && i < sizeof verbs / sizeof *verbs; i++) {
        if (strcmp(verbs[i].name, call->args[0]) != 0)
            continue;
        m.names = call->args + 1;
        m.n_names = call->n_args - 1;
        if (engine_fetch_create(&m.fetch, call->config, cli_given(call, "quiet") ? NULL : show, &m,
                                NULL, &err) != ERR_NONE)
            return cli_fail(&err);
        int status = verbs[i].run(&m, &err);
        fetch_destroy(m.fetch);
        return status;
    }
    return cli_usage(call, "give list, pull, verify, remove or import");
}

const struct cli_command cli_models = {
    .name = "models",
    .args =
        "[OPTION...] list | pull NAME... | verify [NAME...] | remove NAME... | import DIR [NAME]",
    .summary = "list, fetch, check and remove models",
    .details = "list               what is there, and what of Immich's models is to be had\n"
               "pull NAME...       fetch what of them is not there\n"
               "verify [NAME...]   compare the files with the hashes that they were fetched with\n"
               "remove NAME...     delete them; TASK/NAME where a name is of several tasks\n"
               "import DIR [NAME]  copy a model that was got in another way\n\n"
               "Models lie in $MACHINE_LEARNING_CACHE_FOLDER. docs/models.md tells how to choose "
               "one, and how to\n"
               "get one to a machine without a network.",
    .options = options,
    .run = run,
    .uses = CONFIG_USE(CONFIG_MODELS),
};
