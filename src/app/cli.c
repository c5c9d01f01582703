#include "app/cli.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "app/config.h"
#include "base/str.h"

const struct cli_command *const cli_commands[] = {
    &cli_index,  &cli_search, &cli_similar, &cli_status, &cli_doctor, &cli_check,
    &cli_forget, &cli_vacuum, &cli_export,  &cli_import, &cli_embed,  &cli_models,
    &cli_serve,  &cli_ping,   &cli_verify,  NULL,
};

static size_t n_options(const struct cli_command *c)
{
    size_t n = 0;
    while (c->options[n].name)
        n++;
    return n;
}

const char *cli_value(const struct cli_call *call, const char *name)
{
    for (size_t i = 0; call->command->options[i].name; i++)
        if (!strcmp(call->command->options[i].name, name))
            return call->values[i];
    return NULL;
}

bool cli_given(const struct cli_call *call, const char *name)
{
    return cli_value(call, name) != NULL;
}

const char *cli_library(const struct cli_call *call)
{
    const char *given = cli_value(call, "library");
    return given ? given : call->config->library_dir;
}

const char *cli_model(const struct cli_call *call)
{
    const char *given = cli_value(call, "model");
    return given ? given : call->config->model;
}

bool cli_number(const struct cli_call *call, const char *name, int64_t min, int64_t max,
                int64_t otherwise, int64_t *out)
{
    const char *v = cli_value(call, name);
    *out = otherwise;
    if (!v || str_to_i64(v, min, max, out))
        return true;
    cli_usage(call, "--%s takes a whole number from %lld to %lld, not \"%.60s\"", name,
              (long long)min, (long long)max, v);
    return false;
}

int cli_fail(const struct err *err)
{
    fprintf(stderr, "fovea: %s\n", err->msg[0] ? err->msg : err_code_name(err->code));
    return EXIT_FAILED;
}

int cli_usage(const struct cli_call *call, const char *fmt, ...)
{
    struct err e = { 0 }; /* err_set makes it one line whatever the user typed */
    char text[400];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    err_set(&e, ERR_INVALID, "%s", text);
    fprintf(stderr, "fovea %s: %s (`fovea %s --help` tells more)\n", call->command->name, e.msg,
            call->command->name);
    return EXIT_USAGE;
}

void cli_help(const struct cli_command *c)
{
    printf("usage: fovea %s%s%s\n\n%s\n", c->name, *c->args ? " " : "", c->args, c->details);
    printf("\noptions:\n");
    for (const struct cli_option *o = c->options; o->name; o++) {
        char left[64];
        snprintf(left, sizeof left, "%s%.1s%s--%s%s%s", o->letter ? "-" : "", &o->letter,
                 o->letter ? ", " : "    ", o->name, o->arg ? " " : "", o->arg ? o->arg : "");
        printf("  %-22s  %s\n", left, o->help);
    }
    printf("  %-22s  %s\n", "-h, --help", "this text");
    if (c->uses & CONFIG_USE(CONFIG_SERVICE)) {
        printf("\nsettings from the environment:\n");
        config_print_help(c->uses);
    }
}

/* -1, or the exit status of one too many. */
static int take_value(struct cli_call *call, size_t k, const char *value)
{
    const struct cli_option *o = &call->command->options[k];
    call->values[k] = value;
    if (!o->arg || !str_ends(o->arg, "..."))
        return -1;
    if (call->n_repeated == CLI_REPEATED_MAX)
        return cli_usage(call, "--%s is given more than %d times", o->name, CLI_REPEATED_MAX);
    call->repeated[call->n_repeated++] = value;
    return -1;
}

/* --name, --name=value or --name value; *i moves past a value that is an argument of its own. */
static int read_long(struct cli_call *call, int argc, char **argv, int *i)
{
    const char *given = argv[*i] + 2;
    size_t len = strcspn(given, "=");
    for (size_t k = 0; k < n_options(call->command); k++) {
        const struct cli_option *o = &call->command->options[k];
        if (strlen(o->name) != len || strncmp(o->name, given, len) != 0)
            continue;
        if (!o->arg && given[len])
            return cli_usage(call, "--%s takes no value", o->name);
        if (o->arg && !given[len] && *i + 1 == argc)
            return cli_usage(call, "--%s needs a value: %s", o->name, o->arg);
        return take_value(call, k, !o->arg ? "" : given[len] ? given + len + 1 : argv[++*i]);
    }
    return cli_usage(call, "unknown option --%.*s", (int)(len < 60 ? len : 60), given);
}

/* -n5 or -n 5. A term such as -person looks like this too, hence the hint. */
static int read_short(struct cli_call *call, int argc, char **argv, int *i)
{
    const char *given = argv[*i] + 1;
    for (size_t k = 0; k < n_options(call->command); k++) {
        const struct cli_option *o = &call->command->options[k];
        if (!o->letter || o->letter != *given || (!o->arg && given[1]))
            continue;
        if (o->arg && !given[1] && *i + 1 == argc)
            return cli_usage(call, "-%c needs a value: %s", o->letter, o->arg);
        return take_value(call, k, !o->arg ? "" : given[1] ? given + 1 : argv[++*i]);
    }
    return cli_usage(call, "unknown option -%.60s; what follows -- is not read as options", given);
}

int cli_read(struct cli_call *call, int argc, char **argv)
{
    int n = 0, i = 0;
    for (; i < argc; i++) {
        int rc = -1;
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
            cli_help(call->command);
            return EXIT_OK;
        }
        if (!strcmp(argv[i], "--")) {
            i++;
            break;
        }
        if (!strncmp(argv[i], "--", 2))
            rc = read_long(call, argc, argv, &i);
        else if (argv[i][0] == '-' && argv[i][1])
            rc = read_short(call, argc, argv, &i);
        else
            argv[n++] = argv[i];
        if (rc >= 0)
            return rc;
    }
    while (i < argc)
        argv[n++] = argv[i++];
    call->args = (const char *const *)argv;
    call->n_args = (size_t)n;
    return -1;
}
