/* cli_upkeep.c - commands for the library as a whole: check, forget, vacuum, export,
 * import. */
#include "app/cli.h"
#include "app/config.h"
#include "app/out.h"
#include "library/library.h"

static const struct cli_option library_only[] = {
    { "library", 0, "DIR", "the library's folder (default: $FOVEA_LIBRARY)" },
    { NULL, 0, NULL, NULL },
};

static const struct cli_option vacuum_options[] = {
    { "library", 0, "DIR", "the library's folder (default: $FOVEA_LIBRARY)" },
    { "purge", 0, NULL, "forget for good what has gone: files, and photos that no file holds" },
    { NULL, 0, NULL, NULL },
};

static int run_check(const struct cli_call *call)
{
    struct library_checked c;
    struct err err = { 0 };
    if (call->n_args)
        return cli_usage(call, "takes no argument");
    if (library_check(cli_library(call), &c, &err) != ERR_NONE)
        return cli_fail(&err);
    printf("%s, %s: ", out_count((uint64_t)c.n_photos, "photo").text,
           out_count((uint64_t)c.n_vectors, "vector").text);
    if (c.whole) {
        printf("all is whole\n");
        return EXIT_OK;
    }
    printf("mended\n");
    if (c.n_counts_mended)
        printf("  set right: %s of files\n", out_count((uint64_t)c.n_counts_mended, "count").text);
    if (c.n_vectors_dropped)
        printf("  dropped: %s that cannot be right; `fovea index` computes anew\n",
               out_count((uint64_t)c.n_vectors_dropped, "vector").text);
    if (c.n_sidecars_written)
        printf("  written anew: %s\n", out_count(c.n_sidecars_written, "sidecar").text);
    if (c.n_leftovers)
        printf("  removed: %s\n", out_count(c.n_leftovers, "leftover file").text);
    return EXIT_OK;
}

static int run_forget(const struct cli_call *call)
{
    if (!call->n_args)
        return cli_usage(call, "name a folder of the library");
    for (size_t i = 0; i < call->n_args; i++) {
        struct library_forgotten f;
        struct err err = { 0 };
        if (library_forget(cli_library(call), call->args[i], &f, &err) != ERR_NONE)
            return cli_fail(&err);
        printf("forgot ");
        out_path(stdout, call->args[i]);
        printf(": %s, with %s that no other folder holds\n",
               out_count((uint64_t)f.n_files, "file").text,
               out_count((uint64_t)f.n_photos, "photo").text);
    }
    return EXIT_OK;
}

static int run_vacuum(const struct cli_call *call)
{
    struct store_purged p;
    struct err err = { 0 };
    if (call->n_args)
        return cli_usage(call, "takes no argument");
    if (library_vacuum(cli_library(call), cli_given(call, "purge"), &p, &err) != ERR_NONE)
        return cli_fail(&err);
    if (cli_given(call, "purge"))
        printf("forgot %s that had gone and %s that no file holds\n",
               out_count((uint64_t)p.n_files, "file").text,
               out_count((uint64_t)p.n_photos, "photo").text);
    printf("compacted\n");
    return EXIT_OK;
}

static int transfer(const struct cli_call *call, const char *verb,
                    enum err_code (*fn)(const char *dir, const char *other,
                                        struct library_exported *done, struct err *err))
{
    struct library_exported d;
    struct err err = { 0 };
    if (call->n_args != 1)
        return cli_usage(call, "give one folder");
    if (fn(cli_library(call), call->args[0], &d, &err) != ERR_NONE)
        return cli_fail(&err);
    printf("%s %s, %s, %s\n", verb, out_count(d.n_photos, "photo").text,
           out_count(d.n_files, "file").text, out_count(d.n_vectors, "vector").text);
    return EXIT_OK;
}

static int run_export(const struct cli_call *call)
{
    return transfer(call, "exported", library_export);
}

static int run_import(const struct cli_call *call)
{
    return transfer(call, "imported", library_import);
}

const struct cli_command cli_check = {
    .name = "check",
    .args = "[OPTION...]",
    .summary = "verify the library, and mend what is derived",
    .details = "Verifies the database page by page and every vector, compares the sidecars with "
               "it, and makes\n"
               "again what can be derived. A database that is damaged is named and left as it is.",
    .options = library_only,
    .run = run_check,
    .uses = CONFIG_USE(CONFIG_LIBRARY),
};

const struct cli_command cli_forget = {
    .name = "forget",
    .args = "[OPTION...] FOLDER...",
    .summary = "look no more at a folder: a disk that is gone for good, say",
    .details = "Takes each FOLDER, as `fovea status` lists it, out of the library; it need not be "
               "there any more,\n"
               "and what is in it is not touched. Photos that no other folder holds are not found "
               "any more.\n"
               "They stay known: `fovea index FOLDER` brings them back without computing them "
               "again, until\n"
               "`fovea vacuum --purge` forgets them for good.",
    .options = library_only,
    .run = run_forget,
    .uses = CONFIG_USE(CONFIG_LIBRARY),
};

const struct cli_command cli_vacuum = {
    .name = "vacuum",
    .args = "[OPTION...]",
    .summary = "give unused space of the library back",
    .details = "Compacts the database. Files that have gone and photos that no file holds stay "
               "known, so that a\n"
               "photo that comes back need not be computed again; --purge forgets them for "
               "good.",
    .options = vacuum_options,
    .run = run_vacuum,
    .uses = CONFIG_USE(CONFIG_LIBRARY),
};

const struct cli_command cli_export = {
    .name = "export",
    .args = "[OPTION...] FOLDER",
    .summary = "write all that the library knows as JSON Lines and vectors",
    .details = "Writes FOLDER/library.jsonl and FOLDER/vectors-*.f16, which docs/export.md "
               "describes. The library is\n"
               "only read.",
    .options = library_only,
    .run = run_export,
    .uses = CONFIG_USE(CONFIG_LIBRARY),
};

const struct cli_command cli_import = {
    .name = "import",
    .args = "[OPTION...] FOLDER",
    .summary = "add what an export holds to the library",
    .details = "Reads what `fovea export` wrote. What the library knows already is kept. All of it "
               "comes in, or\n"
               "nothing.",
    .options = library_only,
    .run = run_import,
    .uses = CONFIG_USE(CONFIG_LIBRARY),
};
