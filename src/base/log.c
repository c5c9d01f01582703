#include "base/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/str.h"

enum { LINE_MAX_BYTES = 1024 };

static struct {
    pthread_mutex_t lock;
    log_sink_fn sink;
    void *ctx;
    enum log_level max;
} sink = { .lock = PTHREAD_MUTEX_INITIALIZER };

void log_init(enum log_level max, log_sink_fn fn, void *ctx)
{
    sink.max = max;
    sink.sink = fn;
    sink.ctx = ctx;
}

void log_fields(enum log_level level, const char *message, const struct log_field *fields,
                size_t n_fields)
{
    const struct log_line line = { level, message, fields, n_fields };
    if (!sink.sink || level > sink.max)
        return;
    pthread_mutex_lock(&sink.lock);
    sink.sink(&line, sink.ctx);
    pthread_mutex_unlock(&sink.lock);
}

void log_write(enum log_level level, const char *fmt, ...)
{
    if (!sink.sink || level > sink.max)
        return;
    char line[LINE_MAX_BYTES];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    str_make_line(line);
    log_fields(level, line, NULL, 0);
}
