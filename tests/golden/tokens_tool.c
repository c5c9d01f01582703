/* What our tokenizer makes of many texts, for test_tokens.py to compare.
 *
 *   tokens_tool TOKENIZER.JSON [MAX_LENGTH PAD_LENGTH PAD_ID]     ids, mask, types: 32-bit numbers
 *   tokens_tool --clean CANONICAL                                 the text cleaned
 *
 * In: texts, each a 32-bit length in bytes and its bytes. Out: an answer to each, of the same form.
 * Host byte order. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* The next text; false at the end. */
static bool get(char *text, uint32_t *n)
{
    return fread(n, 4, 1, stdin) == 1 && *n <= TEXT_MAX_BYTES && fread(text, 1, *n, stdin) == *n;
}

static bool put(const void *p, size_t n)
{
    return fwrite(p, 1, n, stdout) == n;
}

static bool put_ids(const struct text_ids *out)
{
    uint32_t n = (uint32_t)(12 * out->n);
    size_t each = out->n * sizeof *out->ids;
    return put(&n, 4) && put(out->ids, each) && put(out->mask, each) && put(out->types, each);
}

static int encode_all(const struct text_tokenizer *t, const struct text_fit *fit, char *text)
{
    struct text_ids out = { 0 };
    struct err e = { 0 };
    bool ok = true;
    for (uint32_t n; ok && get(text, &n);)
        ok = text_encode(t, text, n, fit, &out, &e) == ERR_NONE && put_ids(&out);
    if (!ok)
        fprintf(stderr, "tokens_tool: %s\n", e.code ? e.msg : "cannot write");
    text_ids_clear(&out);
    return !ok;
}

static int clean_all(bool canonical, char *text)
{
    struct buf out = { 0 };
    bool ok = true;
    for (uint32_t n; ok && get(text, &n);) {
        buf_reset(&out);
        ok = text_clean(&out, text, n, canonical, NULL) == ERR_NONE;
        uint32_t len = (uint32_t)out.len;
        ok = ok && put(&len, 4) && put(out.data, len);
    }
    buf_clear(&out);
    return !ok;
}

int main(int argc, char **argv)
{
    static char text[TEXT_MAX_BYTES];
    struct text_tokenizer *t = NULL;
    struct text_fit fit = { 0 };
    struct err e = { 0 };
    size_t n;
    if (argc == 3 && !strcmp(argv[1], "--clean"))
        return clean_all(argv[2][0] == '1', text);
    if (argc != 2 && argc != 5)
        return 2;
    char *json = read_file(argv[1], &n);
    enum err_code rc = text_tokenizer_create(&t, json, n, &e);
    free(json);
    if (rc != ERR_NONE)
        return fprintf(stderr, "tokens_tool: %s: %s\n", argv[1], e.msg), 1;
    if (argc == 5)
        fit = (struct text_fit){ .max_length = strtoul(argv[2], NULL, 10),
                                 .pad_length = strtoul(argv[3], NULL, 10),
                                 .pad_id = (int32_t)strtol(argv[4], NULL, 10) };
    int failed = encode_all(t, argc == 5 ? &fit : NULL, text);
    text_tokenizer_destroy(t);
    return failed;
}
