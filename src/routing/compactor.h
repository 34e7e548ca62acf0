/* Keeps the way to the newest revision short: when the patches since the last whole document have grown
 * long, a thread of its own lays a whole one beside the newest revision. It runs with the lowest
 * priority, in nobody's way: no change waits for it, and without it only starts grow slower. Any
 * number of replicas may do it at once. Offering: any thread. */
#ifndef ROUTING_COMPACTOR_H
#define ROUTING_COMPACTOR_H

#include "base/err.h"

struct route_compactor;
struct route_table;
struct store;

/* Starts the thread; the store outlives it. */
enum err route_compactor_new(struct store *s, struct route_compactor **out);
/* Waits for a write under way. NULL is allowed. */
void route_compactor_free(struct route_compactor *c);
/* Says that this table is in force now. Takes a reference when there is something to do, and never
 * waits. */
void route_compactor_offer(struct route_compactor *c, struct route_table *t);

#endif
