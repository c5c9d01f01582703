#include "fetch/listing.h"

#include <string.h>

#include "base/json.h"
#include "base/str.h"

enum { LEAF_MAX = 200 };

/* What a name in a folder can be that is ours: not hidden, so neither "." nor ".."; no control
 * character, which could forge a line of the log or of the record. */
static bool is_leaf(const char *s, size_t n)
{
    if (!n || n > LEAF_MAX || *s == '.')
        return false;
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)s[i] < 0x20 || s[i] == 0x7f || s[i] == '/' || s[i] == '\\')
            return false;
    return true;
}

bool listing_wants(enum model_task task, const char *name, size_t n)
{
    if (strlen(name) != n) /* a NUL within */
        return false;
    if (!strcmp(name, "config.json"))
        return true;
    if (str_ends(name, ".armnn") || str_ends(name, ".rknn"))
        return false;
    for (int i = 0; i < 2; i++) {
        const char *type = model_type_name(model_types(task)[i]);
        size_t len = strlen(type);
        if (str_starts(name, type) && name[len] == '/' && is_leaf(name + len + 1, n - len - 1))
            return true;
    }
    return false;
}

static enum err_code read_size(const struct json *v, struct listing_file *f, struct err *err)
{
    int64_t size;
    if (!v || json_is_null(v))
        return ERR_NONE;
    if (!json_as_i64(v, &size) || size < 0)
        return err_set(err, ERR_CORRUPT, "%s: its size is not a number of bytes", f->name);
    if ((uint64_t)size > FETCH_FILE_MAX_BYTES)
        return err_set(err, ERR_LIMIT, "%s: %lld bytes, the limit is %llu", f->name,
                       (long long)size, (unsigned long long)FETCH_FILE_MAX_BYTES);
    f->has_size = true;
    f->size = (uint64_t)size;
    return ERR_NONE;
}

/* {"rfilename", "size", "blobId", "lfs": {"sha256", "size", "pointerSize"}}; blobId is that of the
 * pointer where there is "lfs". */
static enum err_code read_file(const struct json *v, struct listing_file *f, struct err *err)
{
    const struct json *lfs = json_get(v, "lfs");
    const char *sha256 = json_as_string(json_get(lfs, "sha256"), NULL);
    const char *blob = json_as_string(json_get(v, "blobId"), NULL);
    f->has_sha256 = sha256 && hash_from_hex(sha256, f->sha256);
    if (json_is_object(lfs) && !f->has_sha256)
        return err_set(err, ERR_CORRUPT, "%s: its SHA-256 is not 64 hexadecimal digits", f->name);
    f->has_blob = !json_is_object(lfs) && blob && hash_git_from_hex(blob, f->blob);
    return read_size(json_is_object(lfs) ? json_get(lfs, "size") : json_get(v, "size"), f, err);
}

static bool is_twice(const struct listing *l, const char *name)
{
    for (size_t i = 0; i < l->n_files; i++)
        if (!strcmp(l->files[i].name, name))
            return true;
    return false;
}

static enum err_code read_files(const struct json *siblings, enum model_task task,
                                struct arena *arena, struct listing *out, struct err *err)
{
    size_t n = json_len(siblings);
    if (!json_is_array(siblings))
        return err_set(err, ERR_CORRUPT, "no list of files");
    if (n > FETCH_FILES_MAX)
        return err_set(err, ERR_LIMIT, "%zu files, the limit is %d", n, FETCH_FILES_MAX);
    out->files = arena_alloc(arena, n + 1, sizeof *out->files, err);
    if (!out->files)
        return ERR_NOMEM;
    for (size_t i = 0; i < n; i++) {
        const struct json *v = json_at(siblings, i);
        struct listing_file *f = &out->files[out->n_files];
        size_t len = 0;
        const char *name = json_as_string(json_get(v, "rfilename"), &len);
        if (!name || !listing_wants(task, name, len) || is_twice(out, name))
            continue;
        f->name = arena_strndup(arena, name, len, err);
        enum err_code rc = f->name ? read_file(v, f, err) : ERR_NOMEM;
        if (rc != ERR_NONE)
            return rc;
        out->n_files++;
    }
    return ERR_NONE;
}

enum err_code listing_parse(const char *json, size_t n, enum model_task task, struct arena *arena,
                            struct listing *out, struct err *err)
{
    struct json *v = NULL;
    struct err why = { 0 };
    *out = (struct listing){ .revision = "main" };
    enum err_code rc = json_parse(json, n, &v, &why);
    if (rc != ERR_NONE)
        return err_set(err, rc == ERR_NOMEM ? rc : ERR_CORRUPT, "%s", why.msg);
    const char *sha = json_as_string(json_get(v, "sha"), NULL);
    uint8_t commit[HASH_GIT_BYTES];
    if (sha && hash_git_from_hex(sha, commit)) /* so it is safe in a URL */
        memcpy(out->revision, sha, 2 * HASH_GIT_BYTES + 1);
    rc = read_files(json_get(v, "siblings"), task, arena, out, err);
    json_destroy(v);
    return rc;
}
