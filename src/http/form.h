/* form.h - the fields of a body, collected while it arrives. One thread at a time. */
#ifndef FOVEA_HTTP_FORM_H
#define FOVEA_HTTP_FORM_H

#include "http/http.h"
#include "http/multipart.h"

/* What all bodies of a server hold together. */
struct form_budget {
    _Atomic uint64_t used;
    uint64_t max;
};

struct form_limits {
    uint64_t max_file_bytes;
    size_t max_text_bytes, max_fields;
};

enum form_kind { FORM_NONE, FORM_MULTIPART, FORM_URLENCODED };

struct form {
    enum form_kind kind;
    struct form_limits limits;
    struct form_budget *budget;
    uint64_t held; /* of the budget */
    struct http_field *fields;
    size_t n_fields, cap_fields;
    bool in_part; /* the last of fields is not whole yet, and no field if it never is */
    struct multipart multipart;
    struct buf encoded; /* FORM_URLENCODED: the body */
};

/* content_type: of the request, NULL for none. ERR_INVALID (no boundary), ERR_NOMEM. */
enum err_code form_init(struct form *f, const char *content_type, const struct form_limits *limits,
                        struct form_budget *budget, struct err *err);
/* The next n bytes. ERR_INVALID, ERR_LIMIT, ERR_BUSY (the budget), ERR_NOMEM. */
enum err_code form_write(struct form *f, const char *p, size_t n, struct err *err);
/* The body is whole. The same errors. */
enum err_code form_finish(struct form *f, struct err *err);
const struct http_field *form_field(const struct form *f, const char *name);
void form_clear(struct form *f); /* gives back what it held of the budget */

#endif
