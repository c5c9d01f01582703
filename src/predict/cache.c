/* cache.c - what leaves the cache, and when. */
#include "predict/cache.h"

#include <stdlib.h>

#include "base/log.h"
#include "sys/memory.h"

void cache_unlink(struct predict *p, struct slot *s)
{
    struct slot **at = &p->slots;
    while (*at && *at != s)
        at = &(*at)->next;
    if (*at)
        *at = s->next;
}

static bool is_idle(const struct slot *s)
{
    return s->state == SLOT_READY && !s->n_users;
}

struct slot *cache_take_over_budget(struct predict *p)
{
    struct slot *taken = NULL;
    for (;;) {
        uint64_t total = 0;
        struct slot *oldest = NULL;
        for (struct slot *s = p->slots; s; s = s->next) {
            total += s->state == SLOT_READY ? s->n_bytes : 0;
            if (is_idle(s) && (!oldest || s->used_ns < oldest->used_ns))
                oldest = s;
        }
        if (!p->o.budget_bytes || total <= p->o.budget_bytes || !oldest)
            return taken;
        cache_unlink(p, oldest);
        oldest->next = taken;
        taken = oldest;
    }
}

struct slot *cache_take_idle(struct predict *p, int64_t now_ns, bool all)
{
    struct slot *taken = NULL;
    for (struct slot **at = &p->slots; *at;) {
        struct slot *s = *at;
        unsigned ttl_s = p->o.ttl_s[bundle_kind(s->bundle.task, s->bundle.type)];
        bool old = ttl_s && now_ns - s->used_ns > ttl_s * INT64_C(1000000000);
        if (!is_idle(s) || (!old && !all)) {
            at = &s->next;
            continue;
        }
        *at = s->next;
        s->next = taken;
        taken = s;
    }
    return taken;
}

void cache_close(struct slot *list, struct count *n)
{
    bool any = list != NULL;
    for (struct slot *next; list; list = next) {
        next = list->next;
        log_write(LOG_INFO, "unloading %s %s %s", model_task_name(list->bundle.task),
                  model_type_name(list->bundle.type), list->name);
        bundle_close(&list->bundle);
        free(list);
        if (n)
            count_add(n, 1);
    }
    if (any)
        memory_give_back();
}
