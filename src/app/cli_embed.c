#include <stdlib.h>
#include <string.h>

#include "app/cli.h"
#include "app/engine.h"
#include "base/json.h"
#include "library/library.h"
#include "sys/cpu.h"

static const struct cli_option options[] = {
    { "text", 't', "TEXT", "words to embed" },
    { "image", 'i', "FILE", "a picture to embed" },
    { "contract", 0, "view|reference", "how a picture is seen (default: view)" },
    { "model", 0, "NAME", "the CLIP model (default: $FOVEA_MODEL)" },
    { "json", 0, NULL, "an object with model, dim and embedding" },
    { NULL, 0, NULL, NULL },
};

static enum err_code embed(const struct cli_call *call, struct predict_bundle *b,
                           struct image_decoder *d, float *out, struct err *err)
{
    const char *text = cli_value(call, "text"), *contract = cli_value(call, "contract");
    if (b->clip_textual)
        return task_clip_textual_embed(b->clip_textual, text, strlen(text), NULL, out, err);
    bool reference = contract && !strcmp(contract, "reference");
    return library_embed_file(d, b->clip_visual, cli_value(call, "image"),
                              reference ? IMAGE_REFERENCE : IMAGE_VIEW, out, err);
}

static enum err_code print(const struct cli_call *call, const char *model, const float *v,
                           size_t dim, struct err *err)
{
    struct buf b = { 0 };
    bool object = cli_given(call, "json");
    enum err_code rc = object ? buf_puts(&b, "{\"model\":", err) : ERR_NONE;
    if (object && rc == ERR_NONE)
        rc = json_put_string(&b, model, strlen(model), err);
    if (object && rc == ERR_NONE)
        rc = buf_printf(&b, err, ",\"dim\":%zu,\"embedding\":", dim);
    if (rc == ERR_NONE)
        rc = json_put_floats(&b, v, dim, err);
    if (rc == ERR_NONE)
        printf("%s%s\n", b.data, object ? "}" : "");
    buf_clear(&b);
    return rc;
}

static int run(const struct cli_call *call)
{
    const char *text = cli_value(call, "text"), *model = cli_model(call);
    if (!text == !cli_value(call, "image") || call->n_args)
        return cli_usage(call, "give either --text TEXT or --image FILE");
    const char *contract = cli_value(call, "contract");
    if (contract && strcmp(contract, "view") != 0 && strcmp(contract, "reference") != 0)
        return cli_usage(call, "--contract is view or reference, not \"%.60s\"", contract);
    struct err err = { 0 };
    struct engine e = { 0 };
    struct predict_bundle *b = NULL;
    float *v = NULL;
    enum err_code rc = engine_init(&e, call->config, cpu_count(), ENGINE_ONCE, &err);
    if (rc == ERR_NONE)
        rc = predict_acquire(e.predict, MODEL_CLIP, text ? MODEL_TEXTUAL : MODEL_VISUAL, model, &b,
                             &err);
    size_t dim = 0;
    if (rc == ERR_NONE) {
        dim = text ? task_clip_textual_dim(b->clip_textual) : task_clip_visual_dim(b->clip_visual);
        v = calloc(dim, sizeof *v);
        rc = v ? embed(call, b, e.decoder, v, &err) : err_set(&err, ERR_NOMEM, "embedding");
    }
    if (rc == ERR_NONE)
        rc = print(call, model, v, dim, &err);
    free(v);
    predict_release(e.predict, b);
    engine_clear(&e);
    return rc == ERR_NONE ? EXIT_OK : cli_fail(&err);
}

const struct cli_command cli_embed = {
    .name = "embed",
    .args = "[OPTION...] (--text TEXT | --image FILE)",
    .summary = "print the embedding of words or of a picture",
    .details = "Prints the model's output as a JSON array of numbers, as it is: not brought to "
               "unit length.\n"
               "A picture is seen as the library sees it (view: upright, in the colours of its "
               "profile), or as Immich's\n"
               "service does (reference: as stored), which gives that service's numbers.",
    .options = options,
    .run = run,
    .uses = CONFIG_USE(CONFIG_MODELS),
};
