/* cli_serve.c - `fovea serve`: the options, over the settings. */
#include "app/cli.h"
#include "app/config.h"
#include "app/serve.h"

static const struct cli_option options[] = {
    { "host", 0, "HOST", "the address to listen on (default: $IMMICH_HOST, all)" },
    { "port", 'p', "PORT", "the port, 0 for any (default: $IMMICH_PORT, 3003)" },
    { "socket", 0, "PATH", "listen on a Unix socket instead" },
    { NULL, 0, NULL, NULL },
};

static int run(const struct cli_call *call)
{
    const struct config *c = call->config;
    const char *host = cli_value(call, "host"), *socket = cli_value(call, "socket");
    int64_t port;
    if (call->n_args)
        return cli_usage(call, "takes no argument");
    if (socket && (host || cli_given(call, "port")))
        return cli_usage(call, "give either --socket or --host and --port");
    if (!cli_number(call, "port", 0, 65535, c->port, &port))
        return EXIT_USAGE;
    struct err err = { 0 };
    enum err_code rc = serve_run(c, host ? host : c->host, (unsigned)port, socket, &err);
    return rc == ERR_NONE ? EXIT_OK : cli_fail(&err);
}

const struct cli_command cli_serve = {
    .name = "serve",
    .args = "[OPTION...]",
    .summary = "answer Immich's machine-learning requests over HTTP",
    .details = "Serves GET /, GET /ping and POST /predict as Immich's machine-learning container "
               "does; give\n"
               "its URL, http://HOST:3003, to Immich. SIGTERM or SIGINT ends it: what runs is "
               "finished first,\n"
               "for at most ten seconds. docs/config.md tells what each setting takes.",
    .options = options,
    .run = run,
    .uses = CONFIG_USE(CONFIG_MODELS) | CONFIG_USE(CONFIG_SERVICE),
};
