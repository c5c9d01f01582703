#include "infer/ort_forms.h"

#include <sys/mman.h>

#include "base/log.h"
#include "sys/memory.h"

void infer_ort_forms_init(struct infer_ort_forms *f, const struct infer_ort *ort)
{
    *f = (struct infer_ort_forms){ .ort = ort };
    pthread_mutex_init(&f->lock, NULL);
    pthread_cond_init(&f->first_unused, NULL);
}

void infer_ort_forms_clear(struct infer_ort_forms *f)
{
    if (f->packs)
        pthread_join(f->thread, NULL);
    if (f->first)
        f->ort->api->ReleaseSession(f->first);
    if (f->packed)
        f->ort->api->ReleaseSession(f->packed);
    pthread_cond_destroy(&f->first_unused);
    pthread_mutex_destroy(&f->lock);
}

void infer_ort_forms_packed(const struct infer_ort_forms *f)
{
    (void)madvise((void *)(uintptr_t)f->map->data, f->map->size, MADV_DONTNEED);
    memory_give_back();
}

/* Whoever runs takes the packed form from now on, so first is soon nobody's. */
static void put_packed(struct infer_ort_forms *f, OrtSession *packed)
{
    pthread_mutex_lock(&f->lock);
    f->packed = packed;
    while (f->n_first_users)
        pthread_cond_wait(&f->first_unused, &f->lock);
    OrtSession *first = f->first;
    f->first = NULL;
    pthread_mutex_unlock(&f->lock);
    f->ort->api->ReleaseSession(first);
    infer_ort_forms_packed(f);
}

static void *pack(void *arg)
{
    struct infer_ort_forms *f = arg;
    OrtSession *packed = NULL;
    struct err why = { 0 };
    if (f->pack(f->arg, &packed, &why) == ERR_NONE)
        put_packed(f, packed);
    else
        log_write(LOG_INFO, "%s; it runs slower, until it is loaded again", why.msg);
    return NULL;
}

OrtSession *infer_ort_forms_take(struct infer_ort_forms *f)
{
    pthread_mutex_lock(&f->lock);
    OrtSession *session = f->packed ? f->packed : f->first;
    f->n_first_users += session == f->first;
    pthread_mutex_unlock(&f->lock);
    return session;
}

void infer_ort_forms_give(struct infer_ort_forms *f, OrtSession *session, bool ran)
{
    pthread_mutex_lock(&f->lock);
    if (session == f->first && !--f->n_first_users)
        pthread_cond_signal(&f->first_unused);
    f->n_runs += ran;
    if (f->pack && !f->packs && f->n_runs >= INFER_PACK_AFTER_RUNS)
        f->packs = !pthread_create(&f->thread, NULL, pack, f);
    pthread_mutex_unlock(&f->lock);
}
