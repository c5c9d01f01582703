/* registry.c - the models that Immich 3.1 offers (machine-learning's models/constants.py; the
 * lengths of vectors are in the server's constants.ts), and of which files each consists. */
#include <string.h>

#include "model/folder.h"

/* RapidOCR's list of models, 3.8.1, which that release of Immich pins. */
#define OCR "models/RapidAI/RapidOCR/resolve/v3.8.0/onnx/PP-OCRv5/"

/* By task, then name in byte order. */
static const struct model_row rows[] = {
    { MODEL_CLIP, "LABSE-Vit-L-14", 768 },
    { MODEL_CLIP, "RN101__openai", 512 },
    { MODEL_CLIP, "RN101__yfcc15m", 512 },
    { MODEL_CLIP, "RN50__cc12m", 1024 },
    { MODEL_CLIP, "RN50__openai", 1024 },
    { MODEL_CLIP, "RN50__yfcc15m", 1024 },
    { MODEL_CLIP, "RN50x16__openai", 768 },
    { MODEL_CLIP, "RN50x4__openai", 640 },
    { MODEL_CLIP, "RN50x64__openai", 1024 },
    { MODEL_CLIP, "ViT-B-16-SigLIP-256__webli", 768 },
    { MODEL_CLIP, "ViT-B-16-SigLIP-384__webli", 768 },
    { MODEL_CLIP, "ViT-B-16-SigLIP-512__webli", 768 },
    { MODEL_CLIP, "ViT-B-16-SigLIP-i18n-256__webli", 768 },
    { MODEL_CLIP, "ViT-B-16-SigLIP2__webli", 768 },
    { MODEL_CLIP, "ViT-B-16-SigLIP__webli", 768 },
    { MODEL_CLIP, "ViT-B-16-plus-240__laion400m_e31", 640 },
    { MODEL_CLIP, "ViT-B-16-plus-240__laion400m_e32", 640 },
    { MODEL_CLIP, "ViT-B-16__laion400m_e31", 512 },
    { MODEL_CLIP, "ViT-B-16__laion400m_e32", 512 },
    { MODEL_CLIP, "ViT-B-16__openai", 512 },
    { MODEL_CLIP, "ViT-B-32-SigLIP2-256__webli", 768 },
    { MODEL_CLIP, "ViT-B-32__laion2b-s34b-b79k", 512 },
    { MODEL_CLIP, "ViT-B-32__laion2b_e16", 512 },
    { MODEL_CLIP, "ViT-B-32__laion400m_e31", 512 },
    { MODEL_CLIP, "ViT-B-32__laion400m_e32", 512 },
    { MODEL_CLIP, "ViT-B-32__openai", 512 },
    { MODEL_CLIP, "ViT-H-14-378-quickgelu__dfn5b", 1024 },
    { MODEL_CLIP, "ViT-H-14-quickgelu__dfn5b", 1024 },
    { MODEL_CLIP, "ViT-H-14__laion2b-s32b-b79k", 1024 },
    { MODEL_CLIP, "ViT-L-14-336__openai", 768 },
    { MODEL_CLIP, "ViT-L-14-quickgelu__dfn2b", 768 },
    { MODEL_CLIP, "ViT-L-14__laion2b-s32b-b82k", 768 },
    { MODEL_CLIP, "ViT-L-14__laion400m_e31", 768 },
    { MODEL_CLIP, "ViT-L-14__laion400m_e32", 768 },
    { MODEL_CLIP, "ViT-L-14__openai", 768 },
    { MODEL_CLIP, "ViT-L-16-SigLIP-256__webli", 1024 },
    { MODEL_CLIP, "ViT-L-16-SigLIP-384__webli", 1024 },
    { MODEL_CLIP, "ViT-L-16-SigLIP2-256__webli", 1024 },
    { MODEL_CLIP, "ViT-L-16-SigLIP2-384__webli", 1024 },
    { MODEL_CLIP, "ViT-L-16-SigLIP2-512__webli", 1024 },
    { MODEL_CLIP, "ViT-SO400M-14-SigLIP-384__webli", 1152 },
    { MODEL_CLIP, "ViT-SO400M-14-SigLIP2-378__webli", 1152 },
    { MODEL_CLIP, "ViT-SO400M-14-SigLIP2__webli", 1152 },
    { MODEL_CLIP, "ViT-SO400M-16-SigLIP2-256__webli", 1152 },
    { MODEL_CLIP, "ViT-SO400M-16-SigLIP2-384__webli", 1152 },
    { MODEL_CLIP, "ViT-SO400M-16-SigLIP2-512__webli", 1152 },
    { MODEL_CLIP, "ViT-g-14__laion2b-s12b-b42k", 1024 },
    { MODEL_CLIP, "ViT-gopt-16-SigLIP2-256__webli", 1536 },
    { MODEL_CLIP, "ViT-gopt-16-SigLIP2-384__webli", 1536 },
    { MODEL_CLIP, "XLM-Roberta-Base-ViT-B-32__laion5b_s13b_b90k", 512 },
    { MODEL_CLIP, "XLM-Roberta-Large-ViT-H-14__frozen_laion5b_s13b_b90k", 1024 },
    { MODEL_CLIP, "XLM-Roberta-Large-Vit-B-16Plus", 640 },
    { MODEL_CLIP, "XLM-Roberta-Large-Vit-B-32", 512 },
    { MODEL_CLIP, "XLM-Roberta-Large-Vit-L-14", 768 },
    { MODEL_CLIP, "nllb-clip-base-siglip__mrl", 768 },
    { MODEL_CLIP, "nllb-clip-base-siglip__v1", 768 },
    { MODEL_CLIP, "nllb-clip-large-siglip__mrl", 1152 },
    { MODEL_CLIP, "nllb-clip-large-siglip__v1", 1152 },
    { MODEL_FACES, "antelopev2", 512 },
    { MODEL_FACES, "buffalo_l", 512 },
    { MODEL_FACES, "buffalo_m", 512 },
    { MODEL_FACES, "buffalo_s", 512 },
    { MODEL_OCR, "CH__PP-OCRv5_mobile", 0 },
    { MODEL_OCR, "CH__PP-OCRv5_server", 0 },
    { MODEL_OCR, "EL__PP-OCRv5_mobile", 0 },
    { MODEL_OCR, "EN__PP-OCRv5_mobile", 0 },
    { MODEL_OCR, "ESLAV__PP-OCRv5_mobile", 0 },
    { MODEL_OCR, "KOREAN__PP-OCRv5_mobile", 0 },
    { MODEL_OCR, "LATIN__PP-OCRv5_mobile", 0 },
    { MODEL_OCR, "PP-OCRv5_mobile", 0 },
    { MODEL_OCR, "PP-OCRv5_server", 0 },
    { MODEL_OCR, "TH__PP-OCRv5_mobile", 0 },
};
enum { N_ROWS = sizeof rows / sizeof *rows };

struct pinned {
    const char *folder;
    struct model_remote remote;
};

/* All languages share the detector. */
static const struct pinned detectors[] = {
    { "PP-OCRv5_mobile",
      { OCR "det/ch_PP-OCRv5_det_mobile.onnx",
        "4d97c44a20d30a81aad087d6a396b08f786c4635742afc391f6621f5c6ae78ae" } },
    { "PP-OCRv5_server",
      { OCR "det/ch_PP-OCRv5_det_server.onnx",
        "0f8846b1d4bba223a2a2f9d9b44022fbc22cc019051a602b41a7fda9667e4cad" } },
};
static const struct pinned recognizers[] = {
    { "CH__PP-OCRv5_mobile",
      { OCR "rec/ch_PP-OCRv5_rec_mobile.onnx",
        "5825fc7ebf84ae7a412be049820b4d86d77620f204a041697b0494669b1742c5" } },
    { "CH__PP-OCRv5_server",
      { OCR "rec/ch_PP-OCRv5_rec_server.onnx",
        "e09385400eaaaef34ceff54aeb7c4f0f1fe014c27fa8b9905d4709b65746562a" } },
    { "EL__PP-OCRv5_mobile",
      { OCR "rec/el_PP-OCRv5_rec_mobile.onnx",
        "b4368bccd557123c702b7549fee6cd1e94b581337d1c9b65310f109131542b7f" } },
    { "EN__PP-OCRv5_mobile",
      { OCR "rec/en_PP-OCRv5_rec_mobile.onnx",
        "c3461add59bb4323ecba96a492ab75e06dda42467c9e3d0c18db5d1d21924be8" } },
    { "ESLAV__PP-OCRv5_mobile",
      { OCR "rec/eslav_PP-OCRv5_rec_mobile.onnx",
        "08705d6721849b1347d26187f15a5e362c431963a2a62bfff4feac578c489aab" } },
    { "KOREAN__PP-OCRv5_mobile",
      { OCR "rec/korean_PP-OCRv5_rec_mobile.onnx",
        "cd6e2ea50f6943ca7271eb8c56a877a5a90720b7047fe9c41a2e541a25773c9b" } },
    { "LATIN__PP-OCRv5_mobile",
      { OCR "rec/latin_PP-OCRv5_rec_mobile.onnx",
        "b20bd37c168a570f583afbc8cd7925603890efbcdc000a59e22c269d160b5f5a" } },
    { "PP-OCRv5_mobile",
      { OCR "rec/ch_PP-OCRv5_rec_mobile.onnx",
        "5825fc7ebf84ae7a412be049820b4d86d77620f204a041697b0494669b1742c5" } },
    { "PP-OCRv5_server",
      { OCR "rec/ch_PP-OCRv5_rec_server.onnx",
        "e09385400eaaaef34ceff54aeb7c4f0f1fe014c27fa8b9905d4709b65746562a" } },
    { "TH__PP-OCRv5_mobile",
      { OCR "rec/th_PP-OCRv5_rec_mobile.onnx",
        "de541dd83161c241ff426f7ecfd602a0ba77d686cf3ab9a6c255ea82fd08006e" } },
};

const struct model_row *model_registry(size_t *n)
{
    *n = N_ROWS;
    return rows;
}

const struct model_row *model_known(enum model_task task, const char *name)
{
    char clean[MODEL_NAME_MAX];
    if (model_clean_name(name, clean, NULL) != ERR_NONE)
        return NULL;
    for (size_t i = 0; i < N_ROWS; i++)
        if (rows[i].task == task && !strcmp(rows[i].name, clean))
            return &rows[i];
    return NULL;
}

static size_t hub_files(const struct model_row *row, const char *const *paths,
                        struct model_file out[MODEL_FILES_MAX])
{
    size_t n = 0;
    for (; paths[n]; n++)
        out[n] = (struct model_file){ .folder = row->name, .path = paths[n] };
    return n;
}

/* Every row of OCR has both; a test holds it. */
static size_t ocr_files(const struct model_row *row, enum model_type type, const char *path,
                        struct model_file out[MODEL_FILES_MAX])
{
    const struct pinned *p = type == MODEL_DETECTION ? detectors : recognizers;
    const char *language_end = strstr(row->name, "__");
    bool shared = type == MODEL_DETECTION && language_end;
    const char *folder = shared ? language_end + 2 : row->name;
    while (strcmp(p->folder, folder) != 0)
        p++;
    out[0] = (struct model_file){ p->folder, path, p->remote };
    return 1;
}

size_t model_files(const struct model_row *row, enum model_type type,
                   struct model_file out[MODEL_FILES_MAX])
{
    static const char *const paths[][MODEL_FILES_MAX + 1] = {
        [MODEL_VISUAL] = { "config.json", "visual/model.onnx", "visual/preprocess_cfg.json" },
        [MODEL_TEXTUAL] = { "config.json", "textual/model.onnx", "textual/tokenizer.json",
                            "textual/tokenizer_config.json" },
        [MODEL_DETECTION] = { "detection/model.onnx" },
        [MODEL_RECOGNITION] = { "recognition/model.onnx" },
    };
    bool of_clip = type == MODEL_VISUAL || type == MODEL_TEXTUAL;
    if (of_clip != (row->task == MODEL_CLIP))
        return 0;
    return row->task == MODEL_OCR ? ocr_files(row, type, paths[type][0], out)
                                  : hub_files(row, paths[type], out);
}
