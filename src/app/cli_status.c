#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "app/cli.h"
#include "app/config.h"
#include "app/out.h"
#include "base/json.h"
#include "base/str.h"
#include "store/store.h"
#include "sys/file.h"

static const struct cli_option options[] = {
    { "library", 0, "DIR", "the library's folder (default: $FOVEA_LIBRARY)" },
    { "failed", 0, NULL, "list the files that could not be read, with the reason" },
    { "json", 0, NULL, "one JSON object" },
    { NULL, 0, NULL, NULL },
};

static void when(char out[32], int64_t ns)
{
    time_t t = (time_t)(ns / 1000000000);
    struct tm tm;
    if (!localtime_r(&t, &tm) || !strftime(out, 32, "%Y-%m-%d %H:%M", &tm))
        snprintf(out, 32, "?");
}

static enum err_code print_root(const struct store_root *r, void *ctx, struct err *err)
{
    (void)ctx;
    (void)err;
    char seen[32];
    when(seen, r->seen_ns);
    printf("  ");
    out_path(stdout, r->path);
    if (r->offline) {
        printf("  offline (");
        out_path(stdout, r->offline);
        printf("), last seen %s\n", seen);
    } else {
        printf("  indexed %s\n", seen);
    }
    return ERR_NONE;
}

static enum err_code print_space(const struct store_space *sp, int64_t n, void *ctx,
                                 struct err *err)
{
    (void)err;
    *(bool *)ctx = true;
    printf("  ");
    out_path(stdout, sp->model);
    printf(": %s of %u dimensions, %lld of them in the sidecar\n",
           out_count((uint64_t)n, "vector").text, sp->dim,
           (long long)(sp->has_sidecar ? sp->sidecar_rows : 0));
    return ERR_NONE;
}

static enum err_code print_failed(const struct store_file *f, void *ctx, struct err *err)
{
    (void)ctx;
    (void)err;
    out_failure(stdout, f->path, f->error);
    printf("%s\n", f->retry ? " (tried on each run)" : "");
    return ERR_NONE;
}

static enum err_code print_text(struct store *s, const char *dir, const struct store_counts *c,
                                struct err *err)
{
    char size[16] = "?";
    struct file_info info;
    char *db = str_format("%s/" STORE_DB_NAME, dir);
    if (db && file_stat(db, &info, NULL) == ERR_NONE)
        str_bytes(info.size_bytes, size);
    free(db);
    printf("library ");
    out_path(stdout, dir);
    printf(" (%s)\n%s in %s", size,
           out_count((uint64_t)(c->n_photos - c->n_photos_dead), "photo").text,
           out_count((uint64_t)(c->n_files - c->n_gone - c->n_failed), "file").text);
    if (c->n_failed)
        printf(", %lld could not be read (--failed lists them)", (long long)c->n_failed);
    if (c->n_gone)
        printf(", %lld gone", (long long)c->n_gone);
    printf("\nfolders:\n");
    if (!c->n_roots)
        printf("  none: `fovea index FOLDER` adds one\n");
    bool any = false;
    enum err_code rc = store_roots(s, print_root, NULL, err);
    if (rc == ERR_NONE) {
        printf("models:\n");
        rc = store_spaces(s, print_space, &any, err);
    }
    if (rc == ERR_NONE && !any)
        printf("  none was needed yet\n");
    return rc;
}

/* ---- JSON ---- */

struct list {
    struct buf b;
    const char *sep;
};

static enum err_code put_root(const struct store_root *r, void *ctx, struct err *err)
{
    struct list *l = ctx;
    enum err_code rc = buf_printf(&l->b, err, "%s{\"path\":", l->sep);
    l->sep = ",";
    if (rc == ERR_NONE)
        rc = json_put_string(&l->b, r->path, strlen(r->path), err);
    return rc == ERR_NONE
               ? buf_printf(&l->b, err, ",\"offline\":%s}", r->offline ? "true" : "false")
               : rc;
}

static enum err_code put_space(const struct store_space *sp, int64_t n, void *ctx, struct err *err)
{
    struct list *l = ctx;
    char hex[HASH_HEX];
    hash_hex(sp->hash, hex);
    enum err_code rc = buf_printf(&l->b, err, "%s{\"hash\":\"%s\",\"model\":", l->sep, hex);
    l->sep = ",";
    if (rc == ERR_NONE)
        rc = json_put_string(&l->b, sp->model, strlen(sp->model), err);
    return rc == ERR_NONE
               ? buf_printf(&l->b, err, ",\"dim\":%u,\"vectors\":%lld,\"in_sidecar\":%lld}",
                            sp->dim, (long long)n,
                            (long long)(sp->has_sidecar ? sp->sidecar_rows : 0))
               : rc;
}

static enum err_code put_failed(const struct store_file *f, void *ctx, struct err *err)
{
    struct list *l = ctx;
    enum err_code rc = buf_printf(&l->b, err, "%s{\"path\":", l->sep);
    l->sep = ",";
    if (rc == ERR_NONE)
        rc = json_put_string(&l->b, f->path, f->path_len, err);
    if (rc == ERR_NONE)
        rc = buf_puts(&l->b, ",\"reason\":", err);
    if (rc == ERR_NONE)
        rc = json_put_string(&l->b, f->error, strlen(f->error), err);
    return rc == ERR_NONE ? buf_puts(&l->b, "}", err) : rc;
}

static enum err_code print_json(struct store *s, const struct store_counts *c, struct err *err)
{
    struct list l = { .sep = "" };
    enum err_code rc = buf_printf(
        &l.b, err, "{\"photos\":%lld,\"files\":%lld,\"failed\":%lld,\"gone\":%lld,\"roots\":[",
        (long long)(c->n_photos - c->n_photos_dead),
        (long long)(c->n_files - c->n_gone - c->n_failed), (long long)c->n_failed,
        (long long)c->n_gone);
    if (rc == ERR_NONE)
        rc = store_roots(s, put_root, &l, err);
    l.sep = "";
    if (rc == ERR_NONE && (rc = buf_puts(&l.b, "],\"spaces\":[", err)) == ERR_NONE)
        rc = store_spaces(s, put_space, &l, err);
    l.sep = "";
    if (rc == ERR_NONE && (rc = buf_puts(&l.b, "],\"failures\":[", err)) == ERR_NONE)
        rc = store_failures(s, put_failed, &l, err);
    if (rc == ERR_NONE)
        rc = buf_puts(&l.b, "]}", err);
    if (rc == ERR_NONE)
        printf("%s\n", l.b.data);
    buf_clear(&l.b);
    return rc;
}

static int run(const struct cli_call *call)
{
    const char *dir = cli_library(call);
    struct err err = { 0 };
    struct store *s = NULL;
    struct store_counts c;
    if (call->n_args)
        return cli_usage(call, "takes no argument");
    enum err_code rc = store_open(&s, dir, STORE_READ, &err);
    if (rc == ERR_NONE)
        rc = store_snapshot_begin(s, &err);
    if (rc == ERR_NONE)
        rc = store_count(s, &c, &err);
    if (rc == ERR_NONE)
        rc = cli_given(call, "json")     ? print_json(s, &c, &err)
             : cli_given(call, "failed") ? store_failures(s, print_failed, NULL, &err)
                                         : print_text(s, dir, &c, &err);
    store_close(s);
    return rc == ERR_NONE ? EXIT_OK : cli_fail(&err);
}

const struct cli_command cli_status = {
    .name = "status",
    .args = "[OPTION...]",
    .summary = "what is in the library",
    .details =
        "Tells how many photos the library has, of which folders, embedded with which models.",
    .options = options,
    .run = run,
    .uses = CONFIG_USE(CONFIG_LIBRARY),
};
