/* cli_ping.c - `fovea ping`: does a service answer. For health checks, where there is no curl. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/cli.h"
#include "app/config.h"
#include "base/str.h"
#include "remote/remote.h"

enum { TIMEOUT_MS = 3000 };

static const struct cli_option options[] = { { NULL, 0, NULL, NULL } };

/* Of the service that these settings would start, asked from this machine. */
static char *own_url(const struct config *c)
{
    const char *host = c->host;
    bool all = !strcmp(host, "[::]") || !strcmp(host, "::") || !strcmp(host, "0.0.0.0");
    bool bare = strchr(host, ':') && host[0] != '[';
    return str_format("%s://%s%s%s:%d", c->tls_cert ? "https" : "http", bare && !all ? "[" : "",
                      all ? "localhost" : host, bare && !all ? "]" : "", c->port);
}

static enum err_code ping(const char *url, bool is_own, const char *ca_file, struct err *err)
{
    struct net *net = NULL;
    enum err_code rc = net_create(&net, ca_file, err);
    if (rc == ERR_NONE)
        rc = remote_ping(net, url, is_own, TIMEOUT_MS, NULL, err);
    net_destroy(net);
    return rc;
}

static int run(const struct cli_call *call)
{
    if (call->n_args > 1)
        return cli_usage(call, "takes one URL at most");
    struct err err = { 0 };
    char *own = call->n_args ? NULL : own_url(call->config);
    const char *base = call->n_args ? call->args[0] : own;
    enum err_code rc = base ? ping(base, own != NULL, call->config->ca_file, &err)
                            : err_set(&err, ERR_NOMEM, "URL");
    free(own);
    if (rc != ERR_NONE)
        return cli_fail(&err);
    printf("pong\n");
    return EXIT_OK;
}

const struct cli_command cli_ping = {
    .name = "ping",
    .args = "[URL]",
    .summary = "ask whether a service is up",
    .details = "Asks URL/ping, for at most three seconds. Without a URL the service that "
               "`fovea serve` would start\n"
               "with the same settings. The exit status is 0 when it answers, else 1.",
    .options = options,
    .run = run,
    .uses = CONFIG_USE(CONFIG_MODELS) | CONFIG_USE(CONFIG_SERVICE),
};
