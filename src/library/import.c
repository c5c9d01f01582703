/* import.c - an exported library into this one. What the library knows already is kept: an import
 * adds. The lines come from outside: every field is checked, and everything is one transaction. */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/str.h"
#include "library/library.h"
#include "library/portable.h"
#include "library/sidecar.h"
#include "sys/clock.h"
#include "sys/file.h"

/* A path as deep as a walk goes has 51,000 bytes, in hexadecimal twice that. */
enum { TEXT_MAX = 128 << 10 };

struct import {
    struct store *store;
    const char *from;
    struct library_exported *done;
    uint64_t line;
    bool has_header;
};

static enum err_code bad(const struct import *im, const char *what, struct err *err)
{
    return err_set(err, ERR_CORRUPT, "%s/" PORTABLE_FILE " line %llu: %s", im->from,
                   (unsigned long long)im->line, what);
}

/* ---- fields ---- */

static const char *field_text(const struct json *o, const char *name)
{
    size_t n = 0;
    const char *s = json_as_string(json_get(o, name), &n);
    return s && n <= TEXT_MAX && strlen(s) == n ? s : NULL;
}

static int digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The bytes that export's put_bytes() wrote, on the heap; NULL when absent, too long or with a NUL.
 */
static enum err_code field_bytes(const struct json *o, const char *name, char **out,
                                 struct err *err)
{
    char hex_name[32];
    snprintf(hex_name, sizeof hex_name, "%s_hex", name);
    const char *text = field_text(o, name), *hex = field_text(o, hex_name);
    size_t n = text ? strlen(text) : hex ? strlen(hex) / 2 : 0;
    *out = NULL;
    if (!n || (hex && strlen(hex) != 2 * n))
        return ERR_NONE;
    char *p = text ? str_ndup(text, n) : calloc(n + 1, 1);
    if (!p)
        return err_set(err, ERR_NOMEM, "\"%s\" of %zu bytes", name, n);
    for (size_t i = 0; !text && i < n; i++) {
        int high = digit(hex[2 * i]), low = digit(hex[2 * i + 1]);
        if (high < 0 || low < 0 || (high | low) == 0) {
            free(p);
            return ERR_NONE;
        }
        p[i] = (char)(high << 4 | low);
    }
    *out = p;
    return ERR_NONE;
}

static bool field_hash(const struct json *o, const char *name, uint8_t out[HASH_BYTES])
{
    const char *hex = field_text(o, name);
    return hex && hash_from_hex(hex, out);
}

static int64_t field_i64(const struct json *o, const char *name, int64_t otherwise)
{
    int64_t v = otherwise;
    return json_as_i64(json_get(o, name), &v) ? v : otherwise;
}

/* ---- lines ---- */

static enum err_code import_root(struct import *im, const struct json *o, struct err *err)
{
    char *path;
    int64_t id;
    enum err_code rc = field_bytes(o, "path", &path, err);
    if (rc == ERR_NONE)
        rc = path && path[0] == '/'
                 ? store_root_add(im->store, path, field_i64(o, "seen_ns", 0), &id, err)
                 : bad(im, "a root needs an absolute path", err);
    free(path);
    return rc;
}

static enum err_code import_photo(struct import *im, const struct json *o, struct err *err)
{
    struct store_photo p = { .format = field_text(o, "format"),
                             .camera = field_text(o, "camera"),
                             .size_bytes = field_i64(o, "size_bytes", -1) };
    int64_t w = field_i64(o, "width_px", 0), h = field_i64(o, "height_px", 0), id = 0;
    if (!field_hash(o, "content", p.content) || !p.format || p.size_bytes < 0 || w < 1 || h < 1 ||
        w > UINT32_MAX || h > UINT32_MAX)
        return bad(im, "a photo needs content, format, size_bytes, width_px and height_px", err);
    p.width_px = (uint32_t)w;
    p.height_px = (uint32_t)h;
    p.has_taken = json_as_i64(json_get(o, "taken_ns"), &p.taken_ns);
    p.has_place = json_as_f64(json_get(o, "latitude"), &p.latitude) &&
                  json_as_f64(json_get(o, "longitude"), &p.longitude);
    enum err_code rc = store_photo_find(im->store, p.content, &id, err);
    if (rc == ERR_NONE && !id)
        rc = store_photo_add(im->store, &p, &id, err);
    im->done->n_photos += rc == ERR_NONE;
    return rc;
}

static enum err_code put_file(struct import *im, const char *root, const struct store_file *f,
                              struct err *err)
{
    struct store_file file = *f;
    bool known = false;
    enum err_code rc = store_root_add(im->store, root, clock_wall_ns(), &file.root_id, err);
    if (rc == ERR_NONE)
        rc = store_file_known(im->store, file.root_id, file.path, file.path_len, &known, err);
    if (rc == ERR_NONE && !known)
        rc = store_file_put(im->store, &file, err);
    im->done->n_files += rc == ERR_NONE;
    return rc;
}

static enum err_code import_file(struct import *im, const struct json *o, struct err *err)
{
    char *root, *path = NULL;
    enum err_code rc = field_bytes(o, "root", &root, err);
    if (rc == ERR_NONE)
        rc = field_bytes(o, "path", &path, err);
    uint8_t content[HASH_BYTES];
    struct store_file f = { .path = path,
                            .path_len = path ? strlen(path) : 0,
                            .size_bytes = field_i64(o, "size_bytes", -1),
                            .mtime_ns = field_i64(o, "mtime_ns", 0),
                            .gone_ns = field_i64(o, "gone_ns", 0) };
    bool of_photo = field_hash(o, "content", content);
    (void)json_as_bool(json_get(o, "retry"), &f.retry);
    if (rc != ERR_NONE)
        goto out;
    if (!root || root[0] != '/' || !f.path_len || f.size_bytes < 0)
        rc = bad(im, "a file needs root, path, size_bytes and mtime_ns", err);
    else if (of_photo)
        rc = store_photo_find(im->store, content, &f.photo_id, err);
    else
        f.error = field_text(o, "error");
    if (rc == ERR_NONE && !f.photo_id && !f.error)
        rc = bad(im, "a file needs the content of a photo above it, or an error", err);
    if (rc == ERR_NONE)
        rc = put_file(im, root, &f, err);
out:
    free(root);
    free(path);
    return rc;
}

/* A vector of a content that is no photo here, or that is not of unit length, is left out. */
static enum err_code import_vectors(struct import *im, const struct store_space *sp,
                                    const uint8_t *at, int64_t rows, struct err *err)
{
    enum err_code rc = ERR_NONE;
    size_t n = sp->dim * sizeof(uint16_t);
    uint16_t half[INDEX_DIM_MAX];
    float v[INDEX_DIM_MAX];
    for (int64_t i = 0; i < rows && rc == ERR_NONE; i++, at += HASH_BYTES + n) {
        int64_t id = 0;
        rc = store_photo_find(im->store, at, &id, err);
        memcpy(half, at + HASH_BYTES, n);
        index_from_f16(half, sp->dim, v);
        if (rc != ERR_NONE || !id || !library_is_unit(v, sp->dim))
            continue;
        rc = store_vector_put(im->store, sp, id, half, err);
        im->done->n_vectors += rc == ERR_NONE;
    }
    return rc;
}

static enum err_code import_space(struct import *im, const struct json *o, struct err *err)
{
    const char *model = field_text(o, "model"), *name = field_text(o, "vectors");
    int64_t dim = field_i64(o, "dim", 0), rows = field_i64(o, "rows", -1);
    uint8_t hash[HASH_BYTES];
    struct store_space sp;
    struct file_map map = { 0 };
    if (!field_hash(o, "hash", hash) || !model || dim < 1 || dim > INDEX_DIM_MAX || rows < 0)
        return bad(im, "a space needs hash, model, dim, rows and vectors", err);
    if (!name || strchr(name, '/') || name[0] == '.')
        return bad(im, "vectors must name a file in the same folder", err);
    char *path = str_format("%s/%s", im->from, name);
    enum err_code rc = path ? ERR_NONE : err_set(err, ERR_NOMEM, "path of %s", name);
    if (rc == ERR_NONE)
        rc = store_space_add(im->store, hash, model, (uint32_t)dim, &sp, err);
    if (rc == ERR_NONE)
        rc = store_space_advance(im->store, &sp, err);
    if (rc == ERR_NONE)
        rc = file_map_open(&map, path, err);
    uint64_t row = HASH_BYTES + (uint64_t)dim * sizeof(uint16_t);
    if (rc == ERR_NONE && (map.size / row != (uint64_t)rows || map.size % row))
        rc = err_set(err, ERR_CORRUPT, "%s: %zu bytes are not %lld rows of %llu", path, map.size,
                     (long long)rows, (unsigned long long)row);
    if (rc == ERR_NONE)
        rc = import_vectors(im, &sp, map.data, rows, err);
    file_map_close(&map);
    free(path);
    return rc;
}

static enum err_code import_header(struct import *im, const struct json *o, struct err *err)
{
    im->has_header = true;
    int64_t version = field_i64(o, "version", 0);
    return version == PORTABLE_VERSION
               ? ERR_NONE
               : bad(im, "another version of the format than this fovea reads", err);
}

static enum err_code import_line(struct import *im, const char *line, size_t n, struct err *err)
{
    static const struct {
        const char *type;
        enum err_code (*read)(struct import *im, const struct json *o, struct err *err);
    } kinds[] = { { "fovea", import_header },
                  { "root", import_root },
                  { "photo", import_photo },
                  { "file", import_file },
                  { "space", import_space } };
    struct json *o = NULL;
    struct err why = { 0 };
    enum err_code rc = json_parse(line, n, &o, &why);
    if (rc != ERR_NONE)
        return rc == ERR_NOMEM ? err_set(err, rc, "%s", why.msg) : bad(im, why.msg, err);
    const char *type = field_text(o, "type");
    size_t k = 0;
    while (k < sizeof kinds / sizeof *kinds && (!type || strcmp(kinds[k].type, type) != 0))
        k++;
    if (k == sizeof kinds / sizeof *kinds)
        rc = bad(im, "type is none of fovea, root, photo, file, space", err);
    else if (k && !im->has_header)
        rc = bad(im, "not an exported library: the first line does not say so", err);
    else
        rc = kinds[k].read(im, o, err);
    json_destroy(o);
    return rc;
}

static enum err_code import_lines(struct import *im, const struct file_map *m, struct err *err)
{
    const char *at = m->data, *end = at + m->size;
    enum err_code rc = ERR_NONE;
    while (at < end && rc == ERR_NONE) {
        const char *nl = memchr(at, '\n', (size_t)(end - at));
        size_t n = (size_t)((nl ? nl : end) - at);
        im->line++;
        rc = n > PORTABLE_LINE_MAX ? bad(im, "the line is too long", err)
                                   : import_line(im, at, n, err);
        at += n + 1;
    }
    return rc == ERR_NONE && !im->has_header ? bad(im, "nothing in it", err) : rc;
}

enum err_code library_import(const char *dir, const char *from, struct library_exported *done,
                             struct err *err)
{
    struct import im = { .from = from, .done = done };
    struct file_map map = { 0 };
    *done = (struct library_exported){ 0 };
    char *path = str_format("%s/" PORTABLE_FILE, from);
    enum err_code rc = path ? file_map_open(&map, path, err) : err_set(err, ERR_NOMEM, "import");
    if (rc == ERR_NONE)
        rc = store_open(&im.store, dir, STORE_WRITE, err);
    if (rc == ERR_NONE)
        rc = store_begin(im.store, err);
    if (rc == ERR_NONE)
        rc = store_end(im.store, import_lines(&im, &map, err), err);
    if (rc == ERR_NONE)
        rc = sidecar_refresh_all(im.store, dir, err);
    store_close(im.store);
    file_map_close(&map);
    free(path);
    return rc;
}
