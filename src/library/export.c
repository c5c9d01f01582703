/* export.c - everything the library knows, as JSON Lines and vectors that any program can read. */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/str.h"
#include "base/utf8.h"
#include "library/library.h"
#include "library/portable.h"
#include "sys/file.h"

enum { FLUSH_BYTES = 1 << 20, ROOT_ID_MAX = 1 << 20 };

/* A draft that is appended to through a buffer. */
struct out_file {
    struct file_draft draft;
    struct buf buf;
    uint64_t at;
};

struct export
{
    struct store *store;
    const char *dir;
    struct out_file lines;
    struct library_exported *done;
    char **roots; /* [n_roots] by id; NULL where there is none */
    size_t n_roots;
    const struct store_space *space; /* the one that is being written */
    struct out_file vectors;
};

static enum err_code flush(struct out_file *o, bool all, struct err *err)
{
    if (!o->buf.len || (!all && o->buf.len < FLUSH_BYTES))
        return ERR_NONE;
    enum err_code rc = file_draft_write(&o->draft, o->at, o->buf.data, o->buf.len, err);
    o->at += o->buf.len;
    buf_reset(&o->buf);
    return rc;
}

static enum err_code finish(struct out_file *o, struct err *err)
{
    enum err_code rc = flush(o, true, err);
    return rc == ERR_NONE ? file_draft_commit(&o->draft, err) : rc;
}

static void drop(struct out_file *o)
{
    file_draft_close(&o->draft);
    buf_clear(&o->buf);
}

/* ---- fields ---- */

/* "name":"text", or "name_hex":"..." where the bytes are no UTF-8. */
static enum err_code put_bytes(struct buf *b, const char *name, const char *p, size_t n,
                               struct err *err)
{
    bool text = utf8_valid(p, n);
    enum err_code rc = buf_printf(b, err, ",\"%s%s\":", name, text ? "" : "_hex");
    if (rc == ERR_NONE && text)
        return json_put_string(b, p, n, err);
    rc = rc == ERR_NONE ? buf_puts(b, "\"", err) : rc;
    for (size_t i = 0; i < n && rc == ERR_NONE; i++)
        rc = buf_printf(b, err, "%02x", (unsigned char)p[i]);
    return rc == ERR_NONE ? buf_puts(b, "\"", err) : rc;
}

static enum err_code put_hash(struct buf *b, const char *name, const uint8_t hash[HASH_BYTES],
                              struct err *err)
{
    char hex[HASH_HEX];
    hash_hex(hash, hex);
    return buf_printf(b, err, ",\"%s\":\"%s\"", name, hex);
}

static enum err_code put_i64(struct buf *b, const char *name, int64_t v, struct err *err)
{
    return buf_printf(b, err, ",\"%s\":%lld", name, (long long)v);
}

static enum err_code begin_line(struct buf *b, const char *type, struct err *err)
{
    return buf_printf(b, err, "{\"type\":\"%s\"", type);
}

static enum err_code end_line(struct out_file *o, enum err_code rc, struct err *err)
{
    if (rc == ERR_NONE)
        rc = buf_puts(&o->buf, "}\n", err);
    return rc == ERR_NONE ? flush(o, false, err) : rc;
}

/* ---- what there is ---- */

static enum err_code export_root(const struct store_root *r, void *ctx, struct err *err)
{
    struct export *e = ctx;
    if (r->id < 0 || r->id > ROOT_ID_MAX)
        return err_set(err, ERR_CORRUPT, "folder %lld cannot be", (long long)r->id);
    if ((size_t)r->id >= e->n_roots) {
        size_t n = (size_t)r->id + 16;
        char **roots = reallocarray(e->roots, n, sizeof *roots);
        if (!roots)
            return err_set(err, ERR_NOMEM, "%zu folders", n);
        memset(roots + e->n_roots, 0, (n - e->n_roots) * sizeof *roots);
        e->roots = roots;
        e->n_roots = n;
    }
    if (!(e->roots[r->id] = strdup(r->path)))
        return err_set(err, ERR_NOMEM, "folder %s", r->path);
    struct buf *b = &e->lines.buf;
    enum err_code rc = begin_line(b, "root", err);
    if (rc == ERR_NONE)
        rc = put_bytes(b, "path", r->path, strlen(r->path), err);
    if (rc == ERR_NONE)
        rc = put_i64(b, "seen_ns", r->seen_ns, err);
    return end_line(&e->lines, rc, err);
}

static enum err_code put_when_and_where(struct buf *b, const struct store_photo *p, struct err *err)
{
    enum err_code rc = ERR_NONE;
    if (p->has_taken)
        rc = put_i64(b, "taken_ns", p->taken_ns, err);
    if (rc == ERR_NONE && p->has_place)
        rc = buf_printf(b, err, ",\"latitude\":%.17g,\"longitude\":%.17g", p->latitude,
                        p->longitude);
    if (rc == ERR_NONE && p->camera)
        rc = put_bytes(b, "camera", p->camera, strlen(p->camera), err);
    return rc;
}

static enum err_code export_photo(int64_t id, const struct store_photo *p, void *ctx,
                                  struct err *err)
{
    (void)id;
    struct export *e = ctx;
    struct buf *b = &e->lines.buf;
    e->done->n_photos++;
    enum err_code rc = begin_line(b, "photo", err);
    if (rc == ERR_NONE)
        rc = put_hash(b, "content", p->content, err);
    if (rc == ERR_NONE)
        rc = put_bytes(b, "format", p->format, strlen(p->format), err);
    if (rc == ERR_NONE)
        rc = buf_printf(b, err, ",\"size_bytes\":%lld,\"width_px\":%u,\"height_px\":%u",
                        (long long)p->size_bytes, p->width_px, p->height_px);
    if (rc == ERR_NONE)
        rc = put_when_and_where(b, p, err);
    return end_line(&e->lines, rc, err);
}

static enum err_code put_file(struct export *e, const struct store_file *f, struct err *err)
{
    struct buf *b = &e->lines.buf;
    uint8_t content[HASH_BYTES];
    const char *root = e->roots[f->root_id];
    enum err_code rc = put_bytes(b, "root", root, strlen(root), err);
    if (rc == ERR_NONE)
        rc = put_bytes(b, "path", f->path, f->path_len, err);
    if (rc == ERR_NONE)
        rc = put_i64(b, "size_bytes", f->size_bytes, err);
    if (rc == ERR_NONE)
        rc = put_i64(b, "mtime_ns", f->mtime_ns, err);
    if (rc == ERR_NONE && f->gone_ns)
        rc = put_i64(b, "gone_ns", f->gone_ns, err);
    if (rc == ERR_NONE && f->photo_id) {
        rc = store_photo_content(e->store, f->photo_id, content, err);
        return rc == ERR_NONE ? put_hash(b, "content", content, err) : rc;
    }
    if (rc == ERR_NONE)
        rc = put_bytes(b, "error", f->error, strlen(f->error), err);
    return rc == ERR_NONE && f->retry ? buf_puts(b, ",\"retry\":true", err) : rc;
}

static enum err_code export_file(const struct store_file *f, void *ctx, struct err *err)
{
    struct export *e = ctx;
    e->done->n_files++;
    enum err_code rc = begin_line(&e->lines.buf, "file", err);
    if (rc == ERR_NONE)
        rc = put_file(e, f, err);
    return end_line(&e->lines, rc, err);
}

static enum err_code export_vector(const struct store_vector *v, void *ctx, struct err *err)
{
    struct export *e = ctx;
    uint8_t content[HASH_BYTES];
    e->done->n_vectors++;
    enum err_code rc = store_photo_content(e->store, v->photo_id, content, err);
    if (rc == ERR_NONE)
        rc = buf_append(&e->vectors.buf, content, sizeof content, err);
    if (rc == ERR_NONE)
        rc = buf_append(&e->vectors.buf, v->v, e->space->dim * sizeof *v->v, err);
    return rc == ERR_NONE ? flush(&e->vectors, false, err) : rc;
}

static enum err_code export_space(const struct store_space *sp, int64_t n, void *ctx,
                                  struct err *err)
{
    struct export *e = ctx;
    struct buf *b = &e->lines.buf;
    char hex[HASH_HEX], name[64];
    hash_hex(sp->hash, hex);
    snprintf(name, sizeof name, "vectors-%.16s.f16", hex);
    char *path = str_format("%s/%s", e->dir, name);
    if (!path)
        return err_set(err, ERR_NOMEM, "path of %s", name);
    enum err_code rc = begin_line(b, "space", err);
    if (rc == ERR_NONE)
        rc = put_hash(b, "hash", sp->hash, err);
    if (rc == ERR_NONE)
        rc = put_bytes(b, "model", sp->model, strlen(sp->model), err);
    if (rc == ERR_NONE)
        rc = buf_printf(b, err, ",\"dim\":%u,\"rows\":%lld,\"vectors\":\"%s\"", sp->dim,
                        (long long)n, name);
    rc = end_line(&e->lines, rc, err);
    e->space = sp;
    e->vectors = (struct out_file){ .draft.fd = -1 };
    if (rc == ERR_NONE)
        rc = file_draft_open(&e->vectors.draft, path, err);
    if (rc == ERR_NONE)
        rc = store_vectors(e->store, sp, -1, export_vector, e, err);
    if (rc == ERR_NONE)
        rc = finish(&e->vectors, err);
    drop(&e->vectors);
    free(path);
    return rc;
}

static enum err_code export_all(struct export *e, struct err *err)
{
    enum err_code rc =
        buf_printf(&e->lines.buf, err, "{\"type\":\"fovea\",\"version\":%d}\n", PORTABLE_VERSION);
    if (rc == ERR_NONE)
        rc = store_roots(e->store, export_root, e, err);
    if (rc == ERR_NONE)
        rc = store_photos(e->store, export_photo, e, err);
    for (size_t i = 0; i < e->n_roots && rc == ERR_NONE; i++)
        if (e->roots[i])
            rc = store_files(e->store, (int64_t)i, export_file, e, err);
    if (rc == ERR_NONE)
        rc = store_spaces(e->store, export_space, e, err);
    return rc == ERR_NONE ? finish(&e->lines, err) : rc;
}

enum err_code library_export(const char *dir, const char *to, struct library_exported *done,
                             struct err *err)
{
    struct export e = { .dir = to, .done = done, .lines.draft.fd = -1 };
    *done = (struct library_exported){ 0 };
    char *path = str_format("%s/" PORTABLE_FILE, to);
    enum err_code rc = path ? ERR_NONE : err_set(err, ERR_NOMEM, "export to %s", to);
    if (rc == ERR_NONE)
        rc = store_open(&e.store, dir, STORE_READ, err);
    if (rc == ERR_NONE)
        rc = file_make_dirs(to, err);
    if (rc == ERR_NONE && file_exists(path))
        rc = err_set(err, ERR_INVALID, "%s: is there already; export to an empty folder", path);
    if (rc == ERR_NONE)
        rc = file_draft_open(&e.lines.draft, path, err);
    if (rc == ERR_NONE)
        rc = store_snapshot_begin(e.store, err);
    if (rc == ERR_NONE)
        rc = export_all(&e, err);
    drop(&e.lines);
    store_close(e.store);
    for (size_t i = 0; i < e.n_roots; i++)
        free(e.roots[i]);
    free(e.roots);
    free(path);
    return rc;
}
