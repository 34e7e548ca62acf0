/* Finding the operation of a method and a raw path. Pure; the table is constant. Any thread. */
#ifndef API_MATCH_H
#define API_MATCH_H

#include "base/err.h"
#include "request/op.h"
#include "base/str.h"

struct arena;

struct match {
	const struct op *op;          /* NULL: see err */
	struct str param[OP_PARAMS];  /* percent-decoded, in the arena */
	unsigned allow;               /* bit per method that the path has on this listener */
};

/* OK, E_NOT_FOUND, E_METHOD_NOT_ALLOWED, E_BAD_REQUEST (a path that is broken: bad percent-encoding,
 * "." or ".." segments, NUL, not UTF-8), E_NOMEM. HEAD finds GET. A "%2F" stays inside its
 * segment. */
enum err match_op(unsigned listener, struct str method, struct str path, struct arena *a,
    struct match *out);
/* The methods that any path has on this listener, as `allow`. */
unsigned match_methods(unsigned listener);
/* "GET, HEAD, OPTIONS" in the arena; .p NULL when out of memory. */
struct str match_allow(unsigned allow, struct arena *a);

#endif
