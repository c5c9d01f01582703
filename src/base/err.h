/* err.h - one error type for the whole engine: a code to branch on, a message to read.
 *
 * A function that can fail returns enum err_code and takes `struct err *err` last. It fills err
 * only when it fails, and the first message stands, so a cleanup that fails too never hides the
 * cause. err may be NULL. No allocation, so running out of memory can be reported. Any thread, one
 * err each.
 */
#ifndef FOVEA_BASE_ERR_H
#define FOVEA_BASE_ERR_H

enum err_code {
    ERR_NONE = 0,
    ERR_INVALID = -1,     /* what came from outside is malformed */
    ERR_NOMEM = -2,       /* an allocation failed */
    ERR_IO = -3,          /* the system refused or broke off a read, write, open, ... */
    ERR_NOT_FOUND = -4,   /* no such file, model, photo */
    ERR_LIMIT = -5,       /* a named bound (bytes, pixels, tokens, time) would be exceeded */
    ERR_UNSUPPORTED = -6, /* well formed perhaps, but nothing here reads it */
    ERR_CORRUPT = -7,     /* a file of ours, or a model, is not what it should be */
    ERR_BUSY = -8,        /* somebody else holds the lock */
    ERR_CANCELLED = -9,   /* the caller asked to stop */
    ERR_INTERNAL = -10,   /* a dependency failed in a way that no input explains */
};

enum { ERR_MSG_MAX = 508 };

struct err {
    enum err_code code;
    char msg[ERR_MSG_MAX]; /* one line, UTF-8, names the thing, what was got and the limit */
};

/* Set err (unless NULL or already set) and return code, so that callers write
 * `return err_set(...)`. What is too long loses its middle. Control characters in the result are
 * replaced by '?': a file name with a newline must not forge a second log line. */
enum err_code err_set(struct err *err, enum err_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4), cold));

/* Put "context: " before the message of an error that is already set: the caller knows the name of
 * the file, the callee only what is wrong with it. Returns err's code (ERR_INTERNAL for NULL). */
enum err_code err_prefix(struct err *err, const char *fmt, ...)
    __attribute__((format(printf, 2, 3), cold));

/* "invalid input", "out of memory", ...; never NULL. */
const char *err_code_name(enum err_code code);

#endif
