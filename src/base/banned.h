/* banned.h - functions that cannot be used safely do not compile. Forced into every file of src/ by
 * the build (-include), after the idea of git's banned.h. */
#ifndef FOVEA_BASE_BANNED_H
#define FOVEA_BASE_BANNED_H

#include <stdio.h> /* before the poison, so that the system's own declarations still parse */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#pragma GCC poison strcpy strcat strncpy strncat sprintf vsprintf gets
#pragma GCC poison atoi atol atof /* no way to see an error: str.h parses */
#pragma GCC poison asctime ctime localtime gmtime strtok

#endif
