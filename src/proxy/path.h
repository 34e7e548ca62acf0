/* Paths on nodes, written anew from what was decided on, so that a node sees the very names that were
 * authorized. Pure functions: any thread. */
#ifndef PROXY_PATH_H
#define PROXY_PATH_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/str.h"

/* "/a/b" and up to two segments, percent-encoded (RFC 3986, 2.3: all but the unreserved). .p NULL: out
 * of memory. An empty second segment is left out. */
struct str path_join(struct arena *a, struct str prefix, struct str first, struct str second);
/* Whether a raw path has an empty, "." or ".." segment, plain or encoded, or an encoded slash. */
bool path_is_devious(struct str raw);

#endif
