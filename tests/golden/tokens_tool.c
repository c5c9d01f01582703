/* What our tokenizer makes of many texts, for test_tokens.py to compare.
 *
 *   tokens_tool TOKENIZER.JSON [MAX_LENGTH PAD_LENGTH PAD_ID]
 *
 * In: texts, each a 32-bit length and its bytes. Out: for each a 32-bit count n and 3 n 32-bit
 * numbers: ids, mask, types. Host byte order. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "text/text.h"

static char *read_file(const char *path, size_t *n)
{
    FILE *f = fopen(path, "rb");
    char *p = malloc(TEXT_MAX_JSON_BYTES);
    *n = f && p ? fread(p, 1, TEXT_MAX_JSON_BYTES, f) : 0;
    if (f)
        fclose(f);
    return p;
}

static int put(const struct text_ids *out)
{
    uint32_t n = (uint32_t)out->n;
    return fwrite(&n, 4, 1, stdout) == 1 && fwrite(out->ids, 4, n, stdout) == n &&
           fwrite(out->mask, 4, n, stdout) == n && fwrite(out->types, 4, n, stdout) == n;
}

static int encode_all(const struct text_tokenizer *t, const struct text_fit *fit)
{
    static char text[TEXT_MAX_BYTES + 1];
    struct text_ids out = { 0 };
    struct err e = { 0 };
    uint32_t n;
    int ok = 1;
    while (ok && fread(&n, 4, 1, stdin) == 1) {
        ok = n < sizeof text && fread(text, 1, n, stdin) == n &&
             text_encode(t, text, n, fit, &out, &e) == ERR_NONE && put(&out);
    }
    if (!ok)
        fprintf(stderr, "tokens_tool: %s\n", e.code ? e.msg : "cannot read or write");
    text_ids_clear(&out);
    return !ok;
}

int main(int argc, char **argv)
{
    struct text_tokenizer *t = NULL;
    struct text_fit fit = { 0 };
    struct err e = { 0 };
    size_t n;
    if (argc != 2 && argc != 5)
        return 2;
    char *json = read_file(argv[1], &n);
    if (!json || text_tokenizer_create(&t, json, n, &e) != ERR_NONE)
        return fprintf(stderr, "tokens_tool: %s: %s\n", argv[1], e.msg), free(json), 1;
    free(json);
    if (argc == 5)
        fit = (struct text_fit){ .max_length = strtoul(argv[2], NULL, 10),
                                 .pad_length = strtoul(argv[3], NULL, 10),
                                 .pad_id = (int32_t)strtol(argv[4], NULL, 10) };
    int rc = encode_all(t, argc == 5 ? &fit : NULL);
    text_tokenizer_destroy(t);
    return rc;
}
