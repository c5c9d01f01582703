#include "app/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

/* A default that begins with $NAME/ is below that folder, or below ~/rest where NAME is not set
 * (the XDG base directory specification). */
static const struct setting {
    const char *env, *fallback, *help;
    const char *xdg, *home; /* fallback is below $xdg, else below $HOME/home */
    size_t at;
} settings[] = {
    { "FOVEA_LIBRARY", "fovea", "the library's folder", "XDG_DATA_HOME", ".local/share",
      offsetof(struct config, library_dir) },
    { "MACHINE_LEARNING_CACHE_FOLDER", "fovea/models", "where models are", "XDG_CACHE_HOME",
      ".cache", offsetof(struct config, models_dir) },
    { "FOVEA_CACHE", "fovea", "what can be computed again", "XDG_CACHE_HOME", ".cache",
      offsetof(struct config, cache_dir) },
    { "FOVEA_MODEL", CONFIG_DEFAULT_MODEL, "the CLIP model", NULL, NULL,
      offsetof(struct config, model) },
    { "FOVEA_ORT_LIBRARY", NULL, "the ONNX Runtime library", NULL, NULL,
      offsetof(struct config, ort_library) },
};

static const char *set(const char *env)
{
    const char *v = getenv(env);
    return v && *v ? v : NULL;
}

static enum err_code resolve(const struct setting *s, char **out, struct err *err)
{
    const char *v = set(s->env), *base = s->xdg ? set(s->xdg) : NULL, *home = set("HOME");
    if (!v && !s->fallback)
        return ERR_NONE;
    if (v || !s->xdg)
        *out = str_format("%s", v ? v : s->fallback);
    else if (base && base[0] == '/') /* the specification: a relative one is to be ignored */
        *out = str_format("%s/%s", base, s->fallback);
    else if (home)
        *out = str_format("%s/%s/%s", home, s->home, s->fallback);
    else
        return err_set(err, ERR_INVALID, "neither %s nor HOME is set: %s is not known", s->env,
                       s->help);
    return *out ? ERR_NONE : err_set(err, ERR_NOMEM, "settings");
}

enum err_code config_load(struct config *c, struct err *err)
{
    *c = (struct config){ 0 };
    enum err_code rc = ERR_NONE;
    for (size_t i = 0; i < sizeof settings / sizeof *settings && rc == ERR_NONE; i++)
        rc = resolve(&settings[i], (char **)(void *)((char *)c + settings[i].at), err);
    if (rc != ERR_NONE)
        config_clear(c);
    return rc;
}

void config_clear(struct config *c)
{
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        free(*(char **)(void *)((char *)c + settings[i].at));
    *c = (struct config){ 0 };
}

void config_print_help(void)
{
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        const struct setting *s = &settings[i];
        char value[96];
        if (s->xdg)
            snprintf(value, sizeof value, "$%s/%s", s->xdg, s->fallback);
        else
            snprintf(value, sizeof value, "%s", s->fallback ? s->fallback : "found by itself");
        printf("  %-30s  %s (%s)\n", s->env, s->help, value);
    }
    printf("  %-30s  %s\n", "FOVEA_SIMD", "use at most c, avx2, avx512vnni, neon or dotprod");
}
