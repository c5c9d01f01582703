/* Any bytes as each of a model's configuration files. */
#include <fcntl.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "model/model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct model_folder folder = { .task = MODEL_CLIP, .name = "any" };
static int fd = -1; /* the one file that all names lead to, in memory */

static const char *const names[] = { "config.json", "visual/preprocess_cfg.json",
                                     "textual/tokenizer_config.json" };
enum { N_NAMES = sizeof names / sizeof *names };

static void at(const char *name, char out[MODEL_PATH_MAX + 64])
{
    snprintf(out, MODEL_PATH_MAX + 64, "%s/%s", folder.dir, name);
}

static void tear_down(void)
{
    char path[MODEL_PATH_MAX + 64];
    for (int i = 0; i < N_NAMES; i++)
        at(names[i], path), unlink(path);
    at("visual", path), rmdir(path);
    at("textual", path), rmdir(path);
    rmdir(folder.dir);
}

static void set_up(void)
{
    char path[MODEL_PATH_MAX + 64], target[64];
    snprintf(folder.dir, sizeof folder.dir, "/tmp/fovea-fuzz-XXXXXX");
    fd = memfd_create("config", MFD_CLOEXEC);
    if (fd < 0 || !mkdtemp(folder.dir))
        abort();
    atexit(tear_down);
    snprintf(target, sizeof target, "/proc/self/fd/%d", fd);
    at("visual", path), mkdir(path, 0700);
    at("textual", path), mkdir(path, 0700);
    for (int i = 0; i < N_NAMES; i++) {
        at(names[i], path);
        if (symlink(target, path))
            abort();
    }
}

static void check(bool ok)
{
    if (!ok)
        __builtin_trap();
}

/* What the readers promise of what they accept, and of what they refuse. */
static void use(void)
{
    struct model_preprocess p;
    struct model_text t;
    struct err e[3] = { { 0 } };
    unsigned dim = 0;
    if (model_preprocess_read(&folder, &p, &e[0]) == ERR_NONE) {
        check(p.size_px >= 1 && p.size_px <= 4096 && p.fill <= 255);
        check(p.interpolation <= MODEL_NEAREST && p.resize <= MODEL_SQUASH);
        for (int i = 0; i < 3; i++)
            check(isfinite(p.mean[i]) && p.std[i] > 0 && isfinite(1 / p.std[i]));
    }
    if (model_text_read(&folder, &t, &e[1]) == ERR_NONE)
        check(t.context_length >= 1 && *t.pad_token && memchr(t.pad_token, 0, sizeof t.pad_token));
    if (model_embed_dim(&folder, &dim, &e[2]) == ERR_NONE)
        check(dim >= 1);
    for (int i = 0; i < 3; i++)
        check(e[i].code == ERR_NONE || *e[i].msg);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (fd < 0)
        set_up();
    if (ftruncate(fd, 0) || pwrite(fd, data, size, 0) != (ssize_t)size)
        return 0;
    use();
    return 0;
}
