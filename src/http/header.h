/* header.h - parameters of a header's value, `form-data; name="a"`, as python-multipart reads them
 * (parse_options_header: names without regard to case, a later one counts, RFC 5987's are passed
 * over). */
#ifndef FOVEA_HTTP_HEADER_H
#define FOVEA_HTTP_HEADER_H

#include <stdbool.h>
#include <stddef.h>

/* Does what stands before the first ';' equal type, which is in lower case? */
bool header_is(const char *value, const char *type);
/* The parameter's value, unquoted, on the heap: *out is NULL where there is none. False: out of
 * memory. */
bool header_param(const char *value, const char *name, char **out);

#endif
