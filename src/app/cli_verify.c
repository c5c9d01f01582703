/* cli_verify.c - `fovea verify`: does this fovea answer as the service does that it is to replace.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/cli.h"
#include "app/engine.h"
#include "app/out.h"
#include "app/token.h"
#include "app/verify.h"
#include "base/log.h"
#include "base/str.h"
#include "remote/remote.h"
#include "sys/clock.h"

enum { PING_MS = 5000 };

static const struct cli_option options[] = {
    { "against", 0, "URL", "the other service, such as http://immich-ml:3003" },
    { "token-file", 0, "FILE", "holds the token that it asks for (default: none is sent)" },
    { "clip", 0, "NAME", "the CLIP model, or none (default: ViT-B-32__openai)" },
    { "faces", 0, "NAME", "the model for faces, or none (default: buffalo_l)" },
    { "ocr", 0, "NAME", "the model for text, or none (default: PP-OCRv5_mobile)" },
    { "min-cosine", 0, "X", "of CLIP's vectors, from 0 to 1 (default: 0.9999)" },
    { "json", 0, NULL, "one JSON object" },
    { "quiet", 'q', NULL, "no progress" },
    { NULL, 0, NULL, NULL },
};

/* Which model an option names, for which checks. */
static const struct chosen {
    enum agree_kind kind;
    const char *option, *fallback;
} chosen[] = {
    { AGREE_VISUAL, "clip", "ViT-B-32__openai" },
    { AGREE_TEXTUAL, "clip", "ViT-B-32__openai" },
    { AGREE_FACES, "faces", "buffalo_l" },
    { AGREE_OCR, "ocr", "PP-OCRv5_mobile" },
};

static enum err_code add_checks(struct verify *v, const struct cli_call *call, struct err *err)
{
    enum err_code rc = ERR_NONE;
    for (size_t i = 0; i < sizeof chosen / sizeof *chosen && rc == ERR_NONE; i++) {
        const char *given = cli_value(call, chosen[i].option);
        if (!given || strcmp(given, "none") != 0)
            rc = verify_add(v, chosen[i].kind, given ? given : chosen[i].fallback, err);
    }
    return rc;
}

struct progress {
    struct out_progress bar;
    struct library_progress at;
    int64_t start_ns;
};

static void on_asked(void *ctx)
{
    struct progress *p = ctx;
    p->at.n_done++;
    p->at.elapsed_s = clock_ms_since(p->start_ns) / 1e3;
    out_progress_show(&p->bar, &p->at);
}

static void on_asked_quietly(void *ctx)
{
    (void)ctx;
}

/* The other side is asked first whether it is there, as models may have to be downloaded. */
static enum err_code run_checks(struct verify *v, const struct cli_call *call,
                                struct predict *predict, struct net *net, struct err *err)
{
    struct progress p = { 0 };
    out_progress_init(&p.bar, stderr);
    for (size_t i = 0; i < v->n_checks; i++)
        p.at.n_total += verify_n_inputs(v, &v->checks[i]);
    enum err_code rc = remote_ping(net, v->url, false, PING_MS, NULL, err);
    if (rc == ERR_NONE)
        rc = verify_load(v, predict, err);
    p.start_ns = clock_mono_ns();
    for (size_t i = 0; i < v->n_checks && rc == ERR_NONE; i++)
        rc = verify_run(v, &v->checks[i], predict, net,
                        cli_given(call, "quiet") ? on_asked_quietly : on_asked, &p, err);
    out_progress_end(&p.bar);
    return rc;
}

static enum err_code report(const struct verify *v, bool json, struct err *err)
{
    struct buf b = { 0 };
    enum err_code rc = ERR_NONE;
    if (json) {
        rc = verify_report_json(v, &b, err);
        if (rc == ERR_NONE)
            fwrite(b.data, 1, b.len, stdout);
    } else {
        verify_report_text(v);
    }
    buf_clear(&b);
    return rc;
}

/* The settings' engine, made for this and taken down again. */
static enum err_code verify(struct verify *v, const struct cli_call *call, struct err *err)
{
    const struct config *c = call->config;
    struct engine e = { 0 };
    struct net *net = NULL;
    enum err_code rc = net_create(&net, c->ca_file, err);
    if (rc == ERR_NONE)
        rc = engine_init(&e, c, (unsigned)c->intra_op_threads, ENGINE_SERVICE, err);
    if (rc == ERR_NONE) {
        rc = run_checks(v, call, e.predict, net, err);
        engine_clear(&e);
    }
    net_destroy(net);
    return rc == ERR_NONE ? report(v, cli_given(call, "json"), err) : rc;
}

/* Of the other side: FOVEA_TOKEN is this one's secret, and not sent to whatever --against says. */
static enum err_code load_token(const struct cli_call *call, char **out, struct err *err)
{
    enum err_code rc = token_load(NULL, cli_value(call, "token-file"), out, err);
    if (*out && net_url_is_open(cli_value(call, "against")))
        log_write(LOG_WARN, "the token goes unencrypted; use https:// there");
    return rc;
}

static int run(const struct cli_call *call)
{
    struct verify v = { .url = cli_value(call, "against"),
                        .min_cosine = AGREE_COSINE,
                        .max_bytes = (size_t)call->config->max_body_mib << 20 };
    const char *bar = cli_value(call, "min-cosine");
    struct err err = { 0 };
    if (!v.url || !call->n_args)
        return cli_usage(call, "give --against URL and some photos");
    if (net_url_check(v.url, &err) != ERR_NONE)
        return cli_usage(call, "--against: %s", err.msg);
    if (bar && (!str_to_f64(bar, &v.min_cosine) || v.min_cosine < 0 || v.min_cosine > 1))
        return cli_usage(call, "--min-cosine takes a number from 0 to 1, not \"%.60s\"", bar);
    char *token;
    enum err_code rc = load_token(call, &token, &err);
    v.token = token;
    if (rc == ERR_NONE)
        rc = add_checks(&v, call, &err);
    for (size_t i = 0; i < call->n_args && rc == ERR_NONE; i++)
        rc = photos_add(&v.photos, call->args[i], &err);
    if (rc == ERR_NONE && (!v.n_checks || !v.photos.n))
        rc = err_set(&err, ERR_INVALID, "nothing to ask: %s",
                     v.n_checks ? "there are no photos" : "all models are none");
    if (rc == ERR_NONE)
        rc = verify(&v, call, &err);
    bool passed = rc == ERR_NONE;
    for (size_t i = 0; i < v.n_checks; i++)
        passed &= verify_passed(&v.checks[i]);
    verify_clear(&v);
    free(token);
    return rc != ERR_NONE ? cli_fail(&err) : passed ? EXIT_OK : EXIT_FAILED;
}

const struct cli_command cli_verify = {
    .name = "verify",
    .args = "--against URL [OPTION...] PHOTO...",
    .summary = "does it answer as the service that it is to replace",
    .details =
        "Puts the same pictures and a dozen texts to this fovea and to another service of Immich's "
        "API, with\n"
        "the options that Immich sends, and compares the answers. PHOTO: files, and folders for "
        "what is in them.\n"
        "The exit status is 0 where they are the same, else 1. They are the same when\n\n"
        "  CLIP      each vector has a cosine of --min-cosine and a norm within 0.01 %\n"
        "  faces     97 % are found by both: boxes that overlap (IoU) by 0.9, scores within 0.02,\n"
        "            embeddings with a cosine of 0.99\n"
        "  text      95 % of the lines are read by both to the letter, in boxes that overlap by "
        "0.7\n\n"
        "a face or line of one side alone counts as one that is not alike, sizes of pictures are "
        "equal, and\n"
        "nothing is refused here alone. Times are medians; here without HTTP. docs/verify.md tells "
        "more.",
    .options = options,
    .run = run,
    .uses = CONFIG_USE(CONFIG_MODELS) | CONFIG_USE(CONFIG_SERVICE),
};
