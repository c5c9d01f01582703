/* agree.h - two services' answers to one question, compared.
 *
 * A question is a picture or a text for one model. Its answer holds things: one vector, faces, or
 * lines of text. A thing is alike where it is within these bounds; of faces and lines a share may
 * fall outside, as a score beside a threshold falls to either side of it. */
#ifndef FOVEA_APP_AGREE_H
#define FOVEA_APP_AGREE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

enum agree_kind { AGREE_VISUAL, AGREE_TEXTUAL, AGREE_FACES, AGREE_OCR, AGREE_N_KINDS };

#define AGREE_COSINE 0.9999    /* of CLIP's vectors, unless said otherwise: at least */
#define AGREE_NORM 1e-4        /* of them: apart by this part of their length at most */
#define AGREE_FACE_IOU 0.9     /* of the boxes of one face: intersection over union, at least */
#define AGREE_FACE_SCORE 0.02  /* of one face: apart at most */
#define AGREE_FACE_COSINE 0.99 /* of its embeddings, at least */
#define AGREE_LINE_IOU 0.7     /* of the boxes of one line, which has the same text to the letter */
#define AGREE_FACES_SHARE 0.97 /* of all faces */
#define AGREE_LINES_SHARE 0.95 /* of all lines */
enum { AGREE_THINGS_MAX = 4096 }; /* faces or lines of an answer */

/* What was found of one answer, or summed over many; { .min_cosine = 1 } of none. A thing that only
 * one side has is one that is not alike. */
struct agree {
    size_t n, n_alike;
    size_t n_cosines; /* of things that both have */
    double sum_cosine, min_cosine;
    double max_norm; /* apart, as a part of the length */
    size_t n_sizes;  /* answers whose pictures are not of one size */
};

/* Adds what one answer says to *sum. here and there: their JSON. ERR_INVALID: theirs is no answer
 * to such a question, and *sum is as before; ERR_LIMIT (AGREE_THINGS_MAX), ERR_NOMEM. */
enum err_code agree_compare(enum agree_kind kind, double min_cosine, const struct buf *here,
                            const struct buf *there, struct agree *sum, struct err *err);

/* The share of all things that has to be alike: 1 of vectors. */
double agree_share(enum agree_kind kind);

#endif
