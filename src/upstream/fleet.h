/* What the whole process knows of its nodes: a record for each node (circuit breaker, health) and one for
 * each shard (retry budget). A node is a URL, in however many shards it stands; as the target of node
 * administration it has a record of its own.
 *
 * Workers and the prober hold references and touch nothing of a record but its atomics. Only to find, make
 * or let go of one is a mutex taken, for a few instructions: when a worker calls a node for the first time,
 * never with a call. Any thread. */
#ifndef UPSTREAM_FLEET_H
#define UPSTREAM_FLEET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"
#include "routing/table.h"
#include "upstream/breaker.h"

struct budget;
struct fleet;
struct target;

/* What active checks say. */
enum health { HEALTH_UNKNOWN, HEALTH_UP, HEALTH_DOWN };
const char *health_name(enum health h); /* "unknown", "up", "down" */

struct fleet_node {
	struct fleet_node *chain;
	uint64_t hash;
	unsigned refs; /* under the fleet's mutex */
	bool admin;
	struct str url; /* owned; ends in NUL */
	struct breaker breaker;
	_Atomic int health;    /* enum health; calls go to no node that is down */
	_Atomic int64_t since; /* wall, when it last changed */
	_Atomic int reason;    /* down: enum err of the check; OK: the node itself said so */
	_Atomic bool gone;     /* routing no longer names it */
	struct target *target; /* the prober's, on its thread alone */
};

enum err fleet_new(struct fleet **out);
/* All references have been let go. */
void fleet_free(struct fleet *f);

/* References; NULL: out of memory. */
struct fleet_node *fleet_node_get(struct fleet *f, struct str url, bool admin);
void fleet_node_put(struct fleet *f, struct fleet_node *n); /* NULL allowed */
struct budget *fleet_budget_get(struct fleet *f, enum route_kind kind, struct str shard);
void fleet_budget_put(struct fleet *f, struct budget *b);

static inline enum health fleet_node_health(const struct fleet_node *n)
{
	return (enum health)atomic_load_explicit(&n->health, memory_order_relaxed);
}

/* For an operator: the sum over all nodes that routing names; `each` is called, under the mutex, for at most
 * `max` of those that are down or whose circuit is not closed. */
struct fleet_summary {
	size_t nodes, unwell;
	size_t health[3];                 /* by enum health */
	size_t circuit[BREAKER__STATES];  /* by enum breaker_state */
};
typedef void fleet_unwell(void *arg, const struct fleet_node *n);
void fleet_summarise(struct fleet *f, size_t max, fleet_unwell *each, void *arg, struct fleet_summary *out);

#endif
