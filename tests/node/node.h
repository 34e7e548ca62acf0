/* What the node does with a call, whichever protocol brought it: commands go to the ledger, queries
 * read it. Knows no sockets. Any thread. */
#ifndef NODE_NODE_H
#define NODE_NODE_H

#include "bytes.h"
#include "ledger.h"

#include <jansson.h>

struct tenant;

/* The name given by --name; echoed so that a test sees which of several nodes answered. */
extern const char *node_name;

/* The outcome of a command: the event, or the verdict. */
struct outcome {
	struct verdict verdict;
	const struct event *event;
	struct tenant
		*in_flight; /* tenant_leave when the answer is out; NULL when never counted in */
	unsigned delay_ms;  /* metadata "node_delay_ms": hold the answer for so long */
	bool lose_answer;   /* metadata "node_lose_answer": close instead of answering, once */
};

/* Runs the command. metadata is borrowed: it may order a slow or a lost answer (see above). */
void node_command(const struct command *c, json_t *metadata, struct outcome *o);

/* A query over the events: {aggregate_type?,aggregate_id?,limit?} gives
 * {view_type,tenant,items,count}. The caller owns the JSON; NULL with the verdict when the filter
 * is wrong. */
json_t *node_query(const char *tenant, const char *view_type, json_t *filter, struct verdict *v);

/* The tenant of a call from the values of the headers that may carry it (either may be empty). */
enum problem node_tenant(struct slice x_tenant, struct slice x_auth_tenant, char out[64],
                         struct verdict *v);

/* Header bytes as JSON text: UTF-8 as it is, anything else read as Latin-1. The caller owns it. */
json_t *node_text(struct slice s);

#endif
