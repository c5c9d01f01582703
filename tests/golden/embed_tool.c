/* embed_tool - vectors of many pictures and texts, for test_embed.py to compare.
 *
 *   embed_tool MODELS NAME CACHE HELPER [few]      CACHE, HELPER: "" for none
 *
 * In: items, each 't' (UTF-8) or 'i' (a picture file), a 32-bit length and its bytes. Out: for each
 * a 32-bit count and so many floats. Host byte order. FOVEA_ORT_LIBRARY names the library. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "predict/predict.h"

enum { ITEM_MAX_BYTES = 64 << 20, DIM_MAX = 4096 };

static struct err err;

static void need(bool ok)
{
    if (ok)
        return;
    fprintf(stderr, "embed_tool: %s\n", err.code ? err.msg : "cannot read or write");
    exit(1);
}

static struct predict_bundle *bundle(struct predict *p, enum model_type type, const char *name)
{
    struct predict_bundle *b;
    need(predict_acquire(p, MODEL_CLIP, type, name, &b, &err) == ERR_NONE);
    return b;
}

static uint32_t embed_text(struct predict *p, const char *name, const char *text, size_t n,
                           float *out)
{
    struct predict_bundle *b = bundle(p, MODEL_TEXTUAL, name);
    need(task_clip_textual_embed(b->clip_textual, text, n, NULL, out, &err) == ERR_NONE);
    uint32_t dim = (uint32_t)task_clip_textual_dim(b->clip_textual);
    predict_release(p, b);
    return dim;
}

static uint32_t embed_picture(struct predict *p, const char *name, struct image_decoder *d,
                              const uint8_t *bytes, size_t n, float *out)
{
    struct predict_bundle *b = bundle(p, MODEL_VISUAL, name);
    struct image im;
    need(image_decode(d, bytes, n, NULL, NULL, &im, &err) == ERR_NONE);
    need(task_clip_visual_embed_image(b->clip_visual, &im, IMAGE_REFERENCE, out, &err) == ERR_NONE);
    image_clear(&im);
    uint32_t dim = (uint32_t)task_clip_visual_dim(b->clip_visual);
    predict_release(p, b);
    return dim;
}

int main(int argc, char **argv)
{
    if (argc < 5)
        return 2;
    struct predict *p = NULL;
    struct image_decoder *d = NULL;
    const struct predict_options o = { .models_dir = argv[1],
                                       .cache_dir = *argv[3] ? argv[3] : NULL,
                                       .infer = { .ort_library = getenv("FOVEA_ORT_LIBRARY"),
                                                  .runs = argc > 5 ? INFER_RUNS_FEW
                                                                   : INFER_RUNS_MANY } };
    need(predict_create(&p, &o, &err) == ERR_NONE);
    need(image_decoder_create(&d, *argv[4] ? argv[4] : NULL, &err) == ERR_NONE);
    char *item = malloc(ITEM_MAX_BYTES);
    float *out = malloc(DIM_MAX * sizeof *out);
    need(item && out);
    uint32_t n;
    for (int kind; (kind = getchar()) != EOF;) {
        need(fread(&n, 4, 1, stdin) == 1 && n <= ITEM_MAX_BYTES && fread(item, 1, n, stdin) == n);
        uint32_t dim = kind == 't' ? embed_text(p, argv[2], item, n, out)
                                   : embed_picture(p, argv[2], d, (uint8_t *)item, n, out);
        need(fwrite(&dim, 4, 1, stdout) == 1 && fwrite(out, sizeof *out, dim, stdout) == dim);
    }
    free(item);
    free(out);
    image_decoder_destroy(d);
    predict_destroy(p);
    return 0;
}
