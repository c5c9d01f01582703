/* prefix.h - a network that reads a row of fixed length, made one that takes a row's beginning.
 * Private to infer/.
 *
 * Exports write the length of a text (77 for CLIP) into a network as numbers: the shape of its
 * input, the positions' vectors, the attention masks, the shapes of Reshape nodes. Here each
 * constant with an axis of that length becomes a Slice of it by the length of what comes in, and
 * each such shape is left to be inferred. That is a guess about what the numbers mean; whoever
 * asks for it compares what comes out (infer.h).
 */
#ifndef FOVEA_INFER_PREFIX_H
#define FOVEA_INFER_PREFIX_H

#include <stddef.h>

#include "base/err.h"

enum {
    INFER_PREFIX_FIELDS_MAX = 200000, /* of the graph and its nodes; 24 layers have 20000 */
    INFER_PREFIX_SHAPES_MAX = 400,    /* each is looked for among them */
    INFER_PREFIX_AXES_MAX = 4,
};

/* model[0 .. n) is an ONNX file with one input, i32 or i64 [any, length]. The other form is written
 * to fd, from its offset on; it says INFER_PREFIX_KEY of itself. ERR_UNSUPPORTED: it has another
 * signature, parts this does not look into, or no attention mask of that length; ERR_CORRUPT: it is
 * none; ERR_LIMIT, ERR_NOMEM, ERR_IO. */
enum err_code infer_prefix_write(int fd, const void *model, size_t n, struct err *err);

#endif
