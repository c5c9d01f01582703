/* The query grammar on any bytes: NULs separate the arguments. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "search/search.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { ARGS_MAX = 80 };
    const char *args[ARGS_MAX];
    size_t n = 0;
    char *text = malloc(size + 1);
    if (!text)
        return 0;
    if (size)
        memcpy(text, data, size);
    text[size] = '\0';
    for (char *p = text; p <= text + size && n < ARGS_MAX; p += strlen(p) + 1)
        args[n++] = p;
    struct search_query q;
    struct err e = { 0 };
    if (search_parse(&q, args, n, &e) != ERR_NONE && !e.msg[0])
        abort();
    search_query_clear(&q);
    free(text);
    return 0;
}
