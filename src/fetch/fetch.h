/* fetch.h - models brought into the models folder, checked there, and taken out of it.
 *
 * A model of the registry (model.h) comes from its repository on the hub, or of OCR from RapidOCR's
 * list. A file appears under its name only when it is whole and its hash is right; until then it is
 * a hidden .NAME.HASH.part beside it, from where the next try goes on, of this process or another.
 * One process at a time changes the models folder (<models>/.fovea.lock); others wait for it. What
 * came from the hub leaves its hashes in the model's folder as .sha256sums, which
 * `sha256sum -c .sha256sums` reads too; those of OCR are in the registry.
 *
 * Any thread. */
#ifndef FOVEA_FETCH_FETCH_H
#define FOVEA_FETCH_FETCH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "model/model.h"

/* A file's bound is over the largest network of the registry (about 5 GB). */
#define FETCH_FILE_MAX_BYTES ((uint64_t)16 << 30)
enum {
    FETCH_LIST_MAX_BYTES = 4 << 20,
    FETCH_FILES_MAX = 4096,
    FETCH_PAUSE_MS = 30000, /* after a model that could not be fetched; see fetch_type() */
};

/* Of a model on its way; n_bytes is what there is to fetch, 0 where that is not known. */
struct fetch_progress {
    const char *name;
    uint64_t n_done_bytes, n_bytes;
};
/* From the fetching threads, one at a time, about five times a second and once at the end. */
typedef void (*fetch_progress_fn)(const struct fetch_progress *p, void *ctx);

struct fetch_options {
    const char *models_dir;
    const char *hub_url, *ocr_url; /* in place of MODEL_HUB_URL and MODEL_OCR_URL; NULL: those */
    const char *token;             /* for the hub; it goes to hub_url's host only */
    const char *ca_file;           /* as net_create() takes it */
    bool offline;                  /* nothing is asked of the network */
    unsigned stall_s;              /* without an answer, or with next to nothing of it */
    uint64_t max_bytes_per_s;      /* 0: as fast as it comes */
    const atomic_bool *cancel;     /* NULL: never */
    fetch_progress_fn on_progress; /* NULL: nobody looks */
    void *ctx;                     /* on_progress's */
};

struct fetch;

/* Strings are copied. ERR_NOMEM, ERR_INTERNAL. */
enum err_code fetch_create(struct fetch **out, const struct fetch_options *o, struct err *err);
void fetch_destroy(struct fetch *f);

/* Are the files there that one type of a model cannot do without? Looks at names only: what has a
 * name is whole. */
bool fetch_is_there(const struct fetch *f, const struct model_row *row, enum model_type type);

/* Fetch what one type of a model lacks, from the hub its other type's files too, as the reference
 * does. Blocks; nothing is asked of the network where nothing is missing. A try that failed for
 * what may pass (a cut connection, 429, 5xx) is repeated a few times, and a file whose hash is
 * wrong once. What fails in the end is not asked for again for FETCH_PAUSE_MS: until then the same
 * error comes at once.
 * ERR_NOT_FOUND: offline, and the message says what is missing and how to get it; or 404.
 * ERR_IO: the network, a refusal, a full disk. ERR_CORRUPT: not what the list says, or no such
 * list. ERR_CANCELLED, ERR_NOMEM. */
enum err_code fetch_type(struct fetch *f, const struct model_row *row, enum model_type type,
                         struct err *err);
/* Of both types. */
enum err_code fetch_model(struct fetch *f, const struct model_row *row, struct err *err);

enum fetch_state { FETCH_WHOLE, FETCH_DAMAGED, FETCH_ABSENT };
struct fetch_checked {
    const char *name, *path; /* below the model's folder; on disk */
    enum fetch_state state;
    uint64_t n_bytes;
};
typedef void (*fetch_checked_fn)(const struct fetch_checked *is, void *ctx);

/* Hash the files of a model and call fn with each: those that were recorded when they were fetched,
 * and those of OCR that are there, whose hashes are pinned; none of a model that something else put
 * there. ERR_CORRUPT (the record), ERR_IO. */
enum err_code fetch_check(const struct fetch *f, const struct model_folder *m, fetch_checked_fn fn,
                          void *ctx, struct err *err);

/* Drop the files that do not match their hashes, and fetch again what the type lacks; nothing where
 * all match, none is known, or offline. As fetch_type(). */
enum err_code fetch_repair(struct fetch *f, const struct model_row *row, enum model_type type,
                           struct err *err);

/* Copy a model that was got in another way from dir, a folder of the hub's layout: what the model
 * runs on, of it. Hashes that are pinned, or in dir's own .sha256sums, are held to; all are
 * recorded. dir may be the model's own place: then nothing is copied. ERR_NOT_FOUND: dir lacks a
 * file that the model cannot do without (of OCR, both); ERR_CORRUPT: a hash differs; ERR_IO,
 * ERR_NOMEM. */
enum err_code fetch_import(struct fetch *f, const struct model_row *row, const char *dir,
                           struct err *err);

struct fetch_size {
    uint64_t n_bytes;
    size_t n_files;
};
/* What a model's folder holds; nothing where it is not there. ERR_IO. */
enum err_code fetch_measure(const struct model_folder *m, struct fetch_size *out, struct err *err);
/* It goes, with all in it; a link to a folder goes alone. What could be removed is in *out, on
 * failure too. ERR_NOT_FOUND, ERR_IO, ERR_CANCELLED. */
enum err_code fetch_remove(struct fetch *f, const struct model_folder *m, struct fetch_size *out,
                           struct err *err);

/* Calls fn for each file that a model cannot do without and that is not there: its path, and the
 * address it can be got from by hand. */
typedef void (*fetch_missing_fn)(const char *path, const char *url, void *ctx);
void fetch_list_missing(const struct fetch *f, const struct model_row *row, fetch_missing_fn fn,
                        void *ctx);

#endif
