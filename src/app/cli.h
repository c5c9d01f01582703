/* cli.h - the command line: tables of commands and options, one reader for all of them.
 *
 * The tables are also where help texts, the manual page and the shells' completions
 * (tools/cli_doc.c) come from, so an option cannot be without one. */
#ifndef FOVEA_APP_CLI_H
#define FOVEA_APP_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum {
    EXIT_OK = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
    CLI_OPTIONS_MAX = 16,
    CLI_REPEATED_MAX = 16,
};

struct cli_option {
    const char *name; /* "library", given as --library DIR or --library=DIR */
    char letter;      /* 'n' for -n 5; 0: none */
    const char *arg;  /* what its value is called, which tells shells what to complete; NULL: a
                         switch. Of one that ends in "..." each given counts, else the last */
    const char *help;
};

struct config;

/* What a command gets: values[i] belongs to options[i]: its text, "" for a switch, NULL when
 * absent. */
struct cli_call {
    const struct cli_command *command;
    const struct config *config;
    const char *values[CLI_OPTIONS_MAX];
    const char *repeated[CLI_REPEATED_MAX]; /* of the one that may be repeated, in order */
    size_t n_repeated;
    const char *const *args;
    size_t n_args;
};

struct cli_command {
    const char *name, *args, *summary, *details;
    const struct cli_option *options;        /* ends with a name of NULL */
    int (*run)(const struct cli_call *call); /* an exit status */
    unsigned uses;                           /* of settings: CONFIG_USE() bits */
};

/* The value of an option by its name; NULL when it was not given. */
const char *cli_value(const struct cli_call *call, const char *name);
bool cli_given(const struct cli_call *call, const char *name);
/* The library's folder and the CLIP model: the option's where it was given, else the setting's. */
const char *cli_library(const struct cli_call *call);
const char *cli_model(const struct cli_call *call);
/* The option's number within [min, max], `otherwise` when absent; false after telling what is
 * wrong. */
bool cli_number(const struct cli_call *call, const char *name, int64_t min, int64_t max,
                int64_t otherwise, int64_t *out);

/* argv without the command's name. Returns -1 to go on, or the exit status of --help or a mistake.
 */
int cli_read(struct cli_call *call, int argc, char **argv);
void cli_help(const struct cli_command *command);

/* "fovea: message" on stderr; returns EXIT_FAILED or, for cli_usage, EXIT_USAGE with a word on
 * --help. */
int cli_fail(const struct err *err);
int cli_usage(const struct cli_call *call, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

extern const struct cli_command cli_index, cli_search, cli_similar, cli_status, cli_doctor,
    cli_check, cli_forget, cli_vacuum, cli_export, cli_import, cli_embed, cli_models, cli_serve,
    cli_ping, cli_verify;
/* All of them, in the order in which they are told; ends with NULL. */
extern const struct cli_command *const cli_commands[];

#endif
