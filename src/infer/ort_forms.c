#include "infer/ort_forms.h"

#include <sys/mman.h>

#include "base/log.h"

void infer_ort_forms_init(struct infer_ort_forms *f, const struct infer_ort *ort)
{
    *f = (struct infer_ort_forms){ .ort = ort };
    pthread_mutex_init(&f->lock, NULL);
}

void infer_ort_forms_clear(struct infer_ort_forms *f)
{
    if (f->packs)
        pthread_join(f->thread, NULL);
    if (f->first)
        f->ort->api->ReleaseSession(f->first);
    if (f->packed)
        f->ort->api->ReleaseSession(f->packed);
    pthread_mutex_destroy(&f->lock);
}

/* With the lock held: first, for the caller to release, when nobody will need it any more. */
static OrtSession *take_unneeded(struct infer_ort_forms *f)
{
    OrtSession *first = f->packed && !f->n_first_users ? f->first : NULL;
    if (first)
        f->first = NULL;
    return first;
}

static void release_first(struct infer_ort_forms *f, OrtSession *first)
{
    if (!first)
        return;
    f->ort->api->ReleaseSession(first);
    /* What was packed is not read again; the rest comes back page by page. */
    (void)madvise((void *)(uintptr_t)f->map->data, f->map->size, MADV_DONTNEED);
}

static void *pack(void *arg)
{
    struct infer_ort_forms *f = arg;
    OrtSession *packed = NULL;
    struct err why = { 0 };
    if (f->pack(f->arg, &packed, &why) != ERR_NONE)
        log_write(LOG_DEBUG, "%s; it stays as it is mapped", why.msg);
    pthread_mutex_lock(&f->lock);
    f->packed = packed;
    OrtSession *first = take_unneeded(f);
    pthread_mutex_unlock(&f->lock);
    release_first(f, first);
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

void infer_ort_forms_give(struct infer_ort_forms *f, OrtSession *session)
{
    pthread_mutex_lock(&f->lock);
    f->n_first_users -= session == f->first;
    if (++f->n_uses == INFER_PACK_AFTER_USES && f->pack)
        f->packs = !pthread_create(&f->thread, NULL, pack, f);
    OrtSession *first = take_unneeded(f);
    pthread_mutex_unlock(&f->lock);
    release_first(f, first);
}
