/* Fail the 1st, 2nd, ... allocation of reading a tokenizer and encoding with it in turn: each must
 * come back as ERR_NOMEM and leak nothing (the sanitizer looks). */
#include "tap.h"

#include <string.h>

#include "fault.h"
#include "text/text.h"

static const char json[] =
    "{\"added_tokens\": [{\"content\": \"<s>\"}, {\"content\": \"AB\", \"normalized\": true}],"
    "\"normalizer\": {\"type\": \"Sequence\", \"normalizers\": [{\"type\": \"NFKC\"}, {\"type\":"
    "\"Replace\", \"pattern\": {\"String\": \"x\"}, \"content\": \"b\"}, {\"type\": "
    "\"Lowercase\"}]},"
    "\"pre_tokenizer\": {\"type\": \"ByteLevel\"}, \"model\": {\"type\": \"BPE\", \"vocab\":"
    "{\"a\": 0, \"b\": 1, \"ab\": 2, \"\\u0120\": 3}, \"merges\": [\"a b\"]}}";

/* Marks to be sorted, ill-formed UTF-8, an added token, a merge. */
static const char text[] = "ax\xff <s> \u00e9\u0301\u0316 AB";

static enum err_code use(struct err *err)
{
    struct text_tokenizer *t = NULL;
    struct text_ids ids = { 0 };
    struct buf clean = { 0 };
    enum err_code rc = text_tokenizer_create(&t, json, sizeof json - 1, err);
    if (rc == ERR_NONE)
        rc = text_encode(t, text, sizeof text - 1, NULL, &ids, err);
    if (rc == ERR_NONE)
        rc = text_clean(&clean, text, sizeof text - 1, true, err);
    if (rc == ERR_NONE)
        CHECK(ids.n > 3 && clean.len);
    buf_clear(&clean);
    text_ids_clear(&ids);
    text_tokenizer_destroy(t);
    return rc;
}

static void every_allocation_may_fail(void)
{
    CHECK(fault_each(use) >= 20); /* regexes, arena, buffers, words, ids */
}

static const struct tap_case cases[] = { CASE(every_allocation_may_fail) };
TAP_MAIN(cases)
