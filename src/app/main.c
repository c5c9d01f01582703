/* main.c - which command it is. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/cli.h"
#include "app/config.h"
#include "app/logging.h"
#include "infer/infer.h"

static void help(void)
{
    printf("fovea finds your photos by what is in them, on your own machine.\n\n"
           "usage: fovea COMMAND [OPTION...] [ARGUMENT...]\n\ncommands:\n");
    for (size_t i = 0; cli_commands[i]; i++)
        printf("  %-8s  %s\n", cli_commands[i]->name, cli_commands[i]->summary);
    printf("\n`fovea COMMAND --help` tells more of each, `fovea --version` the version.\n\n"
           "first steps:\n"
           "  fovea index ~/Pictures          read the photos, once; they are never changed\n"
           "  fovea search \"beach at sunset\"  find some\n\n"
           "settings from the environment:\n");
    config_print_help(CONFIG_USE(CONFIG_LIBRARY) | CONFIG_USE(CONFIG_MODELS));
    printf("\nThose of the service are told by `fovea serve --help`.\n");
}

static int run(const struct cli_command *command, int argc, char **argv)
{
    struct config config;
    struct err err = { 0 };
    struct cli_call call = { .command = command, .config = &config };
    int rc = cli_read(&call, argc, argv);
    if (rc >= 0)
        return rc;
    unsigned uses = command->uses;
    if (cli_given(&call, "library"))
        uses &= ~CONFIG_USE(CONFIG_LIBRARY);
    if (config_load(&config, uses, &err) != ERR_NONE)
        return cli_fail(&err);
    rc = command->run(&call);
    config_clear(&config);
    return rc;
}

/* Not for people: a process of ours asks for it by its socket. What drivers print is not to get
 * among the output of the command that it is for. */
static int try_provider(void)
{
    struct err err = { 0 };
    dup2(STDERR_FILENO, STDOUT_FILENO);
    return infer_probe_serve(STDIN_FILENO, &err) == ERR_NONE ? EXIT_OK : cli_fail(&err);
}

static int dispatch(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";
    if (!strcmp(name, "--version")) {
        printf("fovea " FOVEA_VERSION "\n");
        return EXIT_OK;
    }
    if (!strcmp(name, "infer-probe"))
        return try_provider();
    if (!*name || !strcmp(name, "--help") || !strcmp(name, "-h") || !strcmp(name, "help")) {
        help();
        return *name ? EXIT_OK : EXIT_USAGE;
    }
    for (size_t i = 0; cli_commands[i]; i++)
        if (!strcmp(name, cli_commands[i]->name))
            return run(cli_commands[i], argc - 2, argv + 2);
    struct err err = { 0 };
    err_set(&err, ERR_INVALID, "no command \"%.60s\"; `fovea --help` lists them", name);
    cli_fail(&err);
    return EXIT_USAGE;
}

/* Where one is closed, a file of ours would get its number, and what is printed. The filling is for
 * reading only, so that printing fails as it would have. */
static void fill_standard_descriptors(void)
{
    int fd = open("/dev/null", O_RDONLY);
    while (fd >= 0 && fd <= STDERR_FILENO)
        fd = open("/dev/null", O_RDONLY);
    if (fd >= 0)
        close(fd);
}

int main(int argc, char **argv)
{
    fill_standard_descriptors();
    logging_for_command();
    int rc = dispatch(argc, argv);
    /* A full disk behind a redirection must not pass for success. */
    if (fflush(stdout) || ferror(stdout)) {
        fprintf(stderr, "fovea: cannot write the output\n");
        return rc ? rc : EXIT_FAILED;
    }
    return rc;
}
