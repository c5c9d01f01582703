#include "predict/cache.h"

enum err_code bundle_open(struct predict_bundle *b, struct infer *in, const struct model_folder *f,
                          const struct predict_options *o, struct err *err)
{
    if (b->task == MODEL_CLIP && b->type == MODEL_VISUAL)
        return task_clip_visual_open(&b->clip_visual, in, f, err);
    if (b->task == MODEL_CLIP && b->type == MODEL_TEXTUAL)
        return task_clip_textual_open(&b->clip_textual, in, f, err);
    if (b->task == MODEL_FACES && b->type == MODEL_DETECTION)
        return task_face_detector_open(&b->face_detector, in, f, err);
    if (b->task == MODEL_FACES && b->type == MODEL_RECOGNITION)
        return task_face_recognizer_open(&b->face_recognizer, in, f, o->max_batch_faces, err);
    if (b->task == MODEL_OCR && b->type == MODEL_DETECTION)
        return task_ocr_detector_open(&b->ocr_detector, in, f, err);
    if (b->task == MODEL_OCR && b->type == MODEL_RECOGNITION)
        return task_ocr_recognizer_open(&b->ocr_recognizer, in, f, o->max_batch_ocr, err);
    return err_set(err, ERR_INVALID, "task \"%s\" has no \"%s\"", model_task_name(b->task),
                   model_type_name(b->type));
}

void bundle_close(struct predict_bundle *b)
{
    task_clip_visual_close(b->clip_visual);
    task_clip_textual_close(b->clip_textual);
    task_face_detector_close(b->face_detector);
    task_face_recognizer_close(b->face_recognizer);
    task_ocr_detector_close(b->ocr_detector);
    task_ocr_recognizer_close(b->ocr_recognizer);
}

const struct predict_kind predict_kinds[PREDICT_N_KINDS] = {
    { MODEL_CLIP, MODEL_VISUAL },     { MODEL_CLIP, MODEL_TEXTUAL },
    { MODEL_FACES, MODEL_DETECTION }, { MODEL_FACES, MODEL_RECOGNITION },
    { MODEL_OCR, MODEL_DETECTION },   { MODEL_OCR, MODEL_RECOGNITION },
};

unsigned bundle_kind(enum model_task task, enum model_type type)
{
    unsigned second = type == MODEL_TEXTUAL || type == MODEL_RECOGNITION;
    return 2 * (unsigned)task + second;
}
