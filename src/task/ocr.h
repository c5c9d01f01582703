/* ocr.h - the stages of finding and reading text. Private to task/ (and to its tests).
 *
 *   pixels ► [3, height, width] ► detector ► map ► outlines ► rectangles ► boxes
 *   pixels + a box ► line of 48 pixels' height ► recogniser ► probabilities ► text
 *
 * The reference's geometry is OpenCV's (findContours, minAreaRect, fillPoly) and Clipper's (offset
 * with round joins), in integers and floats whose rounding shows in a box's corners: what is here
 * rounds where they do. */
#ifndef FOVEA_TASK_OCR_H
#define FOVEA_TASK_OCR_H

#include "task/task.h"

enum {
    OCR_CELL_PX = 32,          /* the detector takes multiples of it */
    OCR_SEEN_MAX_PX = 8 << 20, /* pixels that a detector sees */
    OCR_LINE_PX = 48,          /* height of what a recogniser sees */
    OCR_LINE_MIN_PX = 320,     /* its width */
    OCR_LINE_MAX_PX = 4800,    /* a longer line is squeezed */
    OCR_RUN_PX = 3200,         /* lines in one run, side by side, unless it is one that is longer */
    OCR_BATCH_DEFAULT = 6,
    OCR_ROUND_MAX = 1024, /* points of a rectangle whose corners were rounded */
};

struct ocr_point {
    int32_t x, y;
};

/* A rectangle's corners: top left, top right, bottom right, bottom left. */
struct ocr_quad {
    float x[4], y[4];
};

/* The size that a picture is seen at. */
void task_ocr_seen_size(const struct image *im, double max_side_px, uint32_t *width_px,
                        uint32_t *height_px);
/* im scaled to [3, height_px, width_px] f32, blue first. ERR_LIMIT, ERR_NOMEM. */
enum err_code task_ocr_feed(const struct image *im, uint32_t width_px, uint32_t height_px,
                            float *tensor, struct err *err);

/* What a detector says: probability [height, width] f32, any bits. */
struct ocr_map {
    const float *p;
    uint32_t width, height;
};
/* Boxes in a picture of width_px x height_px, as task_ocr_detect() answers. ERR_NOMEM. */
enum err_code task_ocr_boxes(const struct ocr_map *map, uint32_t width_px, uint32_t height_px,
                             const struct task_ocr_search *how, struct task_ocr_box **boxes,
                             size_t *n, struct err *err);

/* Outlines of what is text in a map, by following borders (Suzuki and Abe 1985): each connected
 * part's, and those of the holes in it. Of one only the outermost pixels of each row are kept,
 * which say all about its hull. */
struct ocr_outline {
    int32_t top, bottom; /* rows */
    struct ocr_point start;
    bool hole;
    int32_t *left, *right; /* by row of the map */
    uint8_t *marks; /* [height, width] of enum ocr_mark; NULL where they were not asked for */
};
enum ocr_mark {
    OCR_ON = 1,      /* a pixel of the outline */
    OCR_CROSSES = 2, /* it goes on to the row below, an odd number of times */
};
typedef void (*ocr_outline_fn)(const struct ocr_outline *o, void *ctx);
/* fn is called for each in the order in which rows from the top meet them. ERR_NOMEM. */
enum err_code task_ocr_outlines(const struct ocr_map *map, bool marks, ocr_outline_fn fn, void *ctx,
                                struct err *err);

/* sorted [n] by y, then x; n > 0 -> the corners of their hull, clockwise from the top left one,
 * into hull, which has room for n + 1; returns how many. */
size_t task_ocr_hull(const struct ocr_point *sorted, size_t n, struct ocr_point *hull);
/* The smallest rectangle around a hull [n], n >= 3, its corners counted from `first` on, and its
 * shorter side. */
float task_ocr_rect(const struct ocr_point *hull, size_t n, size_t first, struct ocr_quad *out);
/* Its sides moved outwards so that it covers the letters that the map shows the core of, corners
 * rounded: points into out [OCR_ROUND_MAX], returns how many; 0 where nothing is left of it. */
size_t task_ocr_grow(const struct ocr_quad *q, struct ocr_point *out);
/* The mean probability within a rectangle. rows: room for two numbers a row of the map. */
double task_ocr_score(const struct ocr_map *map, const struct ocr_quad *q, int32_t *rows);
/* The same on an outline that has marks and within it. */
double task_ocr_outline_score(const struct ocr_map *map, const struct ocr_outline *o);

float task_ocr_distance(const float a[2], const float b[2]); /* of two points, as numpy's norm() */

/* A box's size as seen from its own side; turned: it stands, and is read downwards. */
struct ocr_crop {
    double perspective[8]; /* image_perspective()'s */
    uint32_t width_px, height_px;
    bool turned;
};
struct ocr_crop task_ocr_crop(const struct task_ocr_box *box);
double task_ocr_crop_ratio(const struct ocr_crop *c); /* width a height, as it is read */
/* Into one of a batch's [3, OCR_LINE_PX, width_px] f32, blue first, zero to its right. ERR_NOMEM.
 */
enum err_code task_ocr_crop_feed(const struct image *im, const struct ocr_crop *c,
                                 uint32_t width_px, float *tensor, struct err *err);

/* The characters that a recogniser tells apart, number 0 being none. */
struct ocr_alphabet {
    char *text; /* one a line, the ends being NUL */
    const char **at;
    size_t n; /* with the one for none and the space at the end */
};
/* text: one character a line; becomes the alphabet's, on failure too. ERR_LIMIT, ERR_NOMEM. */
enum err_code task_ocr_alphabet_init(struct ocr_alphabet *a, char *text, struct err *err);
void task_ocr_alphabet_clear(struct ocr_alphabet *a);
/* steps [n_steps, a->n] f32, any bits -> what they spell. ERR_LIMIT, ERR_NOMEM. */
enum err_code task_ocr_spell(const struct ocr_alphabet *a, const float *steps, size_t n_steps,
                             struct task_ocr_line *out, struct arena *arena, struct err *err);

#endif
