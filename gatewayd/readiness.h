/* Whether the gateway is fit for traffic, and what speaks against it. Flags that any thread reads; the main
 * thread looks after them. */
#ifndef GATEWAYD_READINESS_H
#define GATEWAYD_READINESS_H

#include <stdbool.h>
#include <stdint.h>

struct store;

struct readiness {
	_Atomic bool fresh;    /* state is: decisions may be made by it */
	_Atomic bool writable; /* the store is, as far as one can tell */
	_Atomic bool draining;
};

/* Several times a second. age: of the state, microseconds; past `most` it is stale. Says in the log what has
 * changed. */
void readiness_tick(struct readiness *r, struct store *s, int64_t age, int64_t most);
/* The name of the check that fails, for /ready; NULL: ready. */
const char *readiness_failing(const struct readiness *r);

#endif
