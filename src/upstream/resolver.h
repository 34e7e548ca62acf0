/* Names to addresses without ever blocking a worker: numeric hosts at once, names by getaddrinfo on a
 * thread of its own, started with the first name. Answers are kept for a while; a stale one serves
 * while it is renewed, and for as long as renewing fails. One per worker; its thread calls. */
#ifndef UPSTREAM_RESOLVER_H
#define UPSTREAM_RESOLVER_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

struct loop;
struct resolver;

#define RESOLVER_ADDRESSES 8
#define RESOLVER_FRESH INT64_C(10000000) /* microseconds that an answer counts as new */
#define RESOLVER_FAILED INT64_C(1000000) /* ... and that a failure does */

struct addresses {
	struct sockaddr_storage a[RESOLVER_ADDRESSES]; /* without ports */
	size_t n;
};

/* Embedded by who waits. */
struct resolver_wait {
	struct resolver_wait *next;
	/* OK with addresses (valid until it returns), or E_UPSTREAM_FAILED. */
	void (*cb)(struct resolver_wait *w, enum err e, const struct addresses *as);
};

enum err resolver_new(struct loop *loop, struct resolver **out);
/* Waits for a lookup that is under way. Nobody may wait any more. */
void resolver_free(struct resolver *r);
/* w->cb comes before this returns when the answer is known. */
void resolver_lookup(struct resolver *r, struct str host, struct resolver_wait *w);
/* w->cb will not come. Harmless when w does not wait. */
void resolver_cancel(struct resolver *r, struct resolver_wait *w);

#endif
