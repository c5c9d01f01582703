/* model.h - what a model is on disk: folders, their small configuration files, and which space of
 * vectors it spans.
 *
 * Immich's layout: <models>/<task>/<name>/<type>/model.onnx, so that one folder serves both.
 * Nothing here loads a network. Any thread. */
#ifndef FOVEA_MODEL_MODEL_H
#define FOVEA_MODEL_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/hash.h"

enum { MODEL_PATH_MAX = 4096, MODEL_NAME_MAX = 128 };

enum model_task { MODEL_CLIP, MODEL_FACES, MODEL_OCR };
enum model_type { MODEL_VISUAL, MODEL_TEXTUAL, MODEL_DETECTION, MODEL_RECOGNITION };
enum { MODEL_N_TASKS = MODEL_OCR + 1 };

struct model_folder {
    enum model_task task;
    char name[MODEL_NAME_MAX]; /* as its folder is called */
    char dir[MODEL_PATH_MAX];  /* <models>/<task>/<name> */
};

/* "clip", "facial-recognition", "ocr"; "visual", ... as folders and Immich's API call them. */
const char *model_task_name(enum model_task task);
const char *model_type_name(enum model_type type);
/* The two types of a task: visual, textual of CLIP; detection, recognition of the others. */
const enum model_type *model_types(enum model_task task);

/* The folder of a model. name may come from outside; it is cleaned as the reference does
 * (immich_ml/config.py clean_name: what follows the last '/', no '.', ':' and '\' become '_'), then
 * must be 1 to MODEL_NAME_MAX-1 bytes without control characters: ERR_INVALID. A folder that is not
 * there is ERR_NOT_FOUND, and the message says where it was looked for and what to do. */
enum err_code model_find(const char *models_dir, enum model_task task, const char *name,
                         struct model_folder *out, struct err *err);

/* The same of a folder that need not be there yet. ERR_INVALID, ERR_LIMIT. */
enum err_code model_place(const char *models_dir, enum model_task task, const char *name,
                          struct model_folder *out, struct err *err);

/* <dir>/<type>/<file> into out. ERR_LIMIT when longer than MODEL_PATH_MAX. */
enum err_code model_path(const struct model_folder *f, enum model_type type, const char *file,
                         char out[MODEL_PATH_MAX], struct err *err);

/* The content of <dir>/<type>/<file> and a NUL, on the heap. As file_read(): ERR_NOT_FOUND, ERR_IO,
 * ERR_LIMIT, ERR_NOMEM. */
enum err_code model_read(const struct model_folder *f, enum model_type type, const char *file,
                         size_t max_bytes, char **data, size_t *n, struct err *err);

/* Calls fn for every model under models_dir, in order of task and name; a folder of models that is
 * not there holds none. ERR_IO, or what fn returned (which stops the walk). */
typedef enum err_code (*model_list_fn)(const struct model_folder *f, void *ctx, struct err *err);
enum err_code model_list(const char *models_dir, model_list_fn fn, void *ctx, struct err *err);

/* Where a file of the hub is: <MODEL_HUB_URL>/<MODEL_HUB_OWNER>/<model>/resolve/main/<path>. */
#define MODEL_HUB_URL "https://huggingface.co"
#define MODEL_HUB_OWNER "immich-app"
/* Where RapidOCR keeps PaddleOCR's networks: <MODEL_OCR_URL>/<remote.path>. */
#define MODEL_OCR_URL "https://www.modelscope.cn"

struct model_remote {
    const char *path;   /* below MODEL_OCR_URL; NULL: the file comes from the hub */
    const char *sha256; /* 64 hexadecimal digits; NULL: the hub says it */
};

/* A model that Immich 3.1 offers. */
struct model_row {
    enum model_task task;
    const char *name; /* as its folder and its repository on the hub are called */
    unsigned dim;     /* floats a vector; 0 of OCR */
};

/* All of them, by task and name in byte order. */
const struct model_row *model_registry(size_t *n);
/* The row of name, which is cleaned as model_find() does; NULL where there is none. */
const struct model_row *model_known(enum model_task task, const char *name);

/* A file that a model needs. */
struct model_file {
    const char *folder; /* of <models>/<task>: the model's, but of OCR's detector, which all
                           languages share, that of the model without the language */
    const char *path;   /* below folder and, on the hub, below the repository */
    struct model_remote remote;
};
/* The files that one type of a model cannot do without: how many; 0 where the task has no such
 * type. A network of more than 2 GB keeps its weights in files beside model.onnx, of names that
 * only the network and the hub's listing of its folder tell. */
enum { MODEL_FILES_MAX = 4 };
size_t model_files(const struct model_row *row, enum model_type type,
                   struct model_file out[MODEL_FILES_MAX]);

/* How a picture becomes the visual tower's input (visual/preprocess_cfg.json of OpenCLIP). */
enum model_interpolation { MODEL_BICUBIC, MODEL_BILINEAR, MODEL_NEAREST };
enum model_resize { MODEL_SHORTEST, MODEL_LONGEST, MODEL_SQUASH };
struct model_preprocess {
    unsigned size_px; /* square; of a [height, width] pair the first, as the reference reads it */
    float mean[3], std[3]; /* of RGB in 0..1 */
    enum model_interpolation interpolation;
    enum model_resize resize;
    unsigned fill; /* 0..255, where MODEL_LONGEST leaves a border */
};
/* ERR_NOT_FOUND, ERR_CORRUPT (wrong kind of value, out of range; names the field). */
enum err_code model_preprocess_read(const struct model_folder *f, struct model_preprocess *out,
                                    struct err *err);

/* How words become the textual tower's input (config.json, textual/tokenizer_config.json). */
struct model_text {
    unsigned context_length; /* tokens, 77 where the file does not say */
    bool canonicalize;       /* text_cfg.tokenizer_kwargs.clean: no punctuation, lower case */
    char pad_token[128];
};
enum err_code model_text_read(const struct model_folder *f, struct model_text *out,
                              struct err *err);

/* Length of a vector by config.json's embed_dim; 0 where the file or the field is missing. */
enum err_code model_embed_dim(const struct model_folder *f, unsigned *dim, struct err *err);

/* What changes when a file of <dir>/<type> does: a hash of the names, sizes, times and inodes of
 * all of them (large networks keep their weights in files beside model.onnx), and their size in
 * all. Reads no content. */
enum err_code model_identity(const struct model_folder *f, enum model_type type, char out[HASH_HEX],
                             uint64_t *n_bytes, struct err *err);

/* The space that a CLIP model's vectors live in: SHA-256 over the content of every file in both
 * towers' folders and of how fovea runs them; half: in f16, where a provider does as it is told.
 * Vectors of different spaces cannot be compared. The hash is kept in cache_dir (NULL: not) under
 * the towers' identity, since hashing 110 MB takes longer than a search may. */
enum err_code model_space(const struct model_folder *f, bool half, const char *cache_dir,
                          char out[HASH_HEX], struct err *err);

#endif
