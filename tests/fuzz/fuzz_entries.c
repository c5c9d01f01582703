/* The form field `entries` on any bytes. */
#include <stdint.h>
#include <stdlib.h>

#include "predict/predict.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct predict_entries e;
    struct err err = { 0 };
    if (predict_entries_parse((const char *)data, size, &e, &err) != ERR_NONE && !err.msg[0])
        abort();
    for (size_t i = 0; i < e.n; i++)
        if (!e.at[i].model)
            abort();
    predict_entries_clear(&e);
    return 0;
}
