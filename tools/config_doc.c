/* config_doc - docs/config.md, from the table of settings that the binary reads:
 *
 *   build/config_doc > docs/config.md */
#include <stdio.h>

#include "app/config.h"

static void print_default(const struct config_setting *s)
{
    if (s->xdg)
        printf("`$%s/%s`", s->xdg, s->fallback);
    else if (s->fallback)
        printf("`%s`", s->fallback);
}

static void print_values(const struct config_setting *s)
{
    switch (s->kind) {
    case CONFIG_FOLDER: printf("a folder"); break;
    case CONFIG_TEXT: printf("text"); break;
    case CONFIG_NUMBER: printf("%d to %d", s->min, s->max); break;
    case CONFIG_SWITCH: printf("true, false"); break;
    case CONFIG_CHOICE:
        for (int i = 0; s->choices[i]; i++)
            printf("%s%s", i ? ", " : "", s->choices[i]);
    }
}

/* Of the service, or of all that is not. */
static void print_table(bool service)
{
    printf("| setting | values | default | what it is |\n|---|---|---|---|\n");
    for (size_t i = 0; i < config_n_settings; i++) {
        const struct config_setting *s = &config_settings[i];
        if (s->unused || (s->use == CONFIG_SERVICE) != service)
            continue;
        printf("| `%s` | ", s->env);
        print_values(s);
        printf(" | ");
        print_default(s);
        printf(" | %s |\n", s->help);
    }
}

int main(void)
{
    printf("# Settings\n\n"
           "All come from the environment. Those of Immich's machine-learning service keep their "
           "names and meanings. A value that is\nnot within its range stops the commands that use "
           "it with a sentence. Options of a command (`fovea serve --help`) go before settings.\n\n"
           "## Library and models\n\n");
    print_table(false);
    printf(
        "| `FOVEA_SIMD` | c, avx2, avx512vnni, neon, dotprod | | the most that the kernels may use "
        "of the processor |\n\n"
        "## The service\n\n");
    print_table(true);
    printf(
        "\n"
        "## Accepted without effect\n\n"
        "Settings of the reference that have no meaning here. They are checked all the same, and "
        "the log says once why they do\nnothing.\n\n"
        "| setting | values | what it is | why it does nothing |\n|---|---|---|---|\n");
    for (size_t i = 0; i < config_n_settings; i++) {
        const struct config_setting *s = &config_settings[i];
        if (!s->unused)
            continue;
        printf("| `%s` | ", s->env);
        print_values(s);
        printf(" | %s | %s |\n", s->help, s->unused);
    }
    return 0;
}
