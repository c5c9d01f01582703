/* folder.h - private to model/. */
#ifndef FOVEA_MODEL_FOLDER_H
#define FOVEA_MODEL_FOLDER_H

#include "model/model.h"

/* As model_find() says of names. ERR_INVALID. */
enum err_code model_clean_name(const char *name, char out[MODEL_NAME_MAX], struct err *err);

/* Calls fn for each name in dir in byte order, hidden ones excepted. ERR_NOT_FOUND, ERR_IO, or what
 * fn returned (which stops the walk). */
typedef enum err_code (*model_entry_fn)(const char *name, void *ctx, struct err *err);
enum err_code model_list_dir(const char *dir, model_entry_fn fn, void *ctx, struct err *err);

#endif
