/* log.h - one line at a time to a sink that app sets; without a sink nothing is written. Any
 * thread. */
#ifndef FOVEA_BASE_LOG_H
#define FOVEA_BASE_LOG_H

#include <stddef.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* What a program that reads the log wants apart from the sentence. */
struct log_field {
    const char *key;  /* a word */
    const char *text; /* any bytes; NULL: it is the number */
    double number;
};

struct log_line {
    enum log_level level;
    const char *message; /* no newline, no control characters */
    const struct log_field *fields;
    size_t n_fields;
};

/* Called under a lock, so lines never mix. */
typedef void (*log_sink_fn)(const struct log_line *line, void *ctx);

/* Once, before threads start. */
void log_init(enum log_level max, log_sink_fn sink, void *ctx);
void log_write(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void log_fields(enum log_level level, const char *message, const struct log_field *fields,
                size_t n_fields);

#endif
