#include <stdlib.h>

#include "index/layout.h"
#include "index/vector.h"

enum { BLOCK = 256 }; /* rows a write: 128 KiB at 512 values */

struct index_writer {
    struct file_draft file;
    struct layout_header header;
    uint64_t n_written;       /* rows in the file, a multiple of BLOCK until the last flush */
    struct index_memory next; /* those that follow, fewer than BLOCK */
};

enum err_code index_writer_open(struct index_writer **out, const char *path,
                                const struct index_stamp *stamp, struct err *err)
{
    *out = NULL;
    struct index_writer *w = calloc(1, sizeof *w);
    if (!w)
        return err_set(err, ERR_NOMEM, "%s: no memory to write it", path);
    w->file.fd = -1;
    enum err_code rc = layout_make(&w->header, stamp, err);
    if (rc == ERR_NONE)
        rc = file_draft_open(&w->file, path, err);
    if (rc == ERR_NONE)
        rc = file_draft_write(&w->file, 0, &w->header, sizeof w->header, err);
    if (rc != ERR_NONE) {
        index_writer_close(w);
        return rc;
    }
    w->next.view.dim = stamp->dim;
    *out = w;
    return ERR_NONE;
}

static enum err_code flush(struct index_writer *w, struct err *err)
{
    struct index_view *v = &w->next.view;
    const struct layout_header *h = &w->header;
    uint64_t at = w->n_written;
    size_t n = v->n_rows;
    enum err_code rc = file_draft_write(&w->file, h->ids_at + at * sizeof *v->ids, v->ids,
                                        n * sizeof *v->ids, err);
    if (rc == ERR_NONE)
        rc = file_draft_write(&w->file, h->scales_at + at * sizeof *v->scales, v->scales,
                              n * sizeof *v->scales, err);
    if (rc == ERR_NONE)
        rc = file_draft_write(&w->file, h->sums_at + at * sizeof *v->sums, v->sums,
                              n * sizeof *v->sums, err);
    if (rc == ERR_NONE)
        rc = file_draft_write(&w->file, h->rows_at + at * h->stride, v->rows, n * v->stride, err);
    if (rc == ERR_NONE) {
        w->n_written += n;
        v->n_rows = 0;
    }
    return rc;
}

enum err_code index_writer_add(struct index_writer *w, int64_t id, const uint16_t *f16,
                               struct err *err)
{
    if (w->n_written + w->next.view.n_rows == w->header.n_rows)
        return err_set(err, ERR_LIMIT, "%s: more than the %llu vectors it was opened for",
                       w->file.path, (unsigned long long)w->header.n_rows);
    enum err_code rc = index_memory_add(&w->next, id, f16, err);
    if (rc == ERR_NONE && w->next.view.n_rows == BLOCK)
        rc = flush(w, err);
    return rc;
}

enum err_code index_writer_commit(struct index_writer *w, struct err *err)
{
    enum err_code rc = flush(w, err);
    if (rc == ERR_NONE && w->n_written != w->header.n_rows)
        rc =
            err_set(err, ERR_INVALID, "%s: %llu vectors came, it was opened for %llu", w->file.path,
                    (unsigned long long)w->n_written, (unsigned long long)w->header.n_rows);
    return rc == ERR_NONE ? file_draft_commit(&w->file, err) : rc;
}

void index_writer_close(struct index_writer *w)
{
    if (!w)
        return;
    file_draft_close(&w->file);
    index_memory_clear(&w->next);
    free(w);
}
