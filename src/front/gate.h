/* How many requests may be under way in the process (limits.requests).
 *
 * The leave for them is one number that all workers share. A worker takes some of it at a time and keeps a
 * little, so that a request mostly touches nothing that another thread touches. The limit is never passed; at
 * most a sixteenth of it may lie unused with other workers when one is refused. */
#ifndef FRONT_GATE_H
#define FRONT_GATE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct gate;

/* Of one worker; zero but for `gate`. One thread: the worker's. */
struct gate_share {
	struct gate *gate;
	size_t kept;   /* leave that no request uses */
	size_t inside; /* requests */
};

/* max 0: no limit. workers: how many shares there will be. */
enum err gate_new(size_t max, size_t workers, struct gate **out);
void gate_free(struct gate *g); /* NULL allowed */
/* Another limit, from now on; those that are inside stay. Any thread. */
void gate_set(struct gate *g, size_t max);

/* False: there are too many. */
bool gate_enter(struct gate_share *s);
/* Once for each gate_enter that was true. */
void gate_leave(struct gate_share *s);

#endif
