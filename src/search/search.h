/* search.h - from what a person types to photos.
 *
 * A query is a sum: each term (words or an example image) becomes a unit vector, is weighted, and
 * the sum, brought back to length one, is compared with every photo by cosine. The grammar:
 *
 *   dog on grass          words make one phrase
 *   -person   -"red car"  less of it: weight -1
 *   0.5:snow              a weight before the colon; the text must not begin with a digit, so that
 * 16:9 and 10:30 are words image:beach.jpg       an example: a photo of the library, or any image
 * file -0.3:image:"my cat.jpg"
 *   "-5 degrees"          quotes make anything words; \" and \\ inside them
 *
 * An argument of a shell that begins with -, a weight or image: is one term to its end, so quotes
 * are the shell's business; any other is split at white space, and its plain words join those of
 * the other arguments in one phrase. */
#ifndef FOVEA_SEARCH_SEARCH_H
#define FOVEA_SEARCH_SEARCH_H

#include "base/arena.h"
#include "library/library.h"

enum { SEARCH_TERMS_MAX = 64, SEARCH_QUERY_MAX = 64 << 10, SEARCH_RESULTS_MAX = 10000 };

enum search_kind { SEARCH_TEXT, SEARCH_IMAGE };

struct search_term {
    enum search_kind kind;
    double weight;     /* not 0, within [-100, 100] */
    const char *value; /* words, or a path; any bytes but NUL */
};

struct search_query {
    struct arena mem;
    struct search_term terms[SEARCH_TERMS_MAX];
    size_t n_terms;
};

/* ERR_INVALID (empty; an operator without a term; a quote that does not end; a weight out of
 * range), ERR_LIMIT, ERR_NOMEM; the query is empty then. */
enum err_code search_parse(struct search_query *q, const char *const *args, size_t n_args,
                           struct err *err);
void search_query_clear(struct search_query *q);

struct search_options {
    const char *dir, *model; /* the library's folder; name of a CLIP model */
    struct predict *predict;
    struct image_decoder *decoder; /* for examples that are files */
};

/* A library opened for reading, as it is at this moment. One thread at a time. */
struct search;
enum err_code search_open(struct search **out, const struct search_options *o, struct err *err);
void search_close(struct search *s);
/* Why searches are slower than they could be, or NULL. */
const char *search_fault(const struct search *s);
size_t search_n_photos(const struct search *s);

struct search_result {
    int64_t id;
    float score; /* cosine of query and photo */
    char *path;  /* absolute, as the file system has it */
};

struct search_results {
    struct search_result *items; /* by score, best first */
    size_t n;
    double embed_ms, scan_ms,
        paths_ms; /* terms to vectors (loads the model), nearest, rows to files */
};

/* The n best. ERR_INVALID when the terms cancel out; what a model or file says. */
enum err_code search_run(struct search *s, const struct search_query *q, size_t n,
                         struct search_results *out, struct err *err);
/* Most like this image, itself left out when it is of the library. A photo of the library needs no
 * model: its vector is there. */
enum err_code search_similar(struct search *s, const char *path, size_t n,
                             struct search_results *out, struct err *err);
void search_results_clear(struct search_results *r);

#endif
