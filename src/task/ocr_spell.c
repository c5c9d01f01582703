/* Connectionist temporal classification (Graves et al. 2006), read greedily: at each step the most
 * probable character, once however many steps it stays. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "task/ocr.h"

enum { ALPHABET_MAX = 1 << 20, LANES = 16 };

enum err_code task_ocr_alphabet_init(struct ocr_alphabet *a, char *text, struct err *err)
{
    size_t n = 3; /* none, the last line, the space */
    for (const char *p = text; *p; p++)
        n += *p == '\n';
    *a = (struct ocr_alphabet){ .text = text };
    if (n > ALPHABET_MAX)
        return err_set(err, ERR_LIMIT, "%zu characters, the limit is %d", n, ALPHABET_MAX);
    a->at = malloc(n * sizeof *a->at);
    if (!a->at)
        return err_set(err, ERR_NOMEM, "%zu characters", n);
    a->at[a->n++] = "";
    for (char *line; (line = strsep(&text, "\n")) && (*line || text);) {
        line[strcspn(line, "\r")] = 0;
        a->at[a->n++] = line;
    }
    a->at[a->n++] = " ";
    return ERR_NONE;
}

void task_ocr_alphabet_clear(struct ocr_alphabet *a)
{
    free(a->text);
    free(a->at);
    *a = (struct ocr_alphabet){ 0 };
}

/* The first of the largest of p [n]; 0 where nothing is a number. In lanes, so that the compiler
 * finds the instructions: a page has 18,385 characters at each of thousands of steps. */
static size_t largest(const float *p, size_t n)
{
    float lanes[LANES], most = -INFINITY;
    size_t i = 0;
    for (size_t k = 0; k < LANES; k++)
        lanes[k] = -INFINITY;
    for (; i + LANES <= n; i += LANES)
        for (size_t k = 0; k < LANES; k++)
            lanes[k] = p[i + k] > lanes[k] ? p[i + k] : lanes[k];
    for (; i < n; i++)
        most = p[i] > most ? p[i] : most;
    for (size_t k = 0; k < LANES; k++)
        most = lanes[k] > most ? lanes[k] : most;
    for (i = 0; i < n && p[i] != most; i++)
        ;
    return i < n ? i : 0;
}

/* To five decimals, as Python's round(). */
static double rounded(double v)
{
    return rint(v * 1e5) / 1e5;
}

enum err_code task_ocr_spell(const struct ocr_alphabet *a, const float *steps, size_t n_steps,
                             struct task_ocr_line *out, struct arena *arena, struct err *err)
{
    struct buf text = { 0 };
    enum err_code rc = ERR_NONE;
    size_t before = 0, n = 0;
    double sum = 0;
    for (size_t i = 0; i < n_steps && rc == ERR_NONE; i++) {
        const float *p = steps + i * a->n;
        const size_t c = largest(p, a->n);
        if (c && c != before) {
            rc = buf_puts(&text, a->at[c], err);
            sum += rounded((double)p[c]);
            n++;
        }
        before = c;
    }
    out->score = n ? rounded(sum / (double)n) : 0;
    out->text = NULL;
    if (rc == ERR_NONE) {
        out->text = arena_strndup(arena, text.data ? text.data : "", text.len, err);
        rc = out->text ? ERR_NONE : ERR_NOMEM;
    }
    buf_clear(&text);
    return rc;
}
