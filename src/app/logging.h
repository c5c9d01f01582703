/* logging.h - where log lines go: standard error, as text or as JSON. */
#ifndef FOVEA_APP_LOGGING_H
#define FOVEA_APP_LOGGING_H

#include <stdbool.h>

#include "base/log.h"

/* A command's: what went wrong, as sentences. */
void logging_for_command(void);
/* The service's, from that level up. Text: "fovea: MESSAGE key=value ..."; JSON: an object a line
 * with time (UTC), level, message and the fields. Never waits for who reads it. */
void logging_for_service(enum log_level max, bool as_json);

#endif
