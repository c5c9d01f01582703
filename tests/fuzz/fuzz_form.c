/* A form on any bytes. The first says of which kind and in what pieces; what comes out must be the
 * same however it was cut, and give all of its budget back. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "http/form.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum err_code read_form(struct form *f, struct form_budget *budget, const char *type,
                               const char *body, size_t n, size_t step)
{
    const struct form_limits limits = { .max_file_bytes = 1000,
                                        .max_text_bytes = 500,
                                        .max_fields = 8 };
    struct err e = { 0 };
    enum err_code rc = form_init(f, type, &limits, budget, &e);
    for (size_t i = 0; i < n && rc == ERR_NONE; i += step)
        rc = form_write(f, body + i, n - i < step ? n - i : step, &e);
    if (rc == ERR_NONE)
        rc = form_finish(f, &e);
    if (rc != ERR_NONE && !e.msg[0])
        abort();
    return rc;
}

static void compare(const struct form *a, const struct form *b)
{
    if (a->n_fields != b->n_fields)
        abort();
    for (size_t i = 0; i < a->n_fields; i++) {
        const struct http_field *x = &a->fields[i], *y = &b->fields[i];
        if (strcmp(x->name, y->name) != 0 || x->is_file != y->is_file ||
            x->data.len != y->data.len || memcmp(x->data.data, y->data.data, x->data.len + 1) != 0)
            abort();
        if (!x->is_file && !utf8_valid(x->data.data, x->data.len))
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    const char *type =
        data[0] & 1 ? "application/x-www-form-urlencoded" : "multipart/form-data; boundary=XX";
    const char *body = (const char *)data + 1;
    size_t n = size - 1, step = (size_t)(data[0] >> 1) % 16 + 1;
    struct form_budget budget = { .max = 1 << 20 };
    struct form whole, cut;
    enum err_code a = read_form(&whole, &budget, type, body, n, n ? n : 1);
    enum err_code b = read_form(&cut, &budget, type, body, n, step);
    if (a != b)
        abort();
    if (a == ERR_NONE)
        compare(&whole, &cut);
    form_clear(&whole);
    form_clear(&cut);
    if (budget.used)
        abort();
    return 0;
}
