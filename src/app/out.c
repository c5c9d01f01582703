#include "app/out.h"

#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/str.h"
#include "base/utf8.h"
#include "sys/clock.h"

enum { LINE_EVERY_S = 5, BAR_MIN = 10, BAR_MAX = 40 };

void out_path(FILE *f, const char *path)
{
    size_t n = strlen(path);
    for (size_t i = 0; i < n;) {
        uint32_t cp;
        size_t k = utf8_decode(path + i, n - i, &cp);
        bool ill = cp == 0xfffd && !utf8_valid(path + i, k);
        if (cp == '\n' || cp == '\t' || cp == '\\')
            fprintf(f, "\\%c", cp == '\n' ? 'n' : cp == '\t' ? 't' : '\\');
        else if (ill || cp < 0x20 || (cp >= 0x7f && cp < 0xa0))
            for (size_t b = 0; b < k; b++)
                fprintf(f, "\\x%02x", (unsigned char)path[i + b]);
        else
            fwrite(path + i, 1, k, f);
        i += k;
    }
}

void out_failure(FILE *f, const char *path, const char *why)
{
    size_t n = strlen(path);
    if (!strncmp(why, path, n) && why[n] == ':')
        why += n + 1 + (why[n + 1] == ' ');
    out_path(f, path);
    fputs(": ", f);
    out_path(f, why);
}

struct out_count out_count(uint64_t n, const char *what)
{
    struct out_count c;
    snprintf(c.text, sizeof c.text, "%llu %s%s", (unsigned long long)n, what, n == 1 ? "" : "s");
    return c;
}

void out_progress_init(struct out_progress *p, FILE *f)
{
    *p = (struct out_progress){ .f = f, .terminal = isatty(fileno(f)) };
    p->next_line_ns = clock_mono_ns() + (int64_t)LINE_EVERY_S * 1000000000;
}

static void duration(char out[32], double s)
{
    long t = s < 0 ? 0 : s > 359999 ? 359999 : (long)(s + 0.5);
    if (t >= 3600)
        snprintf(out, 32, "%ld:%02ld:%02ld", t / 3600, t / 60 % 60, t % 60);
    else
        snprintf(out, 32, "%ld:%02ld", t / 60, t % 60);
}

static void describe(const struct library_progress *at, char *out, size_t n)
{
    if (at->scanning) {
        snprintf(out, n, "looking at folders: %s", out_count(at->n_total, "photo").text);
        return;
    }
    char left[32] = "-:--";
    double rate = at->elapsed_s > 0 ? (double)at->n_done / at->elapsed_s : 0;
    if (rate > 0)
        duration(left, (double)(at->n_total - at->n_done) / rate);
    int k = snprintf(out, n, "%llu/%llu  %.1f/s  %s left", (unsigned long long)at->n_done,
                     (unsigned long long)at->n_total, rate, left);
    if (at->n_failed && k > 0 && (size_t)k < n)
        snprintf(out + k, n - (size_t)k, "  %llu failed", (unsigned long long)at->n_failed);
}

/* n_total 0: no bar, only the text. */
static void draw_bar(struct out_progress *p, uint64_t n_done, uint64_t n_total, const char *text)
{
    struct winsize w = { 0 };
    int columns = ioctl(fileno(p->f), TIOCGWINSZ, &w) == 0 && w.ws_col ? w.ws_col : 80;
    int room = columns - (int)strlen(text) - 5;
    room = room > BAR_MAX ? BAR_MAX : room;
    fputs("\r\033[K", p->f);
    if (n_total && room >= BAR_MIN) {
        int done = (int)((double)room * (double)n_done / (double)n_total);
        fputc('[', p->f);
        for (int i = 0; i < room; i++)
            fputc(i < done ? '#' : '.', p->f);
        fputs("] ", p->f);
    }
    fprintf(p->f, "%.*s", columns - 1, text);
    fflush(p->f);
    p->drawn = true;
}

static void show(struct out_progress *p, uint64_t n_done, uint64_t n_total, const char *text)
{
    if (p->terminal) {
        draw_bar(p, n_done, n_total, text);
    } else if (clock_mono_ns() >= p->next_line_ns) {
        p->next_line_ns = clock_mono_ns() + (int64_t)LINE_EVERY_S * 1000000000;
        fprintf(p->f, "%s\n", text);
    }
}

void out_progress_show(struct out_progress *p, const struct library_progress *at)
{
    char text[160];
    describe(at, text, sizeof text);
    show(p, at->n_done, at->scanning ? 0 : at->n_total, text);
}

void out_progress_bytes(struct out_progress *p, const char *name, uint64_t n_done, uint64_t n_total)
{
    char text[MODEL_NAME_MAX + 64], done[16], total[16];
    str_bytes(n_done, done);
    str_bytes(n_total, total);
    snprintf(text, sizeof text, "%s  %s%s%s", name, done, n_total ? " of " : "",
             n_total ? total : "");
    show(p, n_done, n_total, text);
}

void out_progress_end(struct out_progress *p)
{
    if (p->drawn)
        fputs("\r\033[K", p->f);
    p->drawn = false;
}
