/* upkeep.h - a library that is there, opened to be put in order. Internal to library/. */
#ifndef FOVEA_LIBRARY_UPKEEP_H
#define FOVEA_LIBRARY_UPKEEP_H

#include "store/store.h"

/* For writing, but only one that is there: to look at a folder must not make a library of it. */
enum err_code upkeep_open(struct store **s, const char *dir, struct err *err);

#endif
