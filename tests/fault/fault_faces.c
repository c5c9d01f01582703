/* Fail the 1st, 2nd, ... allocation of opening a detector and a recogniser, of seeing a picture, of
 * choosing among boxes and of embedding: each must come back as ERR_NOMEM and leak nothing (the
 * sanitizer looks). The networks are toys, so what a backend allocates is in it. */
#include "tap.h"

#include <stdlib.h>

#include "fault.h"
#include "scratch.h"
#include "sys/file.h"
#include "task/face.h"

enum { DIM = 4 };

static struct model_folder folder;

static void write_network(const char *type, const char *text)
{
    char path[256], cmd[256];
    snprintf(cmd, sizeof cmd, "mkdir -p %s/facial-recognition/toy/%s", scratch, type);
    CHECK(!system(cmd));
    snprintf(path, sizeof path, "%s/facial-recognition/toy/%s/model.onnx", scratch, type);
    CHECK(file_replace(path, text, strlen(text), NULL) == ERR_NONE);
}

/* One run of a toy as large as a detector would take minutes, so the heads are made here. */
static enum err_code choose(struct err *err)
{
    static float score[2 * 80 * 80], box[4 * 2 * 80 * 80], points[10 * 2 * 80 * 80];
    const struct face_level l = { .score = score, .box = box, .points = points };
    struct task_face *faces;
    size_t n;
    score[5] = score[9000] = .5f;
    enum err_code rc = task_face_boxes(task_face_family("toy"), (struct face_level[]){ l, l, l }, 1,
                                       .1f, &faces, &n, err);
    CHECK(rc == ERR_NONE ? n > 0 : !n && !faces);
    free(faces);
    return rc;
}

static enum err_code use(struct err *err)
{
    static float seen[3 * FACE_DETECT_PX * FACE_DETECT_PX];
    uint8_t px[3 * 20 * 30] = { 0 };
    const struct image im = { .px = px, .width_px = 20, .height_px = 30 };
    const struct task_face faces[3] = { { .score = 1 } };
    struct infer *engine = NULL;
    struct task_face_detector *d = NULL;
    struct task_face_recognizer *r = NULL;
    float out[3 * DIM], scale;
    enum err_code rc = infer_create(&engine, &(struct infer_options){ .n_threads = 1 }, err);
    if (rc == ERR_NONE)
        rc = task_face_detector_open(&d, engine, &folder, err);
    if (rc == ERR_NONE)
        rc = task_face_recognizer_open(&r, engine, &folder, 2, err);
    if (rc == ERR_NONE)
        rc = task_face_letterbox(&im, &task_face_family("")->detect, seen, &scale, err);
    if (rc == ERR_NONE)
        rc = choose(err);
    if (rc == ERR_NONE)
        rc = task_face_embed(r, &im, faces, 3, out, NULL, err);
    task_face_recognizer_close(r);
    task_face_detector_close(d);
    infer_destroy(engine);
    return rc;
}

static void every_allocation_may_fail(void)
{
    CHECK(fault_each(use) >= 15);
}

static const struct tap_case cases[] = { CASE(every_allocation_may_fail) };

int main(void)
{
    scratch_make();
    write_network("detection", "fovea-fake 1\ninput x f32 1 3 640 640\n"
                               "output a f32 -1 1\noutput b f32 -1 1\noutput c f32 -1 1\n"
                               "output d f32 -1 4\noutput e f32 -1 4\noutput f f32 -1 4\n"
                               "output g f32 -1 10\noutput h f32 -1 10\noutput i f32 -1 10\n");
    write_network("recognition", "fovea-fake 1\ninput x f32 -1 3 112 112\noutput v f32 -1 4\n");
    int rc = model_find(scratch, MODEL_FACES, "toy", &folder, NULL) != ERR_NONE ||
             tap_run(cases, sizeof cases / sizeof *cases);
    scratch_remove();
    return rc;
}
