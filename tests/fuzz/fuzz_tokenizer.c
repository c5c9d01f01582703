/* Any tokenizer.json on any text: a byte 0xff, which no JSON holds, ends the one and begins the
 * other. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "text/text.h"

static void encode(const struct text_tokenizer *t, const char *text, size_t n,
                   const struct text_fit *fit)
{
    struct text_ids out = { 0 };
    struct err e = { 0 };
    enum err_code rc = text_encode(t, text, n, fit, &out, &e);
    if (rc != ERR_NONE && (!e.msg[0] || out.n))
        abort();
    if (rc == ERR_NONE && fit && out.n != fit->pad_length)
        abort();
    for (size_t i = 0; i < out.n; i++)
        if (out.ids[i] < 0 || out.mask[i] < 0 || out.mask[i] > 1 || out.types[i] < 0)
            abort();
    text_ids_clear(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct text_fit fit = { .max_length = 40, .pad_length = 40 };
    const uint8_t *end = size ? memchr(data, 0xff, size) : NULL;
    size_t n_json = end ? (size_t)(end - data) : size, n = end ? size - n_json - 1 : 0;
    const char *text = end ? (const char *)end + 1 : "";
    struct text_tokenizer *t = NULL;
    struct buf clean = { 0 };
    struct err e = { 0 };
    if (text_tokenizer_create(&t, (const char *)data, n_json, &e) == ERR_NONE) {
        encode(t, text, n, NULL);
        encode(t, text, n, &fit);
        (void)text_token_id(t, "a");
    } else if (t || !e.msg[0]) {
        abort();
    }
    if (text_clean(&clean, text, n, true, &e) != ERR_NONE)
        abort();
    buf_clear(&clean);
    text_tokenizer_destroy(t);
    return 0;
}
