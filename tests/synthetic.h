/* synthetic.h - vectors that are spread as a dual encoder's are, from a seed: for the recall test
 * and the scan bench.
 *
 * Pictures lie in a cone (any two have a cosine of about 0.4) and in clusters within it. A text
 * lies far from all of them: 0.25 from the picture that it was made for, which is as near as CLIP's
 * captions come. With `spikes` two values are as large as all others together, as in OpenAI's
 * ViT-B/32, which is what int8 with one scale a vector likes least. */
#ifndef TESTS_SYNTHETIC_H
#define TESTS_SYNTHETIC_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* splitmix64 (Steele, Lea, Flood 2014): any state is a good one, so row r needs no row before it.
 */
static inline uint64_t synthetic_next(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

/* About normal, mean 0, variance 1: four 16-bit uniform values, which have 1/12 each. */
static inline float synthetic_normal(uint64_t *state)
{
    uint64_t z = synthetic_next(state);
    float sum = (float)((z & 0xffff) + (z >> 16 & 0xffff) + (z >> 32 & 0xffff) + (z >> 48));
    return (sum - 2 * 65535.f) * (1.7320508f / 65536);
}

static inline void synthetic_add(float *v, size_t dim, float weight, uint64_t seed)
{
    uint64_t state = seed * 0x2545f4914f6cdd1d;
    for (size_t i = 0; i < dim; i++)
        v[i] += weight * synthetic_normal(&state);
}

static inline void synthetic_normalise(float *v, size_t dim)
{
    float s = 0;
    for (size_t i = 0; i < dim; i++)
        s += v[i] * v[i];
    s = 1 / sqrtf(s);
    for (size_t i = 0; i < dim; i++)
        v[i] *= s;
}

/* Picture number r of a library of clusters of about 50. */
static inline void synthetic_picture(float *v, size_t dim, uint64_t seed, uint64_t r, bool spikes)
{
    for (size_t i = 0; i < dim; i++)
        v[i] = 0;
    synthetic_add(v, dim, .8f, seed);                         /* the cone */
    synthetic_add(v, dim, .7f, seed + 1 + (r / 50 << 32));    /* the cluster */
    synthetic_add(v, dim, .6f, seed + 2 + (r + 1) * 0x10001); /* the picture */
    synthetic_normalise(v, dim);
    if (spikes) {
        v[dim / 4] = .6f + v[dim / 4];
        v[dim / 2] = -.4f + v[dim / 2];
        synthetic_normalise(v, dim);
    }
}

/* A text for picture r: 0.25 of it and the rest of its own. */
static inline void synthetic_text(float *v, size_t dim, uint64_t seed, uint64_t r, bool spikes)
{
    synthetic_picture(v, dim, seed, r, spikes);
    for (size_t i = 0; i < dim; i++)
        v[i] *= .25f;
    synthetic_add(v, dim, .968f / sqrtf((float)dim), ~seed - r);
    synthetic_normalise(v, dim);
}

#endif
