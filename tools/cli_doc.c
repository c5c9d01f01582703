/* cli_doc - the manual page and the shells' completions, from the tables of commands, options and
 * settings that the binary reads:
 *
 *   build/cli_doc man | bash | zsh | fish */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "app/cli.h"
#include "app/config.h"
#include "base/str.h"
#include "model/model.h"

/* What a shell can offer where a value or an argument is wanted. */
enum { FOLDERS = 1, FILES = 2, MODELS = 4 };

/* text with each character of `special` behind `escape`. */
static void put_escaped(const char *text, const char *special, const char *escape)
{
    for (; *text; text++)
        printf("%s%c", strchr(special, *text) ? escape : "", *text);
}

/* By what the tables call it. */
static unsigned offers(const char *word, size_t n)
{
    static const struct {
        const char *word;
        unsigned offers;
    } known[] = { { "DIR", FOLDERS }, { "FOLDER", FOLDERS }, { "FILE", FILES }, { "PATH", FILES },
                  { "IMAGE", FILES }, { "PHOTO", FILES },    { "NAME", MODELS } };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strlen(known[i].word) == n && !strncmp(word, known[i].word, n))
            return known[i].offers;
    return 0;
}

/* The next word of letters, or NULL: of "pull NAME... | import DIR [NAME]" pull, NAME, import, DIR,
 * NAME. An option and what follows it are no arguments. */
static const char *next_word(const char **at, size_t *n)
{
    const char *s = *at;
    for (bool option = false;; s += *n) {
        while (*s && !isalpha((unsigned char)*s) && *s != '-')
            s++;
        if (!*s)
            return NULL;
        *n = strcspn(s, " |[]().");
        if (*s != '-' && !option && strncmp(s, "OPTION", *n) != 0)
            break;
        option = *s == '-' && (*n > 2);
    }
    *at = s + *n;
    return s;
}

static unsigned arguments_offer(const struct cli_command *c)
{
    unsigned all = 0;
    size_t n;
    for (const char *at = c->args, *w; (w = next_word(&at, &n));)
        all |= offers(w, n);
    return all;
}

/* The words in small letters among a command's arguments: what models does. */
static void put_verbs(const struct cli_command *c)
{
    size_t n;
    const char *before = "";
    for (const char *at = c->args, *w; (w = next_word(&at, &n));)
        if (islower((unsigned char)*w)) {
            printf("%s%.*s", before, (int)n, w);
            before = " ";
        }
}

/* "view|reference" with spaces between; nothing for a value that has only a name. */
static void put_choices(const struct cli_option *o)
{
    if (o->arg && strchr(o->arg, '|'))
        for (const char *s = o->arg; *s; s++)
            putchar(*s == '|' ? ' ' : *s);
}

/* How a shell asks for the names of models: those that are there and those that are to be had. */
static void put_models_command(void)
{
    printf("fovea models list 2>/dev/null | sed -nE \"s/^(");
    for (int t = 0; t < MODEL_N_TASKS; t++)
        printf("%s%s", t ? "|" : "", model_task_name((enum model_task)t));
    printf(") +([^ ]+).*/\\2/p\"");
}

/* ---- man ---- */

/* What stands between backquotes is bold. */
static void roff(const char *text)
{
    static bool bold;
    for (; *text; text++)
        switch (*text) {
        case '\\': printf("\\e"); break;
        case '-': printf("\\-"); break;
        case '\'': printf("\\(aq"); break;
        case '~': printf("\\(ti"); break;
        case '^': printf("\\(ha"); break;
        case '`':
            bold = !bold;
            printf(bold ? "\\fB" : "\\fR");
            break;
        default: putchar(*text);
        }
}

/* A text of lines. Those that are laid out by spaces stay as they are, the others are filled. */
static void roff_lines(const char *text)
{
    bool laid_out = false, paragraph = true;
    while (*text) {
        char line[256];
        size_t n = strcspn(text, "\n");
        snprintf(line, sizeof line, "%.*s", (int)n, text);
        text += n + !!text[n];
        bool as_is = n ? strstr(line, "  ") != NULL : laid_out;
        paragraph = paragraph || !n || as_is != laid_out;
        if (!n)
            continue;
        if (laid_out && !as_is)
            printf(".fi\n");
        if (paragraph)
            printf(".PP\n");
        if (as_is && !laid_out)
            printf(".nf\n");
        laid_out = as_is;
        paragraph = false;
        roff(line);
        printf("\n");
    }
    if (laid_out)
        printf(".fi\n");
}

static void man_command(const struct cli_command *c)
{
    printf(".SS \"fovea %s\"\n\\fBfovea %s\\fR ", c->name, c->name);
    roff(c->args);
    printf("\n");
    roff_lines(c->details);
    for (const struct cli_option *o = c->options; o->name; o++) {
        printf(".TP\n");
        if (o->letter)
            printf("\\fB\\-%c\\fR, ", o->letter);
        printf("\\fB\\-\\-");
        roff(o->name);
        printf("\\fR");
        if (o->arg)
            printf(" \\fI%s\\fR", o->arg);
        printf("\n");
        roff(o->help);
        printf("\n");
    }
}

static void man_setting(const struct config_setting *s)
{
    printf(".TP\n.B %s\n", s->env);
    roff(s->help);
    if (s->xdg)
        printf(" (default: \\fI\\(ti/%s/%s\\fR)", s->home, s->fallback);
    else if (s->fallback)
        printf(" (default: %s)", s->fallback);
    printf("\n");
}

static void man_settings(const char *title, bool service)
{
    printf(".SS \"%s\"\n", title);
    for (size_t i = 0; i < config_n_settings; i++)
        if (!config_settings[i].unused && (config_settings[i].use == CONFIG_SERVICE) == service)
            man_setting(&config_settings[i]);
    if (!service)
        printf(".TP\n.B FOVEA_SIMD\nthe most that the kernels may use of the processor: c, avx2, "
               "avx512vnni, neon or dotprod\n");
}

static void man(void)
{
    printf(".TH FOVEA 1 \"\" \"fovea " FOVEA_VERSION "\" \"User Commands\"\n"
           ".SH NAME\nfovea \\- find photos by what is in them\n"
           ".SH SYNOPSIS\n.B fovea\n.I COMMAND\n[\\fIOPTION\\fR...] [\\fIARGUMENT\\fR...]\n"
           ".SH DESCRIPTION\nA photo library that is searched in words, the machine\\-learning "
           "service that "
           "Immich asks, and a command\nline for both, on your own machine. Photos are read, never "
           "changed.\n"
           ".PP\nAn option that takes a value is given as \\fB\\-\\-port 3003\\fR or "
           "\\fB\\-\\-port=3003\\fR. What "
           "follows \\fB\\-\\-\\fR is not read as\noptions. Each command has \\fB\\-\\-help\\fR; "
           "\\fBfovea "
           "\\-\\-version\\fR tells the version.\n"
           ".SH COMMANDS\n");
    for (size_t i = 0; cli_commands[i]; i++)
        man_command(cli_commands[i]);
    printf(
        ".SH ENVIRONMENT\nA value that is not within its range stops the commands that use it.\n");
    man_settings("Library and models", false);
    man_settings("The service", true);
    printf(".SH EXIT STATUS\n"
           ".TP\n.B %d\nit was done\n.TP\n.B %d\nit failed, or a part of it; what and why is on "
           "the standard error\n"
           ".TP\n.B %d\nthe command line was wrong\n",
           EXIT_OK, EXIT_FAILED, EXIT_USAGE);
    printf(".SH EXAMPLES\n.nf\nfovea index \\(ti/Pictures\nfovea search \\(dqbeach at sunset\\(dq\n"
           "fovea models pull ViT\\-B\\-32__openai\nfovea serve\n.fi\n");
}

/* ---- bash ---- */

/* The options of a command whose value offers this: " --library". */
static void bash_options(const struct cli_command *c, unsigned what)
{
    for (const struct cli_option *o = c->options; o->name; o++) {
        if (!o->arg || offers(o->arg, strlen(o->arg)) != what || strchr(o->arg, '|'))
            continue;
        printf(" --%s", o->name);
        if (o->letter)
            printf(" -%c", o->letter);
    }
}

static void bash_command(const struct cli_command *c)
{
    printf("    %s)\n        options='--help", c->name);
    for (const struct cli_option *o = c->options; o->name; o++)
        printf(" --%s", o->name);
    printf("' folders='");
    bash_options(c, FOLDERS);
    printf("' files='");
    bash_options(c, FILES);
    printf("' models='");
    bash_options(c, MODELS);
    printf("' others='");
    bash_options(c, 0);
    printf("'\n        words='");
    put_verbs(c);
    printf("' rest=%u\n", arguments_offer(c));
    for (const struct cli_option *o = c->options; o->name; o++)
        if (o->arg && strchr(o->arg, '|')) {
            printf("        [[ $prev == --%s ]] && options= rest=0 words='", o->name);
            put_choices(o);
            printf("'\n");
        }
    printf("        ;;\n");
}

static void bash(void)
{
    printf("# Completions of fovea for bash; made from its tables of commands and options.\n"
           "_fovea()\n{\n"
           "    local cur prev options= folders= files= models= others= words= rest=0\n"
           "    local command=${COMP_WORDS[1]}\n"
           "    ((COMP_CWORD == 1)) && command=\n"
           "    cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}\n"
           "    [[ $cur == = ]] && cur=\n"
           "    [[ $prev == = ]] && prev=${COMP_WORDS[COMP_CWORD - 2]}\n"
           "    case $command in\n    '')\n        options='--help --version' words='help");
    for (size_t i = 0; cli_commands[i]; i++)
        printf(" %s", cli_commands[i]->name);
    printf("' ;;\n");
    for (size_t i = 0; cli_commands[i]; i++)
        bash_command(cli_commands[i]);
    printf("    esac\n"
           "    case \" $folders \" in *\" $prev \"*) options= words= rest=%d ;; esac\n"
           "    case \" $files \" in *\" $prev \"*) options= words= rest=%d ;; esac\n"
           "    case \" $models \" in *\" $prev \"*) options= words= rest=%d ;; esac\n"
           "    case \" $others \" in *\" $prev \"*) options= words= rest=0 ;; esac\n"
           "    [[ $cur == -* ]] && words=$options rest=0\n"
           "    ((rest & %d)) && words+=\" $(",
           FOLDERS, FILES, MODELS, MODELS);
    put_models_command();
    printf(")\"\n"
           "    COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
           "    ((rest & %d)) && compopt -o filenames 2>/dev/null\n"
           "    local IFS=$'\\n'\n"
           "    if ((rest & %d)); then\n"
           "        COMPREPLY+=($(compgen -f -- \"$cur\"))\n"
           "    elif ((rest & %d)); then\n"
           "        COMPREPLY+=($(compgen -d -- \"$cur\"))\n"
           "    fi\n"
           "}\n"
           "complete -F _fovea fovea\n",
           FOLDERS | FILES, FILES, FOLDERS);
}

/* ---- zsh ---- */

/* Within single quotes, of an _arguments specification. */
static void zsh_text(const char *text)
{
    for (; *text; text++)
        if (*text == '\'')
            printf("'\\''");
        else
            printf("%s%c", strchr("[]:\\", *text) ? "\\" : "", *text);
}

static void zsh_action(unsigned what)
{
    if (what & MODELS)
        printf("_fovea_models");
    else
        printf(what & FILES ? "_files" : what & FOLDERS ? "_files -/" : " ");
}

static void zsh_option(const struct cli_option *o)
{
    printf("            ");
    if (o->letter)
        printf("'(-%c --%s)'{-%c%s,--%s%s}'", o->letter, o->name, o->letter, o->arg ? "+" : "",
               o->name, o->arg ? "=" : "");
    else
        printf("'%s--%s%s", o->arg && str_ends(o->arg, "...") ? "*" : "", o->name,
               o->arg ? "=" : "");
    printf("[");
    zsh_text(o->help);
    printf("]");
    if (o->arg) {
        printf(":");
        zsh_text(o->arg);
        printf(":");
        if (strchr(o->arg, '|')) {
            printf("(");
            put_choices(o);
            printf(")");
        } else {
            zsh_action(offers(o->arg, strlen(o->arg)));
        }
    }
    printf("' \\\n");
}

static void zsh_command(const struct cli_command *c)
{
    size_t n;
    unsigned what = arguments_offer(c);
    const char *at = c->args, *first = next_word(&at, &n);
    printf("        %s)\n            _arguments '(-h --help)'{-h,--help}'[this text]' \\\n",
           c->name);
    for (const struct cli_option *o = c->options; o->name; o++)
        zsh_option(o);
    if (first && islower((unsigned char)*first)) {
        printf("            '1:what to do:(");
        put_verbs(c);
        printf(")' \\\n");
    }
    if (first)
        printf("            '*: :");
    if (first)
        zsh_action(what);
    printf("%s ;;\n", first ? "'" : "            ");
}

static void zsh(void)
{
    printf("#compdef fovea\n# Completions of fovea for zsh; made from its tables of commands and "
           "options.\n"
           "_fovea_models()\n{\n    local -a models\n    models=(${(f)\"$(");
    put_models_command();
    printf(")\"})\n    compadd -a models\n    [[ $words[2] == import ]] && _files -/\n}\n\n"
           "_fovea()\n{\n    local state line\n    local -a commands\n    commands=(\n");
    for (size_t i = 0; cli_commands[i]; i++) {
        printf("        '%s:", cli_commands[i]->name);
        zsh_text(cli_commands[i]->summary);
        printf("'\n");
    }
    printf(
        "    )\n"
        "    _arguments -C '(-h --help)'{-h,--help}'[what there is]' '--version[the version]' \\\n"
        "        '1: :->command' '*:: :->argument'\n"
        "    case $state in\n"
        "    command) _describe command commands ;;\n"
        "    argument)\n        case $words[1] in\n");
    for (size_t i = 0; cli_commands[i]; i++)
        zsh_command(cli_commands[i]);
    printf("        esac ;;\n    esac\n}\n\n_fovea \"$@\"\n");
}

/* ---- fish ---- */

static void fish_text(const char *text)
{
    printf("'");
    put_escaped(text, "'\\", "\\");
    printf("'");
}

static void fish_offer(unsigned what)
{
    if (what & FILES)
        printf(" -F");
    if (what & FOLDERS)
        printf(" -a '(__fish_complete_directories)'");
    if (what & MODELS)
        printf(" -a '(__fovea_models)'");
}

static void fish_option(const struct cli_command *c, const struct cli_option *o)
{
    printf("complete -c fovea -n '__fovea_is %s' -l %s", c->name, o->name);
    if (o->letter)
        printf(" -s %c", o->letter);
    if (o->arg)
        printf(offers(o->arg, strlen(o->arg)) == FILES ? " -r"
                                                       : " -x"); /* -x: no file is offered */
    if (o->arg && strchr(o->arg, '|')) {
        printf(" -a '");
        put_choices(o);
        printf("'");
    } else if (o->arg) {
        fish_offer(offers(o->arg, strlen(o->arg)));
    }
    printf(" -d ");
    fish_text(o->help);
    printf("\n");
}

static void fish_command(const struct cli_command *c)
{
    size_t n;
    unsigned what = arguments_offer(c);
    const char *at = c->args, *first = next_word(&at, &n);
    printf("complete -c fovea -n __fovea_is -a %s -d ", c->name);
    fish_text(c->summary);
    printf("\n");
    for (const struct cli_option *o = c->options; o->name; o++)
        fish_option(c, o);
    if (first && islower((unsigned char)*first)) {
        printf("complete -c fovea -n '__fovea_is %s' -a '", c->name);
        put_verbs(c);
        printf("'\n");
    }
    if (!what)
        return;
    printf("complete -c fovea -n '__fovea_is %s'", c->name);
    fish_offer(what);
    printf("\n");
}

static void fish(void)
{
    printf("# Completions of fovea for fish; made from its tables of commands and options.\n"
           "function __fovea_is --description 'whether this command has been given, or none'\n"
           "    set -l words (commandline -opc)\n"
           "    test \"$words[2]\" = \"$argv[1]\"\n"
           "end\n"
           "function __fovea_models\n    ");
    put_models_command();
    printf("\nend\n"
           "complete -c fovea -f\n"
           "complete -c fovea -s h -l help -d 'what there is'\n"
           "complete -c fovea -n __fovea_is -l version -d 'the version'\n");
    for (size_t i = 0; cli_commands[i]; i++)
        fish_command(cli_commands[i]);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*print)(void);
    } forms[] = { { "man", man }, { "bash", bash }, { "zsh", zsh }, { "fish", fish } };
    for (size_t i = 0; argc == 2 && i < sizeof forms / sizeof *forms; i++)
        if (!strcmp(argv[1], forms[i].name)) {
            forms[i].print();
            return fflush(stdout) != 0;
        }
    fprintf(stderr, "usage: cli_doc man | bash | zsh | fish\n");
    return EXIT_USAGE;
}
