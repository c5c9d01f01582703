#include "fetch/failed.h"

void failed_note(struct failed *f, const struct model_row *row, int64_t now_ns,
                 const struct err *why)
{
    pthread_mutex_lock(&f->lock);
    size_t i = 0;
    while (i < FAILED_MAX && f->models[i].row != row)
        i++;
    if (i == FAILED_MAX) {
        i = f->next;
        f->next = (f->next + 1) % FAILED_MAX;
    }
    f->models[i].row = row;
    f->models[i].at_ns = now_ns;
    f->models[i].why = *why;
    pthread_mutex_unlock(&f->lock);
}

enum err_code failed_recall(struct failed *f, const struct model_row *row, int64_t now_ns,
                            struct err *err)
{
    enum err_code rc = ERR_NONE;
    pthread_mutex_lock(&f->lock);
    for (size_t i = 0; i < FAILED_MAX && rc == ERR_NONE; i++)
        if (f->models[i].row == row &&
            now_ns - f->models[i].at_ns < FETCH_PAUSE_MS * INT64_C(1000000))
            rc = err_set(err, f->models[i].why.code, "%s", f->models[i].why.msg);
    pthread_mutex_unlock(&f->lock);
    return rc;
}
