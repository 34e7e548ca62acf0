/* The node's memory: for each (tenant, aggregate type, aggregate id) the events in order, and for
 * each command id the event it made. One lock; any thread. Apart from its link an event never
 * changes or goes away once it is in, so reading it needs no lock. */
#ifndef NODE_LEDGER_H
#define NODE_LEDGER_H

#include "problem.h"
#include "uuid.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct event {
	char id[UUID_TEXT], at[TIME_TEXT];
	uint64_t version;
	struct event *next; /* in the same tenant; read under the ledger's lock */
	size_t payload_len;
	char *payload; /* JSON text */
	char *command_id, *type, *aggregate_type, *aggregate_id;
};

/* A command as both protocols deliver it; the texts belong to the caller. */
struct command {
	const char *tenant, *command_id, *aggregate_type, *aggregate_id, *command_type;
	const char *payload;
	size_t payload_len;
	bool has_expected_version;
	uint64_t expected_version;
};

/* Appends the command's event, or finds the one that the same command id made before (*replayed).
 * An empty command_id is given a new one. */
enum problem ledger_submit(const struct command *c, const struct event **event, bool *replayed,
                           struct verdict *v);

/* The tenant's events that match, oldest first, at most limit of them: NULL matches everything.
 * The caller owns the JSON array. */
json_t *ledger_read(const char *tenant, const char *aggregate_type, const char *aggregate_id,
                    size_t limit);

/* {event_id,event_type,version,payload,occurred_at}; the caller owns it. */
json_t *event_json(const struct event *e);

#endif
