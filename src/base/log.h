/* log.h - one line at a time to a sink that app sets; without a sink nothing is written. Any
 * thread. */
#ifndef FOVEA_BASE_LOG_H
#define FOVEA_BASE_LOG_H

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* line: no newline, no control characters. Called under a lock, so lines never mix. */
typedef void (*log_sink_fn)(enum log_level level, const char *line, void *ctx);

/* Once, before threads start. */
void log_init(enum log_level max, log_sink_fn sink, void *ctx);
void log_write(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
