#include "app/logging.h"

#include <ctype.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/json.h"

/* A word that a shell's tools can cut out stands as it is, all else in quotes with escapes. */
static bool is_plain(const char *s)
{
    size_t n = 0;
    while (isalnum((unsigned char)s[n]) || (s[n] && strchr("-_./:@+,", s[n])))
        n++;
    return n && !s[n];
}

static void put_value(struct buf *b, const struct log_field *f, bool quote)
{
    if (!f->text)
        buf_printf(b, NULL, "%.12g", f->number);
    else if (quote)
        json_put_string(b, f->text, strlen(f->text), NULL);
    else
        buf_puts(b, f->text, NULL);
}

static void put_text(struct buf *b, const struct log_line *line)
{
    static const char *const words[] = { "error: ", "warning: ", "", "" };
    buf_printf(b, NULL, "fovea: %s%s", words[line->level], line->message);
    for (size_t i = 0; i < line->n_fields; i++) {
        const struct log_field *f = &line->fields[i];
        buf_printf(b, NULL, " %s=", f->key);
        put_value(b, f, f->text && !is_plain(f->text));
    }
}

static void put_json(struct buf *b, const struct log_line *line)
{
    static const char *const words[] = { "error", "warning", "info", "debug" };
    struct timespec now;
    struct tm utc;
    char at[32];
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    strftime(at, sizeof at, "%Y-%m-%dT%H:%M:%S", &utc);
    buf_printf(b, NULL, "{\"time\":\"%s.%03ldZ\",\"level\":\"%s\",\"message\":", at,
               now.tv_nsec / 1000000, words[line->level]);
    json_put_string(b, line->message, strlen(line->message), NULL);
    for (size_t i = 0; i < line->n_fields; i++) {
        buf_printf(b, NULL, ",\"%s\":", line->fields[i].key);
        put_value(b, &line->fields[i], true);
    }
    buf_puts(b, "}", NULL);
}

/* The service's log: how a line is written, and how many were not since the last that was. */
struct service_log {
    void (*put)(struct buf *b, const struct log_line *line);
    size_t n_lost;
};

static void put_lost(struct service_log *log, struct buf *b)
{
    char message[80];
    snprintf(message, sizeof message, "%zu lines of the log are lost: nobody read it", log->n_lost);
    log->put(b, &(struct log_line){ .level = LOG_WARN, .message = message });
    buf_puts(b, "\n", NULL);
    log->n_lost = 0;
}

/* One write a line, so that another process's lines do not come between. A pipe that is full loses
 * lines rather than hold up the threads that write them, which answer requests. Out of memory: what
 * there is of it. */
static void to_stderr(const struct log_line *line, void *ctx)
{
    struct service_log *log = ctx;
    struct buf b = { 0 };
    if (poll(&(struct pollfd){ .fd = STDERR_FILENO, .events = POLLOUT }, 1, 0) == 0) {
        log->n_lost++;
        return;
    }
    if (log->n_lost)
        put_lost(log, &b);
    log->put(&b, line);
    buf_puts(&b, "\n", NULL);
    if (b.data)
        fwrite(b.data, 1, b.len, stderr);
    buf_clear(&b);
}

/* Without the word "error", for a command ends with the sentence. */
static void for_command(const struct log_line *line, void *ctx)
{
    (void)ctx;
    fprintf(stderr, "fovea: %s%s\n", line->level == LOG_WARN ? "warning: " : "", line->message);
}

void logging_for_command(void)
{
    log_init(LOG_WARN, for_command, NULL);
}

void logging_for_service(enum log_level max, bool as_json)
{
    static struct service_log log; /* the log's lock is over it */
    log.put = as_json ? put_json : put_text;
    log_init(max, to_stderr, &log);
}
