#include "app/speed.h"

#include <pthread.h>
#include <stdlib.h>

#include "app/engine.h"
#include "sys/clock.h"
#include "sys/cpu.h"
#include "sys/pool.h"

enum { WIDTH_PX = 1000, HEIGHT_PX = 750, MEASURE_MS = 2000 };

struct meter {
    const struct task_clip_visual *visual;
    struct image image;
    int64_t until_ns;
    atomic_uint n_images;
    pthread_mutex_t lock; /* over those below */
    enum err_code code;
    struct err why;
};

static enum err_code embed_one(struct meter *m, float *v, struct err *err)
{
    enum err_code rc = task_clip_visual_embed_image(m->visual, &m->image, IMAGE_REFERENCE, v, err);
    if (rc == ERR_NONE)
        atomic_fetch_add(&m->n_images, 1);
    return rc;
}

static void embed_until(void *arg, unsigned worker)
{
    struct meter *m = arg;
    struct err why = { 0 };
    (void)worker;
    float *v = calloc(task_clip_visual_dim(m->visual), sizeof *v);
    enum err_code rc = v ? ERR_NONE : err_set(&why, ERR_NOMEM, "measuring");
    while (rc == ERR_NONE && clock_mono_ns() < m->until_ns)
        rc = embed_one(m, v, &why);
    free(v);
    if (rc == ERR_NONE)
        return;
    pthread_mutex_lock(&m->lock);
    m->code = rc;
    m->why = why;
    pthread_mutex_unlock(&m->lock);
}

/* All threads once, for what the first run takes, then for the time to be measured. */
static enum err_code run_threads(struct meter *m, struct speed *out, struct err *err)
{
    static const int times_ms[] = { 1, MEASURE_MS };
    enum err_code rc = ERR_NONE;
    for (int i = 0; i < 2 && rc == ERR_NONE; i++) {
        struct pool *pool;
        rc = pool_create(&pool, out->n_threads, out->n_threads, err);
        if (rc != ERR_NONE)
            break;
        atomic_store(&m->n_images, 0);
        int64_t start = clock_mono_ns();
        m->until_ns = start + times_ms[i] * 1000000ll;
        for (unsigned t = 0; t < out->n_threads; t++)
            pool_submit(pool, embed_until, m);
        pool_destroy(pool);
        out->images_per_s = atomic_load(&m->n_images) * 1000 / clock_ms_since(start);
        rc = m->code == ERR_NONE ? ERR_NONE : err_set(err, m->code, "%s", m->why.msg);
    }
    return rc;
}

enum err_code speed_picture(struct image *im, struct err *err)
{
    *im = (struct image){ .px = malloc((size_t)3 * WIDTH_PX * HEIGHT_PX),
                          .width_px = WIDTH_PX,
                          .height_px = HEIGHT_PX };
    if (!im->px)
        return err_set(err, ERR_NOMEM, "picture to measure with");
    for (size_t i = 0; i < (size_t)3 * WIDTH_PX * HEIGHT_PX; i++)
        im->px[i] = (uint8_t)(i * 2654435761u >> 16);
    return ERR_NONE;
}

static enum err_code measure(struct engine *e, const char *model, struct speed *out,
                             struct err *err)
{
    struct meter m = { .lock = PTHREAD_MUTEX_INITIALIZER };
    struct predict_bundle *visual = NULL;
    enum err_code rc = predict_acquire(e->predict, MODEL_CLIP, MODEL_VISUAL, model, &visual, err);
    if (rc == ERR_NONE)
        rc = speed_picture(&m.image, err);
    if (rc == ERR_NONE) {
        m.visual = visual->clip_visual;
        rc = run_threads(&m, out, err);
    }
    image_clear(&m.image);
    predict_release(e->predict, visual);
    return rc;
}

enum err_code speed_measure(const struct config *c, struct speed *out, struct err *err)
{
    struct engine e;
    *out = (struct speed){ .n_threads = cpu_count() };
    enum err_code rc = engine_init(&e, c, 1, ENGINE_BATCH, err);
    if (rc != ERR_NONE)
        return rc;
    rc = measure(&e, c->model, out, err);
    engine_clear(&e);
    return rc;
}
