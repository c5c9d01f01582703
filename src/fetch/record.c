#include "fetch/record.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "fetch/job.h"
#include "sys/file.h"

enum { RECORD_MAX_BYTES = 2 << 20 };

/* The file may be anybody's: an imported folder brings its own. */
static bool is_name(const char *s)
{
    const char *slash = strchr(s, '/');
    const char *leaf = slash ? slash + 1 : s;
    return *s && *s != '.' && *s != '/' && *leaf && *leaf != '.' && !strchr(leaf, '/') &&
           strlen(s) < 512;
}

static enum err_code read_line(char *line, size_t at, record_fn fn, void *ctx, struct err *err)
{
    uint8_t sha256[HASH_BYTES];
    char *name = line + HASH_HEX - 1;
    if (strlen(line) < HASH_HEX + 2 || name[0] != ' ' || (name[1] != ' ' && name[1] != '*'))
        return err_set(err, ERR_CORRUPT, "line %zu is not \"SHA-256  NAME\": %.100s", at, line);
    name[0] = '\0';
    name += 2;
    if (!hash_from_hex(line, sha256) || !is_name(name))
        return err_set(err, ERR_CORRUPT, "line %zu is no hash and name of a file: %.64s  %.100s",
                       at, line, name);
    return fn(name, sha256, ctx, err);
}

enum err_code record_read(const char *folder, record_fn fn, void *ctx, struct err *err)
{
    char path[MODEL_PATH_MAX];
    uint8_t *text = NULL;
    size_t n = 0;
    struct err why = { 0 };
    if (snprintf(path, sizeof path, "%s/" RECORD_NAME, folder) >= (int)sizeof path)
        return err_set(err, ERR_LIMIT, "%.60s...: path too long", folder);
    enum err_code rc = file_read(path, RECORD_MAX_BYTES, &text, &n, NULL, &why);
    if (rc == ERR_NOT_FOUND)
        return ERR_NONE;
    size_t at = 1;
    for (char *line = (char *)text; rc == ERR_NONE && line && *line; at++) {
        char *end = line + strcspn(line, "\n");
        char *next = end + (*end == '\n');
        *end = '\0';
        rc = read_line(line, at, fn, ctx, &why);
        line = next;
    }
    free(text);
    return rc == ERR_NONE ? rc : err_set(err, rc, "%s: %s", path, why.msg);
}

enum err_code record_write(const char *folder, const struct fetch_file *files, size_t n,
                           struct err *err)
{
    struct buf b = { .limit = RECORD_MAX_BYTES };
    char path[MODEL_PATH_MAX], hex[HASH_HEX];
    enum err_code rc = ERR_NONE;
    if (snprintf(path, sizeof path, "%s/" RECORD_NAME, folder) >= (int)sizeof path)
        return err_set(err, ERR_LIMIT, "%.60s...: path too long", folder);
    for (size_t i = 0; i < n && rc == ERR_NONE; i++) {
        hash_hex(files[i].sha256, hex);
        rc = buf_printf(&b, err, "%s  %s\n", hex, files[i].name);
    }
    if (rc == ERR_NONE)
        rc = file_replace(path, b.data, b.len, err);
    buf_clear(&b);
    return rc;
}

enum err_code record_hash(const char *path, uint8_t out[HASH_BYTES], struct err *err)
{
    struct file_map m;
    enum err_code rc = file_map_open(&m, path, err);
    if (rc != ERR_NONE)
        return rc;
    hash_bytes(m.data, m.size, out);
    file_map_close(&m);
    return ERR_NONE;
}
