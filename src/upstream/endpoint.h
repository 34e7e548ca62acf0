/* One node as one worker sees it: how to reach it, its connections, the calls that wait for one. And the
 * shard that it belongs to: the choice among endpoints. What all workers share of the two is the fleet's:
 * circuit breaker, health, retry budget. Shards and endpoints that routing no longer names go (shards_sweep),
 * and so does an endpoint that nobody has called for long. Worker thread, but for what is atomic. */
#ifndef UPSTREAM_ENDPOINT_H
#define UPSTREAM_ENDPOINT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "routing/table.h"
#include "upstream/breaker.h"
#include "upstream/stats.h"

struct budget;
struct endpoint;
struct fleet_node;
struct upstream;
struct upstream_call;
struct wire;

/* A protocol: how calls ride on connections. */
struct carrier {
	/* Puts the call on a connection that has room; false: there is none. The call may have ended,
	 * or moved on to another endpoint, when it returns true. */
	bool (*send)(struct endpoint *ep, struct upstream_call *call);
	/* Takes a connected wire, whoever connected it. */
	void (*adopt)(struct endpoint *ep, struct wire w);
	/* Takes the call off its connection, which may cost the connection. */
	void (*drop)(struct upstream_call *call);
	/* There is more of the call's source, or its end. */
	void (*source)(struct upstream_call *call);
	/* The call's sink has room again. */
	void (*resume)(struct upstream_call *call);
	/* Closes connections idle since before `before` (INT64_MAX: all connections, calls or none). */
	void (*sweep)(struct endpoint *ep, int64_t before);
};

struct endpoint {
	_Atomic(struct endpoint *) next; /* in the shard */
	struct shard *shard;
	struct upstream *u;
	struct str url; /* owned, as are the two below */
	struct str host, base;
	struct str authority; /* Host or :authority */
	uint16_t port;
	bool admin, tls, h2;
	unsigned weight;
	const struct carrier *carrier;

	struct fleet_node *node; /* a reference */
	struct breaker_share share;
	unsigned outstanding; /* calls that were given to it and have not ended */
	int current;          /* smooth weighted round robin */
	int64_t called;       /* last; loop time */
	int64_t left;         /* when a call last left it */
	int64_t silent_since; /* it has been asked again and again, and never answered; 0: it has */

	void *conns, *idle;   /* lists, the carrier's */
	size_t nconns;
	struct dialling *dials;
	size_t ndials;
	struct upstream_call *first, *last; /* calls that wait for a connection */
	size_t waiting;

	_Atomic uint64_t open_conns; /* for the scrape */
};

struct shard {
	_Atomic(struct shard *) next; /* of all; newest first */
	struct shard *prev;
	struct shard *chain;          /* hash bucket */
	struct upstream *u;
	uint32_t hash;
	enum route_kind kind;
	struct str name;
	_Atomic(struct endpoint *) endpoints;
	struct budget *budget; /* a reference */
	int64_t earned;        /* for it, by this worker */
	struct stats stats;
};

/* The shard's record, made when it is new. NULL: out of memory. */
struct shard *shard_get(struct upstream *u, enum route_kind kind, struct str name);
/* The best endpoint of those that `rs` names and that speak what is asked for: not down, circuit closed,
 * least outstanding by weight, in turn. Node administration goes to nodes that are down, too. `avoid` (may
 * be NULL) only when there is no other. NULL when there is none: *e is E_SHARD_UNAVAILABLE (all are down or
 * broken), E_BAD_REQUEST (none speaks it) or E_NOMEM. */
struct endpoint *shard_pick(struct shard *s, const struct route_shard *rs, bool grpc, bool admin,
    const struct endpoint *avoid, int64_t now, enum err *e);
/* Closes connections that have been idle since before `before`, and forgets endpoints and shards that are of
 * no use any more. Goes through some of the shards at a time; true: through the last of them. */
bool shards_sweep(struct upstream *u, int64_t before);
/* Frees the shard and its endpoints, which have no calls any more. Not while somebody reads the counters. */
void shard_free(struct shard *s);
void shards_free(struct upstream *u);

/* Sends the call on a connection, or lets it wait for one. */
void endpoint_start(struct endpoint *ep, struct upstream_call *call);
/* The call, which waits, no longer does. */
void endpoint_unwait(struct endpoint *ep, struct upstream_call *call);
/* A connection has room (again): those who wait may go. */
void endpoint_vacant(struct endpoint *ep);
/* Connections come and go. */
void endpoint_opened(struct endpoint *ep);
void endpoint_closed(struct endpoint *ep);
/* Ends dials and closes connections. */
void endpoint_close(struct endpoint *ep);

#endif
