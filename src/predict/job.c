#include "predict/job.h"

#include <stdlib.h>

enum err_code job_put_vector(struct buf *out, const float *v, size_t dim, struct err *err)
{
    enum err_code rc = buf_puts(out, "\"", err);
    if (rc == ERR_NONE)
        rc = json_put_floats(out, v, dim, err);
    return rc == ERR_NONE ? buf_puts(out, "\"", err) : rc;
}

void job_clear(struct job *j)
{
    buf_clear(&j->json);
    free(j->faces);
    free(j->boxes);
    *j = (struct job){ 0 };
}
