#include <math.h>
#include <stdlib.h>

#include "predict/job.h"

/* What a detection without a recognition is answered: boxes, scores and landmarks in arrays. */
static enum err_code put_detection(struct buf *out, const struct task_face *f, size_t n,
                                   struct err *err)
{
    enum err_code rc = buf_puts(out, "{\"boxes\":[", err);
    for (size_t i = 0; i < n && rc == ERR_NONE; i++)
        rc = buf_printf(out, err, "%s[%.1f,%.1f,%.1f,%.1f]", i ? "," : "", (double)f[i].x1,
                        (double)f[i].y1, (double)f[i].x2, (double)f[i].y2);
    if (rc == ERR_NONE)
        rc = buf_puts(out, "],\"scores\":[", err);
    for (size_t i = 0; i < n && rc == ERR_NONE; i++)
        rc = buf_printf(out, err, "%s%.9g", i ? "," : "", (double)f[i].score);
    if (rc == ERR_NONE)
        rc = buf_puts(out, "],\"landmarks\":[", err);
    for (size_t i = 0; i < n && rc == ERR_NONE; i++) {
        rc = buf_puts(out, i ? ",[" : "[", err);
        for (int k = 0; k < TASK_FACE_POINTS && rc == ERR_NONE; k++)
            rc = buf_printf(out, err, "%s[%.9g,%.9g]", k ? "," : "", (double)f[i].points[k][0],
                            (double)f[i].points[k][1]);
        if (rc == ERR_NONE)
            rc = buf_puts(out, "]", err);
    }
    return rc == ERR_NONE ? buf_puts(out, "]}", err) : rc;
}

enum err_code faces_detect(struct job *j, struct predict_bundle *b, struct err *err)
{
    if (isnan(j->entry->min_score))
        return err_set(err, ERR_INVALID, "facial-recognition detection needs the option minScore");
    enum err_code rc = task_face_detect(b->face_detector, j->image, (float)j->entry->min_score,
                                        &j->faces, &j->n_faces, err);
    return rc == ERR_NONE ? put_detection(&j->json, j->faces, j->n_faces, err) : rc;
}

static enum err_code put_face(struct buf *out, const struct task_face *f, const float *v,
                              size_t dim, struct err *err)
{
    enum err_code rc = buf_printf(
        out, err,
        "{\"boundingBox\":{\"x1\":%.1f,\"y1\":%.1f,\"x2\":%.1f,\"y2\":%.1f},\"embedding\":",
        (double)f->x1, (double)f->y1, (double)f->x2, (double)f->y2);
    if (rc == ERR_NONE)
        rc = job_put_vector(out, v, dim, err);
    return rc == ERR_NONE ? buf_printf(out, err, ",\"score\":%.9g}", (double)f->score) : rc;
}

enum err_code faces_embed(struct job *j, struct predict_bundle *b, struct err *err)
{
    const struct task_face *faces = j->first->faces;
    size_t n = j->first->n_faces, dim = task_face_recognizer_dim(b->face_recognizer);
    float *v = calloc(n ? n : 1, dim * sizeof *v);
    if (!v)
        return err_set(err, ERR_NOMEM, "embeddings of %zu faces", n);
    enum err_code rc =
        n ? task_face_embed(b->face_recognizer, j->image, faces, n, v, j->in->cancel, err)
          : ERR_NONE;
    if (rc == ERR_NONE)
        rc = buf_puts(&j->json, "[", err);
    for (size_t i = 0; i < n && rc == ERR_NONE; i++) {
        rc = i ? buf_puts(&j->json, ",", err) : ERR_NONE;
        if (rc == ERR_NONE)
            rc = put_face(&j->json, &faces[i], v + i * dim, dim, err);
    }
    free(v);
    return rc == ERR_NONE ? buf_puts(&j->json, "]", err) : rc;
}
