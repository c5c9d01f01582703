/* rows.c - a run for which memory does not suffice, in parts.
 *
 * Of a GPU's memory others take their share too, so what fits is found by trying: half as many rows
 * each time, down to one. What was found holds for the session, since an allocation that fails is
 * slow to fail, but not beyond the provider, whose memory it was. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "infer/session.h"

#define ALL_AGAIN SIZE_MAX /* of rows_max; a run that began before is not to take it for 0 */

static bool is_free(const struct infer_port *p)
{
    return p->n_dims && p->dims[0] < 0;
}

size_t infer_n_rows(const struct infer_session *s, const struct infer_tensor *in, size_t n_out)
{
    const int64_t n = s->n_inputs && in[0].n_dims ? in[0].dims[0] : 1;
    bool apart = n > 1;
    for (size_t i = 0; i < s->n_inputs && apart; i++)
        apart = is_free(&s->inputs[i]) && in[i].dims[0] == n;
    for (size_t i = 0; i < n_out && apart; i++)
        apart = is_free(&s->outputs[i]);
    return apart ? (size_t)n : 1;
}

/* part's rows become those of all from row `at` on; all is made from the first part. */
static enum err_code put_rows(struct infer_tensor *all, const struct infer_tensor *part, size_t n,
                              size_t at, size_t now, struct err *err)
{
    size_t count;
    enum err_code rc = infer_count(part, &count, err);
    if (rc == ERR_NONE && (!part->n_dims || part->dims[0] != (int64_t)now))
        rc = err_set(err, ERR_NOMEM,
                     "not enough memory, and the network's rows cannot be run apart");
    if (rc != ERR_NONE)
        return rc;
    const size_t row_bytes = count / now * infer_type_bytes(part->type);
    if (!all->data) {
        *all = (struct infer_tensor){ .type = part->type, .n_dims = part->n_dims };
        memcpy(all->dims, part->dims, sizeof all->dims);
        all->dims[0] = (int64_t)n;
        rc = infer_count(all, &count, err);
        if (rc != ERR_NONE)
            return rc;
        all->data = all->owner = calloc(count ? count : 1, infer_type_bytes(part->type));
        all->free_fn = free;
        if (!all->data)
            return err_set(err, ERR_NOMEM, "network output");
    }
    if (all->n_dims != part->n_dims ||
        memcmp(all->dims + 1, part->dims + 1, (part->n_dims - 1) * sizeof *part->dims) != 0)
        return err_set(err, ERR_NOMEM, "not enough memory, and the network's rows differ in size");
    memcpy((char *)all->data + at * row_bytes, part->data, now * row_bytes);
    return ERR_NONE;
}

static struct infer_tensor slice(const struct infer_tensor *t, size_t at, size_t now)
{
    size_t row_bytes = infer_type_bytes(t->type);
    for (size_t d = 1; d < t->n_dims; d++)
        row_bytes *= (size_t)t->dims[d];
    struct infer_tensor out = *t;
    out.dims[0] = (int64_t)now;
    out.data = (char *)t->data + at * row_bytes;
    out.free_fn = NULL;
    return out;
}

static enum err_code run_parts(struct infer_session *s, const struct infer_tensor *in,
                               struct infer_tensor *out, size_t n_out, size_t n, size_t step,
                               struct err *err)
{
    enum err_code rc = ERR_NONE;
    for (size_t at = 0; at < n && rc == ERR_NONE; at += step) {
        const size_t now = n - at < step ? n - at : step;
        struct infer_tensor x[INFER_PORTS_MAX], y[INFER_PORTS_MAX] = { 0 };
        for (size_t i = 0; i < s->n_inputs; i++)
            x[i] = slice(&in[i], at, now);
        rc = s->backend->run(s, x, y, n_out, err);
        for (size_t i = 0; i < n_out && rc == ERR_NONE; i++)
            rc = put_rows(&out[i], &y[i], n, at, now, err);
        for (size_t i = 0; i < n_out; i++)
            infer_tensor_clear(&y[i]);
    }
    return rc;
}

enum err_code infer_run_rows(struct infer_session *s, const struct infer_tensor *in,
                             struct infer_tensor *out, size_t n_out, struct err *err)
{
    const size_t n = infer_n_rows(s, in, n_out), most = atomic_load(&s->rows_max);
    for (size_t step = most && most < n ? most : n;; step = (step + 1) / 2) {
        struct err why = { 0 };
        enum err_code rc = step == n ? s->backend->run(s, in, out, n_out, &why)
                                     : run_parts(s, in, out, n_out, n, step, &why);
        size_t is = most;
        if (rc == ERR_NONE && step < n && step != most &&
            atomic_compare_exchange_strong(&s->rows_max, &is, step))
            log_write(LOG_INFO, "memory suffices for %zu of %zu rows at once", step, n);
        if (rc == ERR_NONE)
            return rc;
        if (rc != ERR_NOMEM || step <= 1)
            return err_set(err, rc, "%s", why.msg);
        for (size_t i = 0; i < n_out; i++)
            infer_tensor_clear(&out[i]);
    }
}

void infer_free_rows(struct infer_session *s)
{
    atomic_store(&s->rows_max, ALL_AGAIN);
}
