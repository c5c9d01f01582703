/* metrics.c - GET /metrics: all counts as Prometheus reads them (text exposition format 0.0.4).
 *
 * What becomes a label is ours and few: routes of the table, statuses that were given, kinds of
 * models. Models are named only while they are loaded, so only those that are on the disk; whatever
 * a client calls makes no series. All of a family is there from the start, as rates need, but the
 * statuses: a zero for each that might be given would be most of the page. */
#include <stdio.h>

#include "api/handlers.h"
#include "sys/self.h"

enum { LABELS_MAX = 2 * MODEL_NAME_MAX + 128 };

struct page {
    struct buf *out;
    enum err_code rc;
};

static void put(struct page *g, const char *name, const char *labels, const char *number)
{
    bool has = labels && *labels;
    if (g->rc == ERR_NONE)
        g->rc = buf_printf(g->out, NULL, "%s%s%s%s %s\n", name, has ? "{" : "", has ? labels : "",
                           has ? "}" : "", number);
}

static void put_count(struct page *g, const char *name, const char *labels, uint64_t n)
{
    char text[24];
    snprintf(text, sizeof text, "%llu", (unsigned long long)n);
    put(g, name, labels, text);
}

static void put_number(struct page *g, const char *name, const char *labels, double v)
{
    char text[32];
    snprintf(text, sizeof text, "%.15g", v);
    put(g, name, labels, text);
}

static void family(struct page *g, const char *name, const char *type, const char *help)
{
    if (g->rc == ERR_NONE)
        g->rc = buf_printf(g->out, NULL, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* The sum of the buckets as they were read is the count, so that the two agree. */
static void put_times(struct page *g, const char *name, const char *labels,
                      const struct count_times *t)
{
    char part[80], with[LABELS_MAX + 32];
    uint64_t n = 0;
    const char *comma = *labels ? "," : "";
    snprintf(part, sizeof part, "%s_bucket", name);
    for (int i = 0; i <= COUNT_BOUNDS; i++) {
        n += count_read(&t->in[i]);
        if (i < COUNT_BOUNDS)
            snprintf(with, sizeof with, "%s%sle=\"%g\"", labels, comma, count_bounds_ms[i] / 1000);
        else
            snprintf(with, sizeof with, "%s%sle=\"+Inf\"", labels, comma);
        put_count(g, part, with, n);
    }
    snprintf(part, sizeof part, "%s_sum", name);
    put_number(g, part, labels, (double)count_read(&t->sum_ns) / 1e9);
    snprintf(part, sizeof part, "%s_count", name);
    put_count(g, part, labels, n);
}

static void put_answers(struct page *g, const struct http_stats *s)
{
    family(g, "fovea_http_requests_total", "counter", "Answers, by the path asked for and status.");
    for (size_t row = 0; row <= HTTP_ROUTES_MAX; row++)
        for (unsigned status = 0; status < HTTP_STATUSES; status++) {
            char labels[80];
            uint64_t n = count_read(&s->answers[row][status]);
            if (!n)
                continue;
            snprintf(labels, sizeof labels, "route=\"%s\",status=\"%u\"",
                     row < api_n_routes ? api_routes[row].path : "other", status);
            put_count(g, "fovea_http_requests_total", labels, n);
        }
}

static void put_http(struct page *g, const struct http_stats *s)
{
    put_answers(g, s);
    family(g, "fovea_http_gone_total", "counter", "Clients that left before they were answered.");
    put_count(g, "fovea_http_gone_total", NULL, count_read(&s->n_gone));
    unsigned running = atomic_load(&s->n_running), working = atomic_load(&s->n_working);
    family(g, "fovea_queue_depth", "gauge", "Requests that wait for a thread.");
    put_count(g, "fovea_queue_depth", NULL, working > running ? working - running : 0);
    family(g, "fovea_requests_running", "gauge", "Requests that a thread works on.");
    put_count(g, "fovea_requests_running", NULL, running);
    family(g, "fovea_request_seconds", "histogram",
           "From the whole of a request for work to its answer.");
    put_times(g, "fovea_request_seconds", "", &s->total);
}

/* "task="clip",type="visual"" */
static void put_kind(char out[LABELS_MAX], const char *before, unsigned kind)
{
    snprintf(out, LABELS_MAX, "%stask=\"%s\",type=\"%s\"", before,
             model_task_name(predict_kinds[kind].task), model_type_name(predict_kinds[kind].type));
}

static void put_stages(struct page *g, const struct http_stats *h, const struct predict_stats *p)
{
    static const char name[] = "fovea_stage_seconds";
    char labels[LABELS_MAX];
    family(g, name, "histogram",
           "Parts of a request: waiting for a thread, decoding the picture, loading a model, the "
           "network's run, all before and after it.");
    put_times(g, name, "stage=\"queue\"", &h->queue);
    put_times(g, name, "stage=\"decode\"", &p->decode);
    for (unsigned k = 0; k < PREDICT_N_KINDS; k++) {
        put_kind(labels, "stage=\"load\",", k);
        put_times(g, name, labels, &p->kinds[k].load);
        put_kind(labels, "stage=\"prepare\",", k);
        put_times(g, name, labels, &p->kinds[k].prepare);
        put_kind(labels, "stage=\"infer\",", k);
        put_times(g, name, labels, &p->kinds[k].infer);
    }
}

static uint64_t n_times(const struct count_times *t)
{
    uint64_t n = 0;
    for (int i = 0; i <= COUNT_BOUNDS; i++)
        n += count_read(&t->in[i]);
    return n;
}

static void put_kinds(struct page *g, const struct predict_stats *s)
{
    char labels[LABELS_MAX];
    family(g, "fovea_entries_total", "counter", "What was asked of a model, by what came of it.");
    for (unsigned k = 0; k < PREDICT_N_KINDS; k++) {
        put_kind(labels, "result=\"answered\",", k);
        put_count(g, "fovea_entries_total", labels, count_read(&s->kinds[k].n_answered));
        put_kind(labels, "result=\"failed\",", k);
        put_count(g, "fovea_entries_total", labels, count_read(&s->kinds[k].n_failed));
    }
    family(g, "fovea_model_loads_total", "counter", "Models loaded.");
    for (unsigned k = 0; k < PREDICT_N_KINDS; k++) {
        put_kind(labels, "", k);
        put_count(g, "fovea_model_loads_total", labels, n_times(&s->kinds[k].load));
    }
    family(g, "fovea_model_load_failures_total", "counter", "Models that could not be loaded.");
    for (unsigned k = 0; k < PREDICT_N_KINDS; k++) {
        put_kind(labels, "", k);
        put_count(g, "fovea_model_load_failures_total", labels,
                  count_read(&s->kinds[k].n_load_failures));
    }
}

static void put_predict(struct page *g, const struct predict_stats *s)
{
    static const char *const reasons[] = { "reason=\"idle\"", "reason=\"budget\"",
                                           "reason=\"pressure\"" };
    static const char cache[] = "fovea_cache_lookups_total";
    put_kinds(g, s);
    family(g, "fovea_model_unloads_total", "counter",
           "Models unloaded: idle for long, no place in the budget, the system short of memory.");
    for (int i = 0; i < PREDICT_N_UNLOADS; i++)
        put_count(g, "fovea_model_unloads_total", reasons[i], count_read(&s->n_unloads[i]));
    family(g, "fovea_decode_errors_total", "counter", "Pictures that could not be decoded.");
    put_count(g, "fovea_decode_errors_total", NULL, count_read(&s->n_decode_errors));
    family(g, cache, "counter", "Whether a text's vector, a picture's pixels were still known.");
    put_count(g, cache, "cache=\"text\",result=\"hit\"", count_read(&s->n_text_hits));
    put_count(g, cache, "cache=\"text\",result=\"miss\"", count_read(&s->n_text_misses));
    put_count(g, cache, "cache=\"picture\",result=\"hit\"", count_read(&s->n_picture_hits));
    put_count(g, cache, "cache=\"picture\",result=\"miss\"", count_read(&s->n_picture_misses));
}

/* A label's value: '\', '"' and the newline are escaped. */
static void escape(char out[2 * MODEL_NAME_MAX], const char *s)
{
    for (; *s; s++) {
        if (*s == '\\' || *s == '"' || *s == '\n')
            *out++ = '\\';
        *out++ = *s == '\n' ? 'n' : *s;
    }
    *out = '\0';
}

static void put_loaded(const struct predict_loaded *l, void *ctx)
{
    char name[2 * MODEL_NAME_MAX], labels[LABELS_MAX];
    escape(name, l->name);
    snprintf(labels, sizeof labels, "task=\"%s\",type=\"%s\",model=\"%s\"",
             model_task_name(l->task), model_type_name(l->type), name);
    put_count(ctx, "fovea_model_loaded_bytes", labels, l->n_bytes);
}

static void put_process(struct page *g, const struct api *api)
{
    struct self_usage u;
    char labels[64];
    self_usage(&u);
    family(g, "process_resident_memory_bytes", "gauge", "Memory that the process holds.");
    put_count(g, "process_resident_memory_bytes", NULL, u.resident_bytes);
    family(g, "process_open_fds", "gauge", "Open descriptors.");
    put_count(g, "process_open_fds", NULL, u.n_fds);
    family(g, "process_max_fds", "gauge", "How many there may be.");
    put_count(g, "process_max_fds", NULL, u.max_fds);
    family(g, "process_cpu_seconds_total", "counter", "Processor time of all threads.");
    put_number(g, "process_cpu_seconds_total", NULL, u.cpu_s);
    family(g, "process_start_time_seconds", "gauge", "When it started, since 1970.");
    put_number(g, "process_start_time_seconds", NULL, (double)(api->start_wall_ns / 1000000) / 1e3);
    family(g, "fovea_inference_info", "gauge", "What networks run on.");
    snprintf(labels, sizeof labels, "provider=\"%s\"", predict_provider(api->predict));
    put(g, "fovea_inference_info", labels, "1");
    family(g, "fovea_build_info", "gauge", "Which fovea it is.");
    put(g, "fovea_build_info", "version=\"" FOVEA_VERSION "\"", "1");
}

/* Of a kind that this service keeps to itself there is nothing to tell. */
static void put_upstreams(struct page *g, const struct remote_router *r)
{
    static const char up[] = "fovea_upstream_up", requests[] = "fovea_upstream_requests_total";
    char labels[LABELS_MAX];
    family(g, up, "gauge", "Does the service that does this kind of work answer its ping?");
    for (int k = 0; k < REMOTE_N_KINDS; k++) {
        bool is_up;
        snprintf(labels, sizeof labels, "kind=\"%s\"", remote_kind_name((enum remote_kind)k));
        if (remote_router_stats(r, (enum remote_kind)k, &is_up))
            put_count(g, up, labels, is_up);
    }
    family(g, requests, "counter",
           "Requests handed over: answered there, failed there and done here, done here before.");
    for (int k = 0; k < REMOTE_N_KINDS; k++) {
        bool is_up;
        const struct remote_stats *s = remote_router_stats(r, (enum remote_kind)k, &is_up);
        const struct count *counts[] = { s ? &s->n_answered : NULL, s ? &s->n_failed : NULL,
                                         s ? &s->n_overtaken : NULL };
        static const char *const results[] = { "answered", "failed", "overtaken" };
        for (int i = 0; s && i < 3; i++) {
            snprintf(labels, sizeof labels, "kind=\"%s\",result=\"%s\"",
                     remote_kind_name((enum remote_kind)k), results[i]);
            put_count(g, requests, labels, count_read(counts[i]));
        }
    }
}

void api_metrics(const struct http_request *r, struct http_response *out, void *ctx)
{
    const struct api *api = ctx;
    struct page g = { .out = &out->body };
    put_http(&g, http_stats(r));
    put_stages(&g, http_stats(r), predict_stats(api->predict));
    put_predict(&g, predict_stats(api->predict));
    family(&g, "fovea_model_loaded_bytes", "gauge", "Models that are loaded: size of their files.");
    predict_each_loaded(api->predict, put_loaded, &g);
    if (api->router)
        put_upstreams(&g, api->router);
    put_process(&g, api);
    out->type = "text/plain; version=0.0.4; charset=utf-8";
    if (g.rc == ERR_NONE)
        out->status = 200;
}
