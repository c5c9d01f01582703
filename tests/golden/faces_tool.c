/* faces_tool - task/'s faces at the end of a pipe, for test_faces.py to compare.
 *
 *   faces_tool find MODELS NAME HELPER MIN_SCORE FILE...   each file's size and faces, an object a
 * line faces_tool boxes NAME MIN_SCORE SCALE                  heads on stdin -> faces, an object
 *   faces_tool crop FILE X0 Y0 ... X4 Y4                   ArcFace's [3, 112, 112] f32, host order
 *   faces_tool time MODELS NAME FILE REPEATS               least milliseconds: detect, embed
 *
 * HELPER: the decode helper, "" for none. heads: all outputs of a detector of that name, one after
 * the other, f32. FOVEA_ORT_LIBRARY names the library, FOVEA_BATCH the faces a run. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "sys/clock.h"
#include "task/face.h"
#include "tool.h"

struct models {
    struct infer *engine;
    struct task_face_detector *detector;
    struct task_face_recognizer *recognizer;
};

static struct models open_models(const char *dir, const char *name)
{
    struct models m = { 0 };
    struct model_folder f;
    const char *batch = getenv("FOVEA_BATCH");
    const struct infer_options o = { .ort_library = getenv("FOVEA_ORT_LIBRARY") };
    need(infer_create(&m.engine, &o, &err) == ERR_NONE);
    need(model_find(dir, MODEL_FACES, name, &f, &err) == ERR_NONE);
    need(task_face_detector_open(&m.detector, m.engine, &f, &err) == ERR_NONE);
    need(task_face_recognizer_open(&m.recognizer, m.engine, &f,
                                   batch ? strtoul(batch, NULL, 10) : 0, &err) == ERR_NONE);
    return m;
}

static void close_models(struct models *m)
{
    task_face_detector_close(m->detector);
    task_face_recognizer_close(m->recognizer);
    infer_destroy(m->engine);
}

/* vectors: NULL for none */
static void print_faces(const struct image *im, const struct task_face *faces, size_t n,
                        const float *vectors, size_t dim)
{
    struct buf out = { 0 };
    need(buf_printf(&out, &err, "{\"size\": [%u, %u], \"faces\": [", im->width_px, im->height_px) ==
         ERR_NONE);
    for (size_t i = 0; i < n; i++) {
        const struct task_face *f = &faces[i];
        const float box[] = { f->x1, f->y1, f->x2, f->y2 };
        need(buf_puts(&out, i ? ", {\"box\": " : "{\"box\": ", &err) == ERR_NONE);
        need(json_put_floats(&out, box, 4, &err) == ERR_NONE);
        need(buf_printf(&out, &err, ", \"score\": %.9g, \"points\": ", (double)f->score) ==
             ERR_NONE);
        need(json_put_floats(&out, &f->points[0][0], 2 * TASK_FACE_POINTS, &err) == ERR_NONE);
        need(buf_puts(&out, ", \"vector\": ", &err) == ERR_NONE);
        need(json_put_floats(&out, vectors ? vectors + i * dim : NULL, vectors ? dim : 0, &err) ==
             ERR_NONE);
        need(buf_puts(&out, "}", &err) == ERR_NONE);
    }
    printf("%s]}\n", out.data);
    buf_clear(&out);
}

static void find(const struct models *m, struct image_decoder *d, float min_score, const char *path)
{
    struct image im = read_image(d, path);
    struct task_face *faces;
    const size_t dim = task_face_recognizer_dim(m->recognizer);
    size_t n;
    need(task_face_detect(m->detector, &im, min_score, &faces, &n, &err) == ERR_NONE);
    float *vectors = malloc((n * dim + 1) * sizeof *vectors);
    need(vectors && task_face_embed(m->recognizer, &im, faces, n, vectors, NULL, &err) == ERR_NONE);
    print_faces(&im, faces, n, vectors, dim);
    free(vectors);
    free(faces);
    image_clear(&im);
}

static void boxes(const char *name, float min_score, float scale)
{
    const struct face_family *fam = task_face_family(name);
    const size_t per_cell = task_face_max_candidates(fam) / fam->anchors;
    struct infer_tensor heads[FACE_HEADS_MAX];
    struct face_level levels[FACE_LEVELS];
    struct task_face *faces;
    size_t n;
    for (size_t i = 0; i < fam->kinds * FACE_LEVELS; i++) {
        const size_t len =
            fam->anchors * per_cell * 64 / (84 * ((size_t)1 << 2 * (i % FACE_LEVELS)));
        const size_t width = fam->widths[i / FACE_LEVELS];
        heads[i] = (struct infer_tensor){ .type = INFER_F32,
                                          .n_dims = 2,
                                          .dims = { (int64_t)len, (int64_t)width },
                                          .data = calloc(len, width * sizeof(float)) };
        need(heads[i].data && fread(heads[i].data, width * sizeof(float), len, stdin) == len);
    }
    need(task_face_levels(fam, heads, levels, &err) == ERR_NONE);
    need(task_face_boxes(fam, levels, scale, min_score, &faces, &n, &err) == ERR_NONE);
    print_faces(&(struct image){ 0 }, faces, n, NULL, 0);
    free(faces);
    for (size_t i = 0; i < fam->kinds * FACE_LEVELS; i++)
        free(heads[i].data);
}

static void crop(struct image_decoder *d, char **args)
{
    static float tensor[3 * FACE_CROP_PX * FACE_CROP_PX];
    struct image im = read_image(d, args[0]);
    struct task_face face = { 0 };
    for (int i = 0; i < 2 * TASK_FACE_POINTS; i++)
        face.points[i / 2][i % 2] = strtof(args[1 + i], NULL);
    task_face_crop(&im, &face, &task_face_family("")->recognize, tensor);
    fwrite(tensor, sizeof tensor, 1, stdout);
    image_clear(&im);
}

static void time_it(const struct models *m, struct image_decoder *d, const char *path, int repeats)
{
    struct image im = read_image(d, path);
    struct task_face *faces = NULL;
    double best[2] = { 1e9, 1e9 };
    float *vectors = NULL;
    size_t n;
    while (repeats--) {
        free(faces);
        int64_t t0 = clock_mono_ns();
        need(task_face_detect(m->detector, &im, 0.1f, &faces, &n, &err) == ERR_NONE);
        double ms = clock_ms_since(t0);
        best[0] = ms < best[0] ? ms : best[0];
        vectors = realloc(vectors, n * 4096 * sizeof *vectors + 1);
        t0 = clock_mono_ns();
        need(task_face_embed(m->recognizer, &im, faces, n, vectors, NULL, &err) == ERR_NONE);
        ms = clock_ms_since(t0);
        best[1] = ms < best[1] ? ms : best[1];
    }
    printf("%zu faces: %.2f ms, %.2f ms\n", n, best[0], best[1]);
    free(faces);
    free(vectors);
    image_clear(&im);
}

int main(int argc, char **argv)
{
    const char *op = argc > 1 ? argv[1] : "";
    const bool finds = !strcmp(op, "find") && argc > 5;
    struct image_decoder *d = NULL;
    need(image_decoder_create(&d, finds && *argv[4] ? argv[4] : NULL, &err) == ERR_NONE);
    if (finds) {
        struct models m = open_models(argv[2], argv[3]);
        for (int i = 6; i < argc; i++)
            find(&m, d, strtof(argv[5], NULL), argv[i]);
        close_models(&m);
    } else if (!strcmp(op, "boxes") && argc == 5) {
        boxes(argv[2], strtof(argv[3], NULL), strtof(argv[4], NULL));
    } else if (!strcmp(op, "crop") && argc == 13) {
        crop(d, argv + 2);
    } else if (!strcmp(op, "time") && argc == 6) {
        struct models m = open_models(argv[2], argv[3]);
        time_it(&m, d, argv[4], atoi(argv[5]));
        close_models(&m);
    } else {
        fprintf(stderr, "usage: see the top of faces_tool.c\n");
        return 2;
    }
    image_decoder_destroy(d);
    return 0;
}
