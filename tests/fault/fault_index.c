/* Fail the 1st, 2nd, ... allocation of writing, opening and searching in turn: each must come back
 * as ERR_NOMEM, leak nothing (the sanitizer looks) and leave no file behind. */
#include "tap.h"

#include <dirent.h>

#include "fault.h"
#include "index/index.h"
#include "scratch.h"

enum { DIM = 8, N = 300 };

static char path[64];

static enum err_code write_rows(const struct index_stamp *stamp, const uint16_t *f16,
                                struct err *err)
{
    struct index_writer *w = NULL;
    enum err_code rc = index_writer_open(&w, path, stamp, err);
    for (int i = 0; rc == ERR_NONE && i < N; i++)
        rc = index_writer_add(w, i, f16, err);
    if (rc == ERR_NONE)
        rc = index_writer_commit(w, err);
    index_writer_close(w);
    return rc;
}

static enum err_code use(struct err *err)
{
    static const float one[DIM] = { 1 };
    const struct index_stamp stamp = { .n_rows = N, .dim = DIM };
    struct index_memory m = { .view.dim = DIM };
    struct index_sidecar s = { 0 };
    struct index_hit hits[20];
    uint16_t f16[DIM];
    size_t n_hits[2];
    float queries[2 * DIM] = { 1, [DIM] = -1 };
    struct index_query query = { queries, 2, DIM, 10, NULL, NULL, NULL, NULL };
    enum err_code rc = index_to_f16(one, DIM, f16, err);
    if (rc == ERR_NONE)
        rc = write_rows(&stamp, f16, err);
    if (rc == ERR_NONE)
        rc = index_sidecar_open(&s, path, &stamp, err);
    for (int i = 0; rc == ERR_NONE && i < N; i++)
        rc = index_memory_add(&m, N + i, f16, err);
    if (rc == ERR_NONE)
        rc = index_search((struct index_view[]){ s.view, m.view }, 2, &query, hits, n_hits, err);
    if (rc == ERR_NONE)
        CHECK(n_hits[0] == 10 && n_hits[1] == 10 && hits[0].id == 0);
    index_memory_clear(&m);
    index_sidecar_close(&s);
    return rc;
}

static int count_files(void)
{
    int n = 0;
    DIR *d = opendir(scratch);
    while (d && readdir(d))
        n++;
    if (d)
        closedir(d);
    return n - 2; /* . and .. */
}

static enum err_code use_and_look(struct err *err)
{
    enum err_code rc = use(err);
    CHECK(count_files() <= 1);
    return rc;
}

static void every_allocation_may_fail(void)
{
    /* writer, its rows (3), rows in memory (2 * 3), scratch */
    CHECK(fault_each(use_and_look) >= 11);
}

static const struct tap_case cases[] = { CASE(every_allocation_may_fail) };

int main(void)
{
    scratch_make();
    snprintf(path, sizeof path, "%s/vectors.i8", scratch);
    int rc = tap_run(cases, sizeof cases / sizeof *cases);
    scratch_remove();
    return rc;
}
