/* Any bytes as the hub's list of a repository. */
#include <stdlib.h>
#include <string.h>

#include "fetch/listing.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
    if (!ok)
        abort();
}

/* What is taken stays within the model's folder and within the bounds. */
static void check_file(const struct listing_file *f)
{
    const char *slash = strchr(f->name, '/');
    check(!strcmp(f->name, "config.json") || slash);
    check(!slash || (slash > f->name && slash[1] && slash[1] != '.' && !strchr(slash + 1, '/')));
    check(f->name[0] != '.' && !strpbrk(f->name, "\\\n\r\t"));
    check(f->size <= FETCH_FILE_MAX_BYTES && (f->has_size || !f->size));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (int task = 0; task < MODEL_N_TASKS; task++) {
        struct arena arena = { 0 };
        struct listing l;
        struct err err = { 0 };
        enum err_code rc =
            listing_parse((const char *)data, size, (enum model_task)task, &arena, &l, &err);
        check(rc == ERR_NONE || (err.code == rc && *err.msg));
        check(strlen(l.revision) == 40 || !strcmp(l.revision, "main"));
        for (size_t i = 0; rc == ERR_NONE && i < l.n_files; i++)
            check_file(&l.files[i]);
        arena_clear(&arena);
    }
    return 0;
}
