#include "app/footprint.h"

#include <stdlib.h>
#include <string.h>

#include "app/engine.h"
#include "app/speed.h"
#include "sys/clock.h"
#include "sys/memory.h"
#include "sys/self.h"

enum { LOAD_MS = 5000 };    /* so long models are loaded; a large one's first load takes minutes */
enum { FREE_PER_BYTE = 4 }; /* free memory that there must be for a byte of a network's file */
/* What a service has and this process has not, HTTP, TLS, a picture's bytes and pixels: 8 to 16 MiB
 * were missing, whatever the models. */
#define SERVICE_BYTES ((uint64_t)10 << 20)

struct walk {
    struct engine engine;
    struct image picture;
    int64_t begun_ns;
    uint64_t n_measured, n_reckoned; /* bytes of files */
};

static enum err_code see(const struct walk *w, const struct predict_bundle *b, struct err *err)
{
    float *v = calloc(task_clip_visual_dim(b->clip_visual), sizeof *v);
    enum err_code rc =
        v ? task_clip_visual_embed_image(b->clip_visual, &w->picture, IMAGE_REFERENCE, v, err)
          : ERR_NOMEM;
    free(v);
    return rc;
}

static enum err_code read_words(const struct predict_bundle *b, struct err *err)
{
    static const char words[] = "a dog on the beach";
    float *v = calloc(task_clip_textual_dim(b->clip_textual), sizeof *v);
    enum err_code rc =
        v ? task_clip_textual_embed(b->clip_textual, words, sizeof words - 1, NULL, v, err)
          : ERR_NOMEM;
    free(v);
    return rc;
}

static enum err_code find_faces(const struct walk *w, const struct predict_bundle *b,
                                struct err *err)
{
    struct task_face *faces = NULL;
    size_t n;
    enum err_code rc = task_face_detect(b->face_detector, &w->picture, 0.5f, &faces, &n, err);
    free(faces);
    return rc;
}

static enum err_code know_face(const struct walk *w, const struct predict_bundle *b,
                               struct err *err)
{
    static const struct task_face face = {
        .points = { { 40, 50 }, { 70, 50 }, { 55, 70 }, { 42, 90 }, { 70, 90 } }
    };
    float *v = calloc(task_face_recognizer_dim(b->face_recognizer), sizeof *v);
    enum err_code rc =
        v ? task_face_embed(b->face_recognizer, &w->picture, &face, 1, v, NULL, err) : ERR_NOMEM;
    free(v);
    return rc;
}

static enum err_code find_lines(const struct walk *w, const struct predict_bundle *b,
                                struct err *err)
{
    const struct task_ocr_search how = { .max_side_px = 736, .min_score = 0.5 }; /* Immich's */
    struct task_ocr_box *boxes = NULL;
    size_t n;
    enum err_code rc = task_ocr_detect(b->ocr_detector, &w->picture, &how, &boxes, &n, err);
    free(boxes);
    return rc;
}

static enum err_code read_line(const struct walk *w, const struct predict_bundle *b,
                               struct err *err)
{
    static const struct task_ocr_box box = { .points = {
                                                 { 0, 0 }, { 400, 0 }, { 400, 40 }, { 0, 40 } } };
    struct task_ocr_line line;
    struct arena arena = { 0 };
    enum err_code rc =
        task_ocr_read(b->ocr_recognizer, &w->picture, &box, 1, &line, &arena, NULL, err);
    arena_clear(&arena);
    return rc;
}

static enum err_code ask(const struct walk *w, const struct predict_bundle *b, struct err *err)
{
    switch (b->type) {
    case MODEL_VISUAL: return see(w, b, err);
    case MODEL_TEXTUAL: return read_words(b, err);
    case MODEL_DETECTION: return b->face_detector ? find_faces(w, b, err) : find_lines(w, b, err);
    case MODEL_RECOGNITION: return b->face_recognizer ? know_face(w, b, err) : read_line(w, b, err);
    }
    return ERR_NONE;
}

/* A bundle that was released stays loaded. */
static bool load_and_ask(struct walk *w, const struct model_folder *f, enum model_type type)
{
    struct predict_bundle *b = NULL;
    if (predict_acquire(w->engine.predict, f->task, type, f->name, &b, NULL) != ERR_NONE)
        return false;
    enum err_code rc = ask(w, b, NULL);
    predict_release(w->engine.predict, b);
    return rc == ERR_NONE;
}

static enum err_code take_model(const struct model_folder *f, void *ctx, struct err *err)
{
    struct walk *w = ctx;
    (void)err;
    for (int i = 0; i < 2; i++) {
        const enum model_type type = model_types(f->task)[i];
        const uint64_t available = memory_available();
        char identity[HASH_HEX];
        uint64_t n;
        if (model_identity(f, type, identity, &n, NULL) != ERR_NONE)
            continue;
        if ((available && n > available / FREE_PER_BYTE) || clock_ms_since(w->begun_ns) > LOAD_MS)
            w->n_reckoned += n;
        else if (load_and_ask(w, f, type))
            w->n_measured += n;
    }
    return ERR_NONE;
}

enum err_code footprint_measure(const struct config *c, struct footprint *out, struct err *err)
{
    struct walk w = { .begun_ns = clock_mono_ns() };
    struct self_usage usage;
    enum err_code rc = engine_init(&w.engine, c, (unsigned)c->intra_op_threads, ENGINE_BATCH, err);
    if (rc != ERR_NONE)
        return rc;
    rc = speed_picture(&w.picture, err);
    if (rc == ERR_NONE)
        rc = model_list(c->models_dir, take_model, &w, err);
    image_clear(&w.picture);
    self_usage(&usage);
    engine_clear(&w.engine);
    *out = (struct footprint){ .n_bytes = usage.resident_bytes + SERVICE_BYTES + w.n_reckoned,
                               .file_bytes = w.n_measured + w.n_reckoned };
    return rc;
}
