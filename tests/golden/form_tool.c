/* form_tool CONTENT-TYPE CHUNK: the form on standard input, fed CHUNK bytes at a time, a field a
 * line: "file" or "text", then name and content in hexadecimal; or "error" and its code. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http/form.h"

static void print_hex(const char *p, size_t n)
{
    putchar(' ');
    for (size_t i = 0; i < n; i++)
        printf("%02x", (unsigned char)p[i]);
}

int main(int argc, char **argv)
{
    static char body[1 << 20];
    if (argc != 3)
        return 2;
    size_t n = fread(body, 1, sizeof body, stdin), step = strtoul(argv[2], NULL, 10);
    struct form f;
    struct form_budget budget = { .max = 1 << 30 };
    const struct form_limits limits = { .max_file_bytes = 1 << 20,
                                        .max_text_bytes = 1 << 20,
                                        .max_fields = 1000 };
    struct err e = { 0 };
    enum err_code rc = form_init(&f, argv[1], &limits, &budget, &e);
    for (size_t i = 0; i < n && rc == ERR_NONE; i += step)
        rc = form_write(&f, body + i, n - i < step ? n - i : step, &e);
    if (rc == ERR_NONE)
        rc = form_finish(&f, &e);
    if (rc != ERR_NONE)
        printf("error %s\n", err_code_name(rc));
    for (size_t i = 0; i < f.n_fields && rc == ERR_NONE; i++) {
        const struct http_field *field = &f.fields[i];
        printf("%s", field->is_file ? "file" : "text");
        print_hex(field->name, strlen(field->name));
        print_hex(field->data.data, field->data.len);
        printf("\n");
    }
    form_clear(&f);
    return budget.used != 0;
}
