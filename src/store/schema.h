/* schema.h - the schema steps, built from schema/NNNN_*.sql in the order of their numbers. */
#ifndef FOVEA_STORE_SCHEMA_H
#define FOVEA_STORE_SCHEMA_H

#include <stddef.h>

extern const char *const store_schema_steps[];
extern const size_t store_n_schema_steps;

#endif
