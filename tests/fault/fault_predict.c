/* Fail the 1st, 2nd, ... allocation of loading both toy towers and running them: each must come
 * back as ERR_NOMEM and leak nothing (the sanitizer looks). */
#include "tap.h"

#include <stdlib.h>

#include "fault.h"
#include "predict/predict.h"

enum { DIM = 32 };

static enum err_code run_textual(struct predict *p, float *out, struct err *err)
{
    struct predict_bundle *b;
    enum err_code rc = predict_acquire(p, MODEL_CLIP, MODEL_TEXTUAL, "toy", &b, err);
    if (rc == ERR_NONE)
        rc = task_clip_textual_embed(b->clip_textual, "a dog", 5, NULL, out, err);
    predict_release(p, b);
    return rc;
}

static enum err_code run_visual(struct predict *p, float *out, struct err *err)
{
    uint8_t px[3 * 20 * 30] = { 0 };
    const struct image im = { .px = px, .width_px = 20, .height_px = 30 };
    struct predict_bundle *b;
    enum err_code rc = predict_acquire(p, MODEL_CLIP, MODEL_VISUAL, "toy", &b, err);
    if (rc == ERR_NONE)
        rc = task_clip_visual_embed_image(b->clip_visual, &im, IMAGE_VIEW, out, err);
    predict_release(p, b);
    return rc;
}

static char models[1024];

static enum err_code use(struct err *err)
{
    struct predict *p = NULL;
    float out[DIM];
    const struct predict_options o = { .models_dir = models, .infer = { .n_threads = 1 } };
    enum err_code rc = predict_create(&p, &o, err);
    if (rc == ERR_NONE)
        rc = run_textual(p, out, err);
    if (rc == ERR_NONE)
        rc = run_visual(p, out, err);
    predict_destroy(p);
    return rc;
}

static void every_allocation_may_fail(void)
{
    const char *tests = getenv("FOVEA_TESTS");
    snprintf(models, sizeof models, "%s/models", tests ? tests : "tests");
    CHECK(fault_each(use) >= 20);
}

static const struct tap_case cases[] = { CASE(every_allocation_may_fail) };
TAP_MAIN(cases)
