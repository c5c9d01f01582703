/* library.h - what is in a library and what still has to be computed.
 *
 * A library is a folder of fovea's own (library.db and files derived from it) about folders of the
 * user's, which are only ever read. library_index() brings the first up to the second: it walks the
 * folders, reads and embeds what is new or changed, leaves tombstones for what has gone, and never
 * takes a folder that is merely not there now (a pulled disk) for one whose photos were deleted.
 *
 * Data flows one way: scan -> plan (against the store) -> workers (read, decode, embed) -> store ->
 * sidecar. Each worker thread fills a batch of its own and runs the network on it with one thread,
 * so decoding and encoding keep every core busy without waiting for each other. */
#ifndef FOVEA_LIBRARY_LIBRARY_H
#define FOVEA_LIBRARY_LIBRARY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "image/image.h"
#include "index/index.h"
#include "predict/predict.h"
#include "store/store.h"

/* ---- indexing ---- */

struct library_progress {
    bool scanning;    /* n_total still grows */
    uint64_t n_total; /* files that need work; while scanning: photos seen so far */
    uint64_t n_done, n_failed;
    double elapsed_s; /* since work began */
};

/* What a run did. */
struct library_report {
    uint64_t n_added;     /* files with new content */
    uint64_t n_duplicate; /* new files whose content was known: copies, moves, renames */
    uint64_t n_changed;   /* known files with other content than before */
    uint64_t n_unchanged, n_removed, n_failed;
    uint64_t n_failed_before;    /* failed in an earlier run, unchanged since, so not tried again */
    uint64_t n_embedded;         /* photos that the network was run on */
    uint64_t n_roots, n_offline; /* offline: folders that are not there or cannot be read */
    double scan_s, work_s, sidecar_s;
    /* Busy seconds summed over the workers, so that a stage's rate can be told. */
    double read_s, decode_s, prepare_s, embed_s, write_s;
    bool cancelled;
};

/* One call a photo that failed or folder that could not be looked at; path: as the file system has
 * it. */
typedef void (*library_failure_fn)(const char *path, const char *why, void *ctx);
/* At most ten times a second, from any worker, never twice at once. */
typedef void (*library_progress_fn)(const struct library_progress *p, void *ctx);

struct library_index_options {
    const char *dir;   /* the library's folder; made when absent */
    const char *model; /* name of a CLIP model */
    struct predict *predict;
    struct image_decoder *decoder;
    unsigned n_threads;              /* 0: one a core */
    uint64_t max_bytes, max_pixels;  /* of a photo; 0: image.h's limits */
    library_progress_fn on_progress; /* may be NULL */
    library_failure_fn on_failure;   /* may be NULL */
    void *ctx;
    const atomic_bool *cancel; /* set it to stop soon, with all that is done kept; may be NULL */
};

/* Bring the library up to these folders, which join it, or to all its folders when n_paths is 0. A
 * folder inside one that is already in the library is refreshed as a part of that one,
 * unless a disk is mounted there, which joins as a folder of its own. A photo that
 * fails is noted and counted, not an error of the run. ERR_NOT_FOUND, ERR_UNSUPPORTED (a path that
 * is no folder), ERR_BUSY (another writer), and what the store, the model or the disk say. */
enum err_code library_index(const struct library_index_options *o, const char *const *paths,
                            size_t n_paths, struct library_report *report, struct err *err);

/* ---- the vectors of a library, ready to search ---- */

struct library_vectors {
    struct store_space space;
    struct index_view views[2]; /* the sidecar's rows, and those added since */
    size_t n_views;
    struct index_filter filter; /* leaves out photos that have gone; bits NULL: none have */
    struct index_sidecar sidecar;
    struct index_memory tail;
    const char
        *sidecar_fault; /* why the sidecar is not used, or NULL: searches are slower, not wrong */
    char fault_msg[256];
};

/* One moment of the store: call between store_snapshot_begin and _end when more is read beside it.
 * space: 64 hex digits as predict_space() gives. ERR_NOT_FOUND when nothing was indexed with that
 * model; the message says with which models something was. */
enum err_code library_vectors_open(struct library_vectors *v, struct store *s, const char *dir,
                                   const char *space_hex, struct err *err);
void library_vectors_close(struct library_vectors *v); /* {0} is fine */

/* ---- the library as a whole ---- */

struct library_exported {
    uint64_t n_photos, n_files, n_vectors;
};
/* Everything that is known, into a folder as library.jsonl and vectors-*.f16 (docs/export.md). The
 * library is only read. ERR_INVALID when the folder has an export already. */
enum err_code library_export(const char *dir, const char *to, struct library_exported *done,
                             struct err *err);
/* Add what an export holds; what the library knows already is kept. All or nothing. ERR_CORRUPT
 * names the line that is wrong. */
enum err_code library_import(const char *dir, const char *from, struct library_exported *done,
                             struct err *err);

/* What a check found; `whole` means there was nothing to mend. */
struct library_checked {
    int64_t n_photos, n_vectors;
    int64_t n_counts_mended,
        n_vectors_dropped;                    /* dropped: the next index run computes them again */
    uint64_t n_sidecars_written, n_leftovers; /* leftovers: derived files of nobody, removed */
    bool whole;
};
/* Verify the database, page by page, and everything derived from it; mend what is derived.
 * ERR_CORRUPT when the database itself is damaged: nothing is changed then. */
enum err_code library_check(const char *dir, struct library_checked *found, struct err *err);
/* Look no more at a folder of the library, and forget its files and tombstones. Photos that no
 * other folder holds are not found any more, but stay known by their content until a purge. The
 * folder itself, which need not be there, is not touched. ERR_NOT_FOUND: the library has no such
 * folder. */
struct library_forgotten {
    int64_t n_files;  /* that were not tombstones */
    int64_t n_photos; /* that no other file holds */
};
enum err_code library_forget(const char *dir, const char *path, struct library_forgotten *out,
                             struct err *err);
/* Give unused space back; purge: also forget tombstones and what only they held. */
enum err_code library_vacuum(const char *dir, bool purge, struct store_purged *purged,
                             struct err *err);

/* ---- one image, as the library sees it ---- */

/* The file decoded and run through the model: out [dim] f32, not normalised. IMAGE_VIEW is how
 * photos of the library are seen, for examples that are not in it; IMAGE_REFERENCE is how Immich's
 * service does. */
enum err_code library_embed_file(struct image_decoder *d, const struct task_clip_visual *v,
                                 const char *path, enum image_contract contract, float *out,
                                 struct err *err);

/* To unit length; returns the length it had. A vector of zeros stays one. */
float library_normalise(float *v, size_t dim);
/* Is it of unit length, within what half precision allows? */
bool library_is_unit(const float *v, size_t dim);

#endif
