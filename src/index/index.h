/* index.h - vectors -> nearest. Knows rows (id, vector), not photos.
 *
 * The search is exact over a compressed copy: every candidate row is scored by an int8 dot product,
 * the best few are scored again from the authoritative f16 vectors, and those scores are what comes
 * out. Nothing is approximate but the choice of the few (tests/recall holds it at >= 0.998 of the
 * ten nearest). There is no graph or tree to build, keep or tune: one thread reads memory at
 * nearly the speed that the machine has, and bench_scan says what that is.
 *
 * Rows live in two places of one layout (struct index_view): the sidecar, an immutable mapped file
 * that holds nearly all of them, and a block of memory with those added since it was written. A
 * search takes any number of views. All of it is derived from the database and may be thrown away.
 *
 * Vectors are unit length by convention; then scores are cosines. Nothing here normalises.
 */
#ifndef FOVEA_INDEX_INDEX_H
#define FOVEA_INDEX_INDEX_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "sys/file.h"

#define INDEX_DIM_MAX 4096
#define INDEX_ROWS_MAX ((size_t)1 << 30)
#define INDEX_HITS_MAX ((size_t)1 << 16) /* of one search, over all its queries */
#define INDEX_SPACE_BYTES 32

/* --- Vectors ---------------------------------------------------------------------------------- */

/* f32 -> IEEE half, round to nearest even: the form in which vectors are kept. ERR_INVALID for one
 * that has a value which is not finite, or none that is not zero, after rounding: such a vector is
 * near nothing, so it never gets in. */
enum err_code index_to_f16(const float *v, size_t dim, uint16_t *out, struct err *err);
void index_from_f16(const uint16_t *v, size_t dim, float *out); /* exact */

/* --- Rows ------------------------------------------------------------------------------------- */

/* n rows as the scan reads them. Value i of row r is about rows[r * stride + i] * scales[r].
 * Borrowed from the sidecar or the memory it is a member of. {0} is an empty one. */
struct index_view {
    const int64_t *ids;  /* [n_rows]; >= 0 */
    const float *scales; /* [n_rows]; greatest absolute value of the vector / 127 */
    const int32_t *sums; /* [n_rows] of a row's values */
    const int8_t *rows;  /* [n_rows, stride] in [-127, 127], zero from dim on; 64-byte aligned */
    size_t n_rows, dim, stride; /* stride: dim rounded up to 64 */
};

/* Rows in memory. {0} and a dim make an empty one: `{ .view.dim = 512 }`. Adding moves the arrays,
 * so no search may run on the view meanwhile; the caller holds the lock. */
struct index_memory {
    struct index_view view;
    size_t cap; /* rows there is room for */
};
void index_memory_clear(struct index_memory *m); /* frees; keeps dim */
/* f16: [dim]. ERR_INVALID (as index_to_f16; a negative id), ERR_LIMIT (dim), ERR_NOMEM; then
 * nothing was added. */
enum err_code index_memory_add(struct index_memory *m, int64_t id, const uint16_t *f16,
                               struct err *err);

/* What a sidecar must be, as the database has it. A file that says anything else is refused. */
struct index_stamp {
    uint8_t space[INDEX_SPACE_BYTES]; /* hash of model + preprocessing + precision */
    uint64_t generation, n_rows;
    uint32_t dim;
};

struct index_sidecar {
    struct file_map map;
    struct index_view view;
};
/* ERR_NOT_FOUND: no such file. ERR_CORRUPT: torn, foreign, of another version, or not what the
 * stamp says; rebuild it. On failure *s is {0}. The view stays valid until close, also when the
 * file is replaced or removed. Any thread. */
enum err_code index_sidecar_open(struct index_sidecar *s, const char *path,
                                 const struct index_stamp *stamp, struct err *err);
void index_sidecar_close(struct index_sidecar *s); /* {0} is fine */

/* Writes a sidecar beside `path`, a block of rows at a time, and puts it there when it is complete.
 * Give the rows in order of capture time: then the candidates of a date range are neighbours, and a
 * search among them reads only their pages. One thread. */
struct index_writer;
enum err_code index_writer_open(struct index_writer **out, const char *path,
                                const struct index_stamp *stamp, struct err *err);
/* ERR_INVALID, ERR_LIMIT as index_memory_add (also for a row more than the stamp has), ERR_IO. */
enum err_code index_writer_add(struct index_writer *w, int64_t id, const uint16_t *f16,
                               struct err *err);
/* Syncs and renames. ERR_INVALID when fewer rows came than the stamp has; ERR_IO. */
enum err_code index_writer_commit(struct index_writer *w, struct err *err);
void index_writer_close(struct index_writer *w); /* without a commit, what was there stays */

/* --- Search ----------------------------------------------------------------------------------- */

/* The candidates: row id i takes part if bit i % 64 of bits[i / 64] is set and i < n_bits. This is
 * also how removed photos are left out while the sidecar still has them. */
struct index_filter {
    const uint64_t *bits;
    size_t n_bits;
};

/* The authoritative f16 vector of row id into out[dim]. ERR_NOT_FOUND: the row is gone, leave it
 * out. Any other error ends the search. Called on the searching thread, in ascending order of id.
 */
typedef enum err_code (*index_fetch_fn)(void *ctx, int64_t id, uint16_t *out, struct err *err);

struct index_query {
    const float *vectors; /* [n, dim] f32, finite and not zero; they share one pass over memory */
    size_t n, dim, k;     /* the k nearest for each */
    const struct index_filter *filter; /* NULL: every row */
    index_fetch_fn fetch; /* NULL: scores are those of the int8 rows (within about 0.01) */
    void *fetch_ctx;
    struct pool *pool; /* helps; NULL: this thread alone. Not from a worker of that pool */
};

struct index_hit {
    int64_t id;
    float score; /* dot product */
};

/* hits: [n, k], the first n_hits[i] of row i filled, by score descending, then id ascending; the
 * same for any number of threads. An id that several views have comes once.
 * ERR_INVALID (a query vector; a view of another dim), ERR_LIMIT, ERR_NOMEM, or what fetch said. */
enum err_code index_search(const struct index_view *views, size_t n_views,
                           const struct index_query *query, struct index_hit *hits, size_t *n_hits,
                           struct err *err);

#endif
