/* json_tree.h - what a struct json is: for json_parse.c and json.c alone.
 *
 * 16 bytes a value, since a tokenizer.json holds two million of them. */
#ifndef FOVEA_BASE_JSON_TREE_H
#define FOVEA_BASE_JSON_TREE_H

#include "base/json.h"

enum json_kind {
    JSON_NULL,
    JSON_FALSE,
    JSON_TRUE,
    JSON_INTEGER,
    JSON_REAL,
    JSON_STRING,
    JSON_ARRAY,
    JSON_OBJECT
};

struct json {
    enum json_kind kind;
    uint32_t n; /* bytes of a string, values of an array, members of an object */
    union {
        const char *string; /* and a NUL */
        int64_t integer;
        double real;
        const struct json *items; /* [n], of an object [2 n]: key, value, key, ... */
    };
};

#endif
