/* cli_serve.c - `fovea serve`: the options, over the settings. */
#include <string.h>

#include "app/cli.h"
#include "app/config.h"
#include "app/serve.h"
#include "net/net.h"

static const struct cli_option options[] = {
    { "host", 0, "HOST", "the address to listen on (default: $IMMICH_HOST, all)" },
    { "port", 'p', "PORT", "the port, 0 for any (default: $IMMICH_PORT, 3003)" },
    { "socket", 0, "PATH", "listen on a Unix socket instead" },
    { "upstream", 0, "[TASK=]URL...", "another service that does TASK (default: all)" },
    { NULL, 0, NULL, NULL },
};

/* "clip.visual" or, of both halves, "clip". */
static bool is_task(const char *kind, const char *given, size_t n)
{
    return !strncmp(kind, given, n) && (!kind[n] || kind[n] == '.');
}

/* Of two that name a task the later holds. -1 to go on. */
static int set_upstream(const struct cli_call *call, const char *given, const char **urls)
{
    const char *equals = strchr(given, '='), *slashes = strstr(given, "://");
    const bool has_task = equals && (!slashes || equals < slashes);
    const char *url = has_task ? equals + 1 : given;
    const size_t n = has_task ? (size_t)(equals - given) : 0;
    struct err why = { 0 };
    bool known = false;
    if (net_url_check(url, &why) != ERR_NONE)
        return cli_usage(call, "--upstream: %s", why.msg);
    for (int k = 0; k < REMOTE_N_KINDS; k++)
        if (!has_task || is_task(remote_kind_name((enum remote_kind)k), given, n)) {
            urls[k] = url;
            known = true;
        }
    return known ? -1
                 : cli_usage(call,
                             "--upstream: no task \"%.*s\"; there are clip, clip.visual, "
                             "clip.textual, facial-recognition and ocr",
                             n < 60 ? (int)n : 60, given);
}

/* The settings' URLs, over them the options'. -1 to go on. */
static int read_upstreams(const struct cli_call *call, const char **urls)
{
    int rc = -1;
    for (int k = 0; k < REMOTE_N_KINDS; k++)
        urls[k] = call->config->upstreams[k];
    for (size_t i = 0; i < call->n_repeated && rc < 0; i++)
        rc = set_upstream(call, call->repeated[i], urls);
    return rc;
}

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
    struct serve_options o = { .host = host ? host : c->host,
                               .port = (unsigned)port,
                               .socket = socket };
    int rc = read_upstreams(call, o.upstreams);
    if (rc >= 0)
        return rc;
    struct err err = { 0 };
    return serve_run(c, &o, &err) == ERR_NONE ? EXIT_OK : cli_fail(&err);
}

const struct cli_command cli_serve = {
    .name = "serve",
    .args = "[OPTION...]",
    .summary = "answer Immich's machine-learning requests over HTTP",
    .details = "Serves GET /, GET /ping and POST /predict as Immich's machine-learning container "
               "does; give\n"
               "its URL, http://HOST:3003, to Immich. SIGTERM or SIGINT ends it: what runs is "
               "finished first,\n"
               "for at most ten seconds. docs/config.md tells what each setting takes.\n\n"
               "--upstream, which may be given more than once, hands the requests of a TASK over: "
               "clip, or its\n"
               "halves clip.visual and clip.textual; facial-recognition; ocr. What fails there, or "
               "is slow, is done\n"
               "here. docs/upstream.md tells more.",
    .options = options,
    .run = run,
    .uses = CONFIG_USE(CONFIG_MODELS) | CONFIG_USE(CONFIG_SERVICE),
};
