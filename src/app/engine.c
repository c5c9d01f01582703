#include "app/engine.h"

#include <stdio.h>
#include <string.h>

#include "sys/file.h"

enum { PATH_BYTES = 4096 };

bool engine_helper_path(char *out)
{
    static const char *const places[] = { "fovea-decode", "../libexec/fovea/fovea-decode" };
    char dir[PATH_BYTES - 64];
    if (!file_self_dir(dir, sizeof dir))
        return false;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        snprintf(out, PATH_BYTES, "%s/%s", dir, places[i]);
        if (file_exists(out))
            return true;
    }
    return false;
}

/* Models of the registry only: what else somebody put there is theirs to mend. */
static enum err_code provide(enum model_task task, enum model_type type, const char *name,
                             bool again, void *ctx, struct err *err)
{
    struct engine *e = ctx;
    const struct model_row *row = model_known(task, name);
    if (!row)
        return ERR_NONE;
    return again ? fetch_repair(e->fetch, row, type, err) : fetch_type(e->fetch, row, type, err);
}

static enum err_code set_service(struct engine *e, const struct config *c,
                                 struct predict_options *p, struct err *err)
{
    for (int i = 0; i < CONFIG_N_KINDS; i++)
        p->ttl_s[i] = (unsigned)(c->ttl_s[i] < 0 ? c->model_ttl_s : c->ttl_s[i]);
    p->poll_s = (unsigned)c->model_ttl_poll_s;
    p->budget_bytes = (uint64_t)c->models_mib << 20;
    p->pressure_percent = (unsigned)c->pressure_percent;
    p->provide = provide;
    p->provide_ctx = e;
    return engine_fetch_create(&e->fetch, c, NULL, NULL, &e->stop, err);
}

/* /proc/self/exe: the file that this process runs, though an upgrade may have replaced it. */
struct infer_options engine_infer(const struct config *c, unsigned n_threads, enum engine_use use)
{
    static const enum infer_runs runs[] = { [ENGINE_ONCE] = INFER_RUNS_FEW,
                                            [ENGINE_BATCH] = INFER_RUNS_MANY,
                                            [ENGINE_SERVICE] = INFER_RUNS_SOME };
    return (struct infer_options){
        .ort_library = c->ort_library,
        .n_threads = n_threads,
        .runs = runs[use],
        .provider = { .name = config_providers[c->provider],
                      .ep_library = c->ep_library,
                      .device_id = c->device_id,
                      .half_openvino = c->half_openvino,
                      .half_rocm = c->half_rocm,
                      .probe_program = "/proc/self/exe",
                      .probe_timeout_s = (unsigned)c->provider_timeout_s },
    };
}

enum err_code engine_init(struct engine *e, const struct config *c, unsigned n_threads,
                          enum engine_use use, struct err *err)
{
    *e = (struct engine){ 0 };
    struct predict_options p = { .models_dir = c->models_dir,
                                 .cache_dir = c->cache_dir,
                                 .max_batch_faces = (size_t)c->max_batch_faces,
                                 .max_batch_ocr = (size_t)c->max_batch_ocr,
                                 .infer = engine_infer(c, n_threads, use) };
    p.infer.provider.cancel = &e->stop;
    char helper[PATH_BYTES];
    enum err_code rc = use == ENGINE_SERVICE ? set_service(e, c, &p, err) : ERR_NONE;
    if (rc == ERR_NONE)
        rc = image_decoder_create(&e->decoder, engine_helper_path(helper) ? helper : NULL, err);
    p.decoder = e->decoder;
    if (rc == ERR_NONE)
        rc = predict_create(&e->predict, &p, err);
    if (rc != ERR_NONE)
        engine_clear(e);
    return rc;
}

void engine_clear(struct engine *e)
{
    predict_destroy(e->predict);
    image_decoder_destroy(e->decoder);
    fetch_destroy(e->fetch);
    *e = (struct engine){ 0 };
}

enum err_code engine_fetch_create(struct fetch **out, const struct config *c,
                                  fetch_progress_fn on_progress, void *ctx,
                                  const atomic_bool *cancel, struct err *err)
{
    const struct fetch_options o = { .models_dir = c->models_dir,
                                     .hub_url = c->hub_url,
                                     .ocr_url = c->ocr_url,
                                     .token = c->hub_token,
                                     .ca_file = c->ca_file,
                                     .offline = c->offline,
                                     .stall_s = (unsigned)c->download_stall_s,
                                     .max_bytes_per_s = (uint64_t)c->download_kib_s << 10,
                                     .cancel = cancel,
                                     .on_progress = on_progress,
                                     .ctx = ctx };
    return fetch_create(out, &o, err);
}
