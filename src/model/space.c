/* Which vectors can be compared. Content decides, not names or times: a model copied to another
 * machine spans the same space. Reading and hashing the 110 MB of the starter takes 70 ms with the
 * CPU's SHA instructions and 400 without, so the answer is kept, under what stat() says of the
 * files. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "model/folder.h"
#include "sys/file.h"

/* Raised when fovea comes to compute other vectors from the same files: another contract of pixels,
 * another precision. */
static const char *const how_run[] = { "fovea space 1: f32, view pixels",
                                       "fovea space 1: f16, view pixels" };

/* Other engines' forms of a network, which appear beside ours when Immich is told to use them. */
static bool is_foreign(const char *name)
{
    return str_ends(name, ".armnn") || str_ends(name, ".rknn");
}

/* What a walk over one tower's folder adds to. */
struct walk {
    char dir[MODEL_PATH_MAX];
    struct hash hash;
    uint64_t n_bytes;
    bool content; /* else names and stat() only */
};

static enum err_code add_content(const char *path, struct hash *h, struct err *err)
{
    struct file_map m;
    uint8_t digest[HASH_BYTES];
    enum err_code rc = file_map_open(&m, path, err);
    if (rc != ERR_NONE)
        return rc;
    hash_bytes(m.data, m.size, digest);
    file_map_close(&m);
    hash_update(h, digest, sizeof digest);
    return ERR_NONE;
}

static enum err_code add_file(const char *name, void *ctx, struct err *err)
{
    struct walk *w = ctx;
    struct file_info info;
    char path[MODEL_PATH_MAX];
    if (is_foreign(name))
        return ERR_NONE;
    if (snprintf(path, sizeof path, "%s/%s", w->dir, name) >= (int)sizeof path)
        return err_set(err, ERR_LIMIT, "%.60s...: path too long", w->dir);
    struct err why = { 0 };
    enum err_code rc = file_stat(path, &info, &why);
    if (rc == ERR_UNSUPPORTED)
        return ERR_NONE; /* a folder */
    if (rc != ERR_NONE)
        return err_set(err, rc, "%s", why.msg);
    w->n_bytes += info.size_bytes;
    hash_update(&w->hash, name, strlen(name) + 1);
    if (w->content)
        return add_content(path, &w->hash, err);
    /* not the device: overlay file systems number themselves anew at each start */
    const uint64_t words[] = { info.size_bytes, (uint64_t)info.mtime_ns, info.inode };
    hash_update(&w->hash, words, sizeof words);
    return ERR_NONE;
}

static enum err_code walk_tower(const struct model_folder *f, enum model_type type, struct walk *w,
                                struct err *err)
{
    if (snprintf(w->dir, sizeof w->dir, "%s/%s", f->dir, model_type_name(type)) >=
        (int)sizeof w->dir)
        return err_set(err, ERR_LIMIT, "%.60s...: path too long", f->dir);
    hash_update(&w->hash, model_type_name(type), strlen(model_type_name(type)) + 1);
    return model_list_dir(w->dir, add_file, w, err);
}

static void finish(struct walk *w, char out[HASH_HEX])
{
    uint8_t digest[HASH_BYTES];
    hash_final(&w->hash, digest);
    hash_hex(digest, out);
}

enum err_code model_identity(const struct model_folder *f, enum model_type type, char out[HASH_HEX],
                             uint64_t *n_bytes, struct err *err)
{
    struct walk w = { .content = false };
    hash_init(&w.hash);
    hash_update(&w.hash, f->dir, strlen(f->dir) + 1);
    enum err_code rc = walk_tower(f, type, &w, err);
    if (rc == ERR_NONE) {
        finish(&w, out);
        *n_bytes = w.n_bytes;
    }
    return rc;
}

static enum err_code walk_both(const struct model_folder *f, bool half, bool content,
                               char out[HASH_HEX], struct err *err)
{
    struct walk w = { .content = content };
    hash_init(&w.hash);
    hash_update(&w.hash, how_run[half], strlen(how_run[half]) + 1);
    if (!content)
        hash_update(&w.hash, f->dir, strlen(f->dir) + 1);
    enum err_code rc = walk_tower(f, MODEL_VISUAL, &w, err);
    if (rc == ERR_NONE)
        rc = walk_tower(f, MODEL_TEXTUAL, &w, err);
    if (rc == ERR_NONE)
        finish(&w, out);
    return rc;
}

/* The kept file: both towers' identity, a space, the space, a newline. */
enum { KEPT_BYTES = 2 * (HASH_HEX - 1) + 2 };

static bool read_kept(const char *path, const char *identity, char out[HASH_HEX])
{
    uint8_t *text;
    size_t n;
    if (file_read(path, KEPT_BYTES, &text, &n, NULL, NULL) != ERR_NONE)
        return false;
    const size_t digits = HASH_HEX - 1;
    const char *space = (const char *)text + digits + 1;
    bool ok = n == KEPT_BYTES && !memcmp(text, identity, digits) && text[digits] == ' ' &&
              space[digits] == '\n' && strspn(space, "0123456789abcdef") == digits;
    if (ok)
        memcpy(out, space, digits), out[digits] = '\0';
    free(text);
    return ok;
}

enum err_code model_space(const struct model_folder *f, bool half, const char *cache_dir,
                          char out[HASH_HEX], struct err *err)
{
    char path[MODEL_PATH_MAX] = "", identity[HASH_HEX], line[KEPT_BYTES + 1];
    enum err_code rc = walk_both(f, half, false, identity, err);
    if (rc != ERR_NONE)
        return rc;
    if (cache_dir &&
        snprintf(path, sizeof path, "%s/space-%.16s", cache_dir, identity) >= (int)sizeof path)
        return err_set(err, ERR_LIMIT, "%.60s...: path too long", cache_dir);
    if (*path && read_kept(path, identity, out))
        return ERR_NONE;
    rc = walk_both(f, half, true, out, err);
    if (rc != ERR_NONE || !*path)
        return rc;
    snprintf(line, sizeof line, "%s %s\n", identity, out);
    (void)file_replace(path, line, KEPT_BYTES, NULL); /* kept or not, it is right */
    return ERR_NONE;
}
