/* portable.h - the words of an exported library, shared by the one that writes and the one that
 * reads. docs/export.md describes the format. Internal to library/. */
#ifndef FOVEA_LIBRARY_PORTABLE_H
#define FOVEA_LIBRARY_PORTABLE_H

#define PORTABLE_FILE "library.jsonl"
#define PORTABLE_VERSION 1
/* A line holds a path and an error at most; the bound is for what somebody else wrote. */
#define PORTABLE_LINE_MAX ((size_t)1 << 20)

#endif
