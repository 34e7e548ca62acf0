/* What the node knows of each tenant for rebalancing: whether it still takes commands, and how many
 * are under way. One lock; any thread. A tenant springs into being when it is first named. */
#ifndef NODE_TENANT_H
#define NODE_TENANT_H

#include <jansson.h>
#include <stdbool.h>

struct tenant;

/* Counts a command in; NULL while the tenant drains. */
struct tenant *tenant_enter(const char *name);
/* Counts it out, when its answer has been handed to the connection or can't be any more. */
void tenant_leave(struct tenant *t);
void tenant_drain(const char *name, bool draining);
/* The node admin status as the gateway's rebalancing gates read it; caller owns the JSON. */
json_t *tenant_status(const char *name);
/* Sets lag, checkpoint_stable, snapshot_available from the members given, so that a test can hold a
 * gate closed; false when a member is unknown or of the wrong type. */
bool tenant_pretend(const char *name, json_t *members);

#endif
