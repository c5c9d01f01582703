#include "infer/prefix.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "infer/infer.h"
#include "infer/proto.h"
#include "sys/file.h"

/* Field numbers of onnx.proto3. */
enum {
    MODEL_IR_VERSION = 1,
    MODEL_GRAPH = 7,
    MODEL_OPSETS = 8,
    MODEL_METADATA = 14,
    OPSET_DOMAIN = 1,
    OPSET_VERSION = 2,
    ENTRY_KEY = 1,
    ENTRY_VALUE = 2,
    GRAPH_NODES = 1,
    GRAPH_INITIALIZERS = 5,
    GRAPH_INPUTS = 11,
    GRAPH_VALUE_INFO = 13,
    NODE_INPUTS = 1,
    NODE_OUTPUTS = 2,
    NODE_OP = 4,
    NODE_ATTRIBUTES = 5,
    ATTRIBUTE_TENSOR = 5,
    ATTRIBUTE_GRAPH = 6,
    ATTRIBUTE_GRAPHS = 11,
    TENSOR_DIMS = 1,
    TENSOR_TYPE = 2,
    TENSOR_INT64S = 7,
    TENSOR_NAME = 8,
    TENSOR_RAW = 9,
    TENSOR_LOCATION = 14,
    VALUE_NAME = 1,
    VALUE_TYPE = 2,
    TYPE_TENSOR = 1,
    TYPE_ELEMENTS = 1,
    TYPE_SHAPE = 2,
    SHAPE_DIMS = 1,
    DIM_VALUE = 1,
    DIM_PARAM = 2,
};
enum { ELEMENTS_INT32 = 6, ELEMENTS_INT64 = 7 };
enum { IR_VERSION_MIN = 4 };     /* before, constants are inputs as well */
enum { OPSET_VERSION_MIN = 10 }; /* before, a Slice's bounds are attributes */

/* ---- a network's constants ---- */

struct tensor {
    uint64_t type, dims[INFER_PREFIX_AXES_MAX];
    size_t n_dims; /* may be more than INFER_PREFIX_AXES_MAX, and dims is a part of them then */
    struct proto_span ints; /* of i64, as they are in a file */
    bool is_packed;         /* ints are varints, else 8 bytes each */
    bool is_elsewhere;
};

static void add_dim(struct tensor *t, uint64_t dim)
{
    if (t->n_dims < INFER_PREFIX_AXES_MAX)
        t->dims[t->n_dims] = dim;
    t->n_dims++;
}

static bool read_tensor(struct proto_span s, struct tensor *t)
{
    struct proto_field f;
    *t = (struct tensor){ 0 };
    while (proto_take_field(&s, &f)) {
        uint64_t dim;
        if (proto_is_varint(&f, TENSOR_DIMS))
            add_dim(t, f.value);
        while (proto_is_bytes(&f, TENSOR_DIMS) && proto_take_varint(&f.body, &dim))
            add_dim(t, dim);
        if (proto_is_varint(&f, TENSOR_TYPE))
            t->type = f.value;
        if (proto_is_varint(&f, TENSOR_LOCATION))
            t->is_elsewhere = f.value != 0;
        if (proto_is_bytes(&f, TENSOR_INT64S) || proto_is_bytes(&f, TENSOR_RAW)) {
            t->ints = f.body;
            t->is_packed = f.number == TENSOR_INT64S;
        }
    }
    return !s.n;
}

static bool take_int(struct proto_span *s, bool is_packed, int64_t *out)
{
    uint64_t v;
    struct proto_span raw;
    if (is_packed ? !proto_take_varint(s, &v) : !proto_take(s, sizeof v, &raw))
        return false;
    if (!is_packed)
        memcpy(&v, raw.p, sizeof v);
    *out = (int64_t)v;
    return true;
}

/* ---- the network ---- */

struct graph {
    struct proto_span all;
    struct proto_span input; /* its name */
    uint64_t elements, length;
};

/* A constant is an initializer, or the tensor of a Constant node. */
struct constant {
    struct proto_span name, tensor;
};

static bool as_constant(const struct proto_field *f, struct constant *c)
{
    if (proto_is_bytes(f, GRAPH_INITIALIZERS)) {
        *c = (struct constant){ proto_find(f->body, TENSOR_NAME), f->body };
        return true;
    }
    if (!proto_is_bytes(f, GRAPH_NODES) || !proto_is(proto_find(f->body, NODE_OP), "Constant"))
        return false;
    *c = (struct constant){ proto_find(f->body, NODE_OUTPUTS),
                            proto_find(proto_find(f->body, NODE_ATTRIBUTES), ATTRIBUTE_TENSOR) };
    return c->tensor.p;
}

/* Is it the second input of a Reshape? */
static bool is_shape(const struct graph *g, struct proto_span name)
{
    struct proto_span rest = g->all;
    struct proto_field f, in;
    while (proto_take_field(&rest, &f)) {
        if (!proto_is_bytes(&f, GRAPH_NODES) || !proto_is(proto_find(f.body, NODE_OP), "Reshape"))
            continue;
        for (size_t i = 0; proto_take_field(&f.body, &in);)
            if (proto_is_bytes(&in, NODE_INPUTS) && i++ == 1 && proto_same(in.body, name))
                return true;
    }
    return false;
}

/* May its numbers be a shape of which the length is one, and can be what is left to be inferred? */
static bool may_be_open_shape(const struct graph *g, const struct tensor *t)
{
    size_t n_lengths = 0;
    struct proto_span rest = t->ints;
    if (t->type != ELEMENTS_INT64 || t->n_dims != 1 || t->dims[0] > 2 * INFER_DIMS_MAX)
        return false;
    for (int64_t v; take_int(&rest, t->is_packed, &v);) {
        if (v == -1)
            return false;
        n_lengths += (uint64_t)v == g->length;
    }
    return n_lengths == 1;
}

/* As bits, which of its axes are as long as a row. */
static unsigned long_axes(const struct graph *g, const struct tensor *t)
{
    unsigned axes = 0;
    const size_t n = t->n_dims <= INFER_PREFIX_AXES_MAX ? t->n_dims : 0;
    for (size_t i = 0; i < n; i++)
        axes |= (unsigned)(t->dims[i] == g->length) << i;
    return axes;
}

static bool is_changed(const struct graph *g, const struct proto_field *f, struct constant *c,
                       struct tensor *t, unsigned *axes)
{
    if (!as_constant(f, c) || !read_tensor(c->tensor, t))
        return false;
    *axes = long_axes(g, t);
    return *axes || (may_be_open_shape(g, t) && is_shape(g, c->name));
}

static enum err_code read_input(struct graph *g, struct proto_span value, struct err *err)
{
    const struct proto_span type = proto_find(proto_find(value, VALUE_TYPE), TYPE_TENSOR);
    struct proto_span rest = type, dims = proto_find(type, TYPE_SHAPE);
    struct proto_field f, d;
    size_t n = 0;
    g->input = proto_find(value, VALUE_NAME);
    while (proto_take_field(&rest, &f))
        if (proto_is_varint(&f, TYPE_ELEMENTS))
            g->elements = f.value;
    for (; proto_take_field(&dims, &f); n++)
        if (proto_is_bytes(&f, SHAPE_DIMS) && n == 1 && proto_take_field(&f.body, &d) &&
            proto_is_varint(&d, DIM_VALUE))
            g->length = d.value;
    if (n != 2 || g->length < 2 || g->length > INT32_MAX ||
        (g->elements != ELEMENTS_INT32 && g->elements != ELEMENTS_INT64))
        return err_set(err, ERR_UNSUPPORTED, "its input is not a row of ids of fixed length");
    return ERR_NONE;
}

static enum err_code check_node(struct proto_span node, size_t *n_fields, struct err *err)
{
    struct proto_field f, a;
    for (; proto_take_field(&node, &f); ++*n_fields)
        while (proto_is_bytes(&f, NODE_ATTRIBUTES) && proto_take_field(&f.body, &a))
            if (proto_is_bytes(&a, ATTRIBUTE_GRAPH) || proto_is_bytes(&a, ATTRIBUTE_GRAPHS))
                return err_set(err, ERR_UNSUPPORTED, "it has graphs within it");
    return ERR_NONE;
}

static enum err_code read_graph(struct graph *g, struct err *err)
{
    struct proto_span rest = g->all;
    struct proto_field f;
    struct tensor t;
    size_t n_inputs = 0, n_fields = 0, n_masks = 0, n_shapes = 0;
    enum err_code rc = ERR_NONE;
    for (; rc == ERR_NONE && proto_take_field(&rest, &f); n_fields++) {
        if (proto_is_bytes(&f, GRAPH_INPUTS) && !n_inputs++)
            rc = read_input(g, f.body, err);
        if (proto_is_bytes(&f, GRAPH_NODES))
            rc = check_node(f.body, &n_fields, err);
    }
    if (rc != ERR_NONE)
        return rc;
    if (rest.n)
        return err_set(err, ERR_CORRUPT, "not an ONNX file");
    if (n_inputs != 1)
        return err_set(err, ERR_UNSUPPORTED, "it has %zu inputs", n_inputs);
    if (n_fields > INFER_PREFIX_FIELDS_MAX)
        return err_set(err, ERR_LIMIT, "it is of %zu parts, the limit is %d", n_fields,
                       INFER_PREFIX_FIELDS_MAX);
    for (rest = g->all; proto_take_field(&rest, &f);) {
        struct constant c;
        if (!as_constant(&f, &c))
            continue;
        if (!read_tensor(c.tensor, &t))
            return err_set(err, ERR_CORRUPT, "not an ONNX file");
        if (t.is_elsewhere)
            return err_set(err, ERR_UNSUPPORTED, "weights lie in another file");
        n_masks += __builtin_popcount(long_axes(g, &t)) == 2;
        n_shapes += may_be_open_shape(g, &t);
    }
    if (n_shapes > INFER_PREFIX_SHAPES_MAX)
        return err_set(err, ERR_LIMIT, "%zu shapes have its input's length in them", n_shapes);
    return n_masks ? ERR_NONE : err_set(err, ERR_UNSUPPORTED, "no mask keeps what comes later out");
}

/* ---- what is new in it ---- */

#define OURS "fovea/"

static void put_node(struct proto_writer *w, const char *op, const struct proto_span *inputs,
                     size_t n, struct proto_span output)
{
    struct proto_writer node = { 0 };
    for (size_t i = 0; i < n; i++)
        proto_put_bytes(&node, NODE_INPUTS, inputs[i].p, inputs[i].n);
    proto_put_bytes(&node, NODE_OUTPUTS, output.p, output.n);
    proto_put_text(&node, NODE_OP, op);
    proto_put_message(w, GRAPH_NODES, &node);
}

/* OURS "0" is the constant [0], and so on. */
static const char *number_name(unsigned i)
{
    static const char *const names[] = { OURS "0", OURS "1", OURS "2", OURS "3" };
    return names[i];
}

static void put_numbers(struct proto_writer *w)
{
    for (unsigned i = 0; i < INFER_PREFIX_AXES_MAX; i++) {
        struct proto_writer t = { 0 };
        const uint8_t raw[8] = { (uint8_t)i };
        proto_put_int(&t, TENSOR_DIMS, 1);
        proto_put_int(&t, TENSOR_TYPE, ELEMENTS_INT64);
        proto_put_text(&t, TENSOR_NAME, number_name(i));
        proto_put_bytes(&t, TENSOR_RAW, raw, sizeof raw);
        proto_put_message(w, GRAPH_INITIALIZERS, &t);
    }
}

/* The input with a name in the place of its length, and that length as a number to compute with. */
static void put_input(struct proto_writer *w, const struct graph *g)
{
    struct proto_writer value = { 0 }, type = { 0 }, tensor = { 0 }, shape = { 0 }, dim = { 0 };
    proto_put_int(&dim, DIM_VALUE, 1);
    proto_put_message(&shape, SHAPE_DIMS, &dim);
    proto_put_text(&dim, DIM_PARAM, OURS "length");
    proto_put_message(&shape, SHAPE_DIMS, &dim);
    proto_put_int(&tensor, TYPE_ELEMENTS, g->elements);
    proto_put_message(&tensor, TYPE_SHAPE, &shape);
    proto_put_message(&type, TYPE_TENSOR, &tensor);
    proto_put_bytes(&value, VALUE_NAME, g->input.p, g->input.n);
    proto_put_message(&value, VALUE_TYPE, &type);
    proto_put_message(w, GRAPH_INPUTS, &value);

    put_node(w, "Shape", &g->input, 1, proto_text(OURS "shape"));
    const struct proto_span of[] = { proto_text(OURS "shape"), proto_text(OURS "1"),
                                     proto_text(OURS "2"), proto_text(OURS "0") };
    put_node(w, "Slice", of, 4, proto_text(OURS "length"));
}

/* Under another name all of it; what goes by its name is cut along its long axes. */
static void put_cut(struct proto_writer *w, const struct constant *c, unsigned axes)
{
    struct proto_writer t = { 0 }, name = { 0 };
    struct proto_span rest = c->tensor;
    struct proto_field f;
    bool is_named = false;
    while (proto_take_field(&rest, &f))
        if (f.number != TENSOR_NAME)
            proto_put(&t, f.all.p, f.all.n);
    proto_put(&name, OURS, strlen(OURS));
    proto_put(&name, c->name.p, c->name.n);
    for (unsigned i = 0; axes; i++, axes >>= 1) {
        if (!(axes & 1))
            continue;
        const size_t n_from = name.b.len;
        const bool is_last = axes == 1;
        proto_put(&name, "'", 1);
        if (name.rc != ERR_NONE)
            break;
        const uint8_t *p = (const uint8_t *)name.b.data;
        const struct proto_span of[] = { { p, n_from },
                                         proto_text(OURS "0"),
                                         proto_text(OURS "length"),
                                         proto_text(number_name(i)) };
        if (!is_named) {
            proto_put_bytes(&t, TENSOR_NAME, p, n_from);
            proto_put_message(w, GRAPH_INITIALIZERS, &t);
        }
        is_named = true;
        put_node(w, "Slice", of, 4, is_last ? c->name : (struct proto_span){ p, n_from + 1 });
    }
    if (w->rc == ERR_NONE && name.rc != ERR_NONE)
        w->rc = err_set(&w->err, name.rc, "%s", name.err.msg);
    buf_clear(&t.b);
    buf_clear(&name.b);
}

static void put_open_shape(struct proto_writer *w, const struct graph *g, const struct constant *c,
                           const struct tensor *t)
{
    struct proto_writer made = { 0 }, raw = { 0 };
    struct proto_span rest = t->ints;
    uint64_t n = 0;
    for (int64_t v; take_int(&rest, t->is_packed, &v); n++) {
        uint64_t u = (uint64_t)v == g->length ? UINT64_MAX : (uint64_t)v; /* -1: to be inferred */
        proto_put(&raw, &u, sizeof u);
    }
    proto_put_int(&made, TENSOR_DIMS, n);
    proto_put_int(&made, TENSOR_TYPE, ELEMENTS_INT64);
    proto_put_bytes(&made, TENSOR_NAME, c->name.p, c->name.n);
    proto_put_message(&made, TENSOR_RAW, &raw);
    proto_put_message(w, GRAPH_INITIALIZERS, &made);
}

static void put_changed(struct proto_writer *w, const struct graph *g)
{
    struct proto_span rest = g->all;
    struct proto_field f;
    put_numbers(w);
    put_input(w, g);
    while (proto_take_field(&rest, &f) && w->rc == ERR_NONE) {
        struct constant c;
        struct tensor t;
        unsigned axes;
        if (!is_changed(g, &f, &c, &t, &axes))
            continue;
        if (axes)
            put_cut(w, &c, axes);
        else
            put_open_shape(w, g, &c, &t);
    }
}

/* ---- the file ---- */

static enum err_code write_all(int fd, const void *data, size_t n, struct err *err)
{
    return file_write_all(fd, data, n) ? ERR_NONE
                                       : err_set(err, ERR_IO, "cannot write: %s", strerror(errno));
}

/* What stays of the network: all but what put_changed() has anew, and the shapes of what lies
 * between its nodes. *n: its length; written where fd is one. */
static enum err_code write_unchanged(const struct graph *g, int fd, size_t *n, struct err *err)
{
    struct proto_span rest = g->all, run = { g->all.p, 0 };
    struct proto_field f;
    enum err_code rc = ERR_NONE;
    *n = 0;
    while (proto_take_field(&rest, &f) && rc == ERR_NONE) {
        struct constant c;
        struct tensor t;
        unsigned axes;
        const bool stays = f.number != GRAPH_INPUTS && f.number != GRAPH_VALUE_INFO &&
                           !is_changed(g, &f, &c, &t, &axes);
        if (stays) {
            run.n += f.all.n;
            *n += f.all.n;
            continue;
        }
        if (fd >= 0)
            rc = write_all(fd, run.p, run.n, err);
        run = (struct proto_span){ rest.p, 0 };
    }
    return fd >= 0 && rc == ERR_NONE ? write_all(fd, run.p, run.n, err) : rc;
}

static enum err_code write_graph(int fd, const struct graph *g, struct err *err)
{
    struct proto_writer changed = { 0 }, head = { 0 };
    size_t n_unchanged;
    enum err_code rc = write_unchanged(g, -1, &n_unchanged, err);
    put_changed(&changed, g);
    proto_put_head(&head, MODEL_GRAPH, changed.b.len + n_unchanged);
    if (rc == ERR_NONE && (changed.rc != ERR_NONE || head.rc != ERR_NONE))
        rc = err_set(err, changed.rc != ERR_NONE ? changed.rc : head.rc, "%s%s", changed.err.msg,
                     head.err.msg);
    if (rc == ERR_NONE)
        rc = write_all(fd, head.b.data, head.b.len, err);
    if (rc == ERR_NONE)
        rc = write_all(fd, changed.b.data, changed.b.len, err);
    if (rc == ERR_NONE)
        rc = write_unchanged(g, fd, &n_unchanged, err);
    buf_clear(&changed.b);
    buf_clear(&head.b);
    return rc;
}

static enum err_code write_key(int fd, uint64_t length, struct err *err)
{
    struct proto_writer entry = { 0 }, w = { 0 };
    char digits[24];
    snprintf(digits, sizeof digits, "%" PRIu64, length);
    proto_put_text(&entry, ENTRY_KEY, INFER_PREFIX_KEY);
    proto_put_text(&entry, ENTRY_VALUE, digits);
    proto_put_message(&w, MODEL_METADATA, &entry);
    enum err_code rc = w.rc == ERR_NONE ? write_all(fd, w.b.data, w.b.len, err)
                                        : err_set(err, w.rc, "%s", w.err.msg);
    buf_clear(&w.b);
    return rc;
}

/* The versions of the format and of its operators that all this is about; g->all. */
static enum err_code read_model(struct proto_span model, struct graph *g, struct err *err)
{
    struct proto_field f, o;
    uint64_t ir_version = 0, opset = 0;
    while (proto_take_field(&model, &f)) {
        if (proto_is_varint(&f, MODEL_IR_VERSION))
            ir_version = f.value;
        if (proto_is_bytes(&f, MODEL_GRAPH))
            g->all = f.body;
        if (!proto_is_bytes(&f, MODEL_OPSETS) || proto_find(f.body, OPSET_DOMAIN).n)
            continue;
        while (proto_take_field(&f.body, &o))
            opset = proto_is_varint(&o, OPSET_VERSION) ? o.value : opset;
    }
    if (model.n || !g->all.p)
        return err_set(err, ERR_CORRUPT, "not an ONNX file");
    return ir_version < IR_VERSION_MIN || opset < OPSET_VERSION_MIN
               ? err_set(err, ERR_UNSUPPORTED, "it is of an old version")
               : read_graph(g, err);
}

enum err_code infer_prefix_write(int fd, const void *model, size_t n, struct err *err)
{
    const struct proto_span all = { model, n };
    struct proto_span rest = all;
    struct graph g = { 0 };
    struct proto_field f;
    enum err_code rc = read_model(all, &g, err);
    while (rc == ERR_NONE && proto_take_field(&rest, &f))
        rc = proto_is_bytes(&f, MODEL_GRAPH) ? write_graph(fd, &g, err)
                                             : write_all(fd, f.all.p, f.all.n, err);
    return rc == ERR_NONE ? write_key(fd, g.length, err) : rc;
}
