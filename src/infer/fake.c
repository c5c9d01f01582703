/* fake.c - a network for tests: a text file in the place of model.onnx.
 *
 *   fovea-fake 1
 *   seed 7
 *   input image f32 -1 3 8 8
 *   output embedding f32 -1 16
 *   delay_ms 20                        to open it, and for each run
 *   metadata character a b             one key at most; its value is one word a line
 *
 * Each output row is a sum over that batch row of the first input: floats times, integers
 * selecting, pseudo-random weights in [-1, 1]. So the same input gives the same vector on every
 * machine, and like inputs (a slightly brighter picture, a text with most words in common) give
 * like vectors, which is what ranking and duplicates are tested with. Integers <= 1 count as
 * padding. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/str.h"
#include "infer/session.h"
#include "sys/file.h"

enum { FILE_MAX_BYTES = 64 << 10 };

struct fake {
    uint64_t seed;
    int64_t delay_ms;
    char *text;        /* the file's, cut into words */
    char *key, *value; /* of its metadata, in text; NULL where there is none */
};

/* SplitMix64's finaliser: every bit of the result depends on every bit of x. */
static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static float weight(uint64_t seed, uint64_t what, uint64_t dim)
{
    uint64_t h = mix(seed + what * 0x9e3779b97f4a7c15u + dim * 0xd1b54a32d192ed03u);
    return (float)(int32_t)(h >> 32) / 2147483648.0f;
}

static bool parse_type(const char *word, enum infer_type *out)
{
    for (int t = INFER_F32; t <= INFER_U8; t++)
        if (word && !strcmp(word, infer_type_name((enum infer_type)t))) {
            *out = (enum infer_type)t;
            return true;
        }
    return false;
}

/* "NAME TYPE DIM...", consumed by strtok_r's rest. */
static bool parse_port(char **rest, struct infer_port *p)
{
    const char *name = strtok_r(NULL, " ", rest);
    if (!name || strlen(name) >= sizeof p->name || !parse_type(strtok_r(NULL, " ", rest), &p->type))
        return false;
    snprintf(p->name, sizeof p->name, "%s", name);
    for (const char *w; (w = strtok_r(NULL, " ", rest)); p->n_dims++)
        if (p->n_dims == INFER_DIMS_MAX || !str_to_i64(w, -1, 1 << 20, &p->dims[p->n_dims]))
            return false;
    return p->n_dims > 0;
}

/* "KEY WORD...". */
static bool parse_metadata(struct fake *f, char **rest)
{
    char *key = strtok_r(NULL, " ", rest);
    if (!key || f->key)
        return false;
    f->key = key;
    f->value = *rest;
    for (char *p = f->value; *p; p++)
        *p = *p == ' ' ? '\n' : *p;
    return true;
}

static bool parse_line(struct infer_session *s, struct fake *f, char *line)
{
    char *rest;
    const char *word = strtok_r(line, " ", &rest);
    int64_t v;
    if (!word)
        return true;
    if (!strcmp(word, "input"))
        return s->n_inputs < INFER_PORTS_MAX && parse_port(&rest, &s->inputs[s->n_inputs++]);
    if (!strcmp(word, "output"))
        return s->n_outputs < INFER_PORTS_MAX && parse_port(&rest, &s->outputs[s->n_outputs++]);
    if (!strcmp(word, "delay_ms"))
        return str_to_i64(strtok_r(NULL, " ", &rest), 0, 10000, &f->delay_ms);
    if (!strcmp(word, "metadata"))
        return parse_metadata(f, &rest);
    if (!strcmp(word, "seed") && str_to_i64(strtok_r(NULL, " ", &rest), 0, INT64_MAX, &v)) {
        f->seed = (uint64_t)v;
        return true;
    }
    return false;
}

static void wait_ms(int64_t ms)
{
    if (ms)
        nanosleep(&(struct timespec){ .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 }, NULL);
}

static enum err_code fake_open(struct infer_session *s, const struct infer_network *network,
                               struct err *err)
{
    const char *path = network->path; /* nothing here is worth keeping */
    uint8_t *text;
    size_t n;
    enum err_code rc = file_read(path, FILE_MAX_BYTES, &text, &n, NULL, err);
    if (rc != ERR_NONE)
        return rc;
    struct fake *f = calloc(1, sizeof *f);
    if (!f) {
        free(text);
        return err_set(err, ERR_NOMEM, "%s", path);
    }
    s->state = f;
    f->text = (char *)text;
    char *rest = f->text + sizeof INFER_FAKE_MAGIC - 1;
    for (char *line; (line = strsep(&rest, "\n"));)
        if (!parse_line(s, f, line))
            return err_set(err, ERR_CORRUPT, "%s: not a fake network's line", path);
    if (!s->n_inputs || !s->n_outputs)
        return err_set(err, ERR_CORRUPT, "%s: no input or no output", path);
    wait_ms(f->delay_ms);
    return ERR_NONE;
}

static enum err_code fake_metadata(const struct infer_session *s, const char *key, char **value,
                                   struct err *err)
{
    const struct fake *f = s->state;
    const bool has = f->key && !strcmp(f->key, key);
    *value = has ? strdup(f->value) : NULL;
    return has && !*value ? err_set(err, ERR_NOMEM, "metadata %s", key) : ERR_NONE;
}

static void fake_close(struct infer_session *s)
{
    struct fake *f = s->state;
    free(f->text);
    free(f);
}

static void add_element(float *row, size_t dim, uint64_t seed, const struct infer_tensor *x,
                        size_t at, size_t within)
{
    int64_t id = x->type == INFER_I32   ? ((const int32_t *)x->data)[at]
                 : x->type == INFER_I64 ? ((const int64_t *)x->data)[at]
                 : x->type == INFER_U8  ? ((const uint8_t *)x->data)[at]
                                        : 0;
    if (x->type != INFER_F32 && id <= 1)
        return;
    uint64_t what = x->type == INFER_F32 ? within : (uint64_t)id;
    float v = x->type == INFER_F32 ? ((const float *)x->data)[at] : 1;
    for (size_t k = 0; k < dim; k++)
        row[k] += v * weight(seed, what, k);
}

static void fill(struct infer_tensor *y, size_t n, const struct infer_tensor *x, size_t n_x,
                 uint64_t seed)
{
    size_t rows = y->dims[0] > 0 && y->dims[0] == x->dims[0] ? (size_t)y->dims[0] : 1;
    float *out = y->data;
    for (size_t r = 0; r < rows; r++)
        for (size_t i = 0; i < n_x / rows; i++)
            add_element(out + r * (n / rows), n / rows, seed, x, r * (n_x / rows) + i, i);
}

/* Free dimensions take the size that the input has in the same place. */
static enum err_code fake_run(struct infer_session *s, const struct infer_tensor *in,
                              struct infer_tensor *out, size_t n_out, struct err *err)
{
    const struct fake *f = s->state;
    size_t n_x, n;
    enum err_code rc = infer_count(&in[0], &n_x, err);
    wait_ms(f->delay_ms);
    for (size_t i = 0; i < n_out && rc == ERR_NONE; i++) {
        struct infer_tensor *y = &out[i];
        const struct infer_port *p = &s->outputs[i];
        *y = (struct infer_tensor){ .type = p->type, .n_dims = p->n_dims };
        for (size_t d = 0; d < p->n_dims; d++)
            y->dims[d] = p->dims[d] >= 0 ? p->dims[d] : d < in[0].n_dims ? in[0].dims[d] : 1;
        rc = infer_count(y, &n, err);
        if (rc != ERR_NONE)
            return rc;
        y->data = y->owner = calloc(n ? n : 1, infer_type_bytes(y->type));
        y->free_fn = free;
        if (!y->data)
            return err_set(err, ERR_NOMEM, "network output of %zu elements", n);
        if (y->type == INFER_F32)
            fill(y, n, &in[0], n_x, mix(f->seed + i));
    }
    return rc;
}

const struct infer_backend infer_fake_backend = { fake_open, fake_run, fake_metadata, fake_close };
