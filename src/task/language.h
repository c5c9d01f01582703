/* language.h - private to task/. */
#ifndef FOVEA_TASK_LANGUAGE_H
#define FOVEA_TASK_LANGUAGE_H

/* FLORES-200's code of a language as Immich calls it ("de", "pt-BR"): that of the whole, else of
 * what is before the first '-', else English's, and one line in the log. */
const char *task_flores_code(const char *language);

#endif
