#include "ledger.h"

#include "bytes.h"
#include "dict.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* No header value and no JSON key carries this byte, so joined keys can't run into each other. */
#define JOIN "\x1f"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct dict aggregates; /* tenant, type, id → struct history */
static struct dict histories;  /* tenant → struct history */
static struct dict commands;   /* tenant, command id → struct event */

struct history {
	struct event *first, *last; /* an aggregate's history keeps only last */
};

static char *copy(const char *text)
{
	return slice_dup((struct slice){ text, strlen(text) });
}

static struct history *history_of(struct dict *d, const char *key)
{
	struct history *h = dict_get(d, key);

	if (h)
		return h;
	h = calloc(1, sizeof *h);
	if (!h)
		abort();
	dict_add(d, key, h);
	return h;
}

static struct event *event_new(const struct command *c, const char *command_id)
{
	struct event *e = calloc(1, sizeof *e);

	if (!e)
		abort();
	uuid_make(e->id);
	time_text(e->at);
	e->command_id = copy(command_id);
	e->type = copy(c->command_type);
	e->aggregate_type = copy(c->aggregate_type);
	e->aggregate_id = copy(c->aggregate_id);
	e->payload = slice_dup((struct slice){ c->payload, c->payload_len });
	e->payload_len = c->payload_len;
	return e;
}

static enum problem replay(const struct command *c, const struct event *e, struct verdict *v)
{
	if (!strcmp(c->aggregate_type, e->aggregate_type) &&
	    !strcmp(c->aggregate_id, e->aggregate_id) && !strcmp(c->command_type, e->type))
		return PROBLEM_NONE;
	return verdict_set(v, PROBLEM_COMMAND_REUSED,
	                   "command_id was used before for %s %s on %s, with another content",
	                   e->type, e->aggregate_type, e->aggregate_id);
}

static enum problem append(const struct command *c, struct history *aggregate,
                           const char *command_id, const struct event **event, struct verdict *v)
{
	uint64_t version = aggregate->last ? aggregate->last->version : 0;
	struct history *all;
	struct event *e;

	if (c->has_expected_version && c->expected_version != version)
		return verdict_set(v, PROBLEM_VERSION,
		                   "expected version %" PRIu64 ", the aggregate is at %" PRIu64,
		                   c->expected_version, version);
	e = event_new(c, command_id);
	all = history_of(&histories, c->tenant);
	e->version = version + 1;
	if (all->last)
		all->last->next = e;
	else
		all->first = e;
	aggregate->last = all->last = e;
	*event = e;
	return PROBLEM_NONE;
}

enum problem ledger_submit(const struct command *c, const struct event **event, bool *replayed,
                           struct verdict *v)
{
	struct bytes command_key = { 0 }, aggregate_key = { 0 };
	char made[UUID_TEXT];
	const char *id = c->command_id;
	enum problem problem;

	if (!*id) {
		uuid_make(made);
		id = made;
	}
	bytes_addf(&command_key, "%s" JOIN "%s", c->tenant, id);
	bytes_addf(&aggregate_key, "%s" JOIN "%s" JOIN "%s", c->tenant, c->aggregate_type,
	           c->aggregate_id);
	pthread_mutex_lock(&lock);
	*event = dict_get(&commands, command_key.data);
	*replayed = *event != NULL;
	if (*event) {
		problem = replay(c, *event, v);
	} else {
		problem = append(c, history_of(&aggregates, aggregate_key.data), id, event, v);
		if (!problem)
			dict_add(&commands, command_key.data, (void *)*event);
	}
	pthread_mutex_unlock(&lock);
	bytes_release(&command_key);
	bytes_release(&aggregate_key);
	return problem;
}

json_t *event_json(const struct event *e)
{
	return json_pack("{s:s,s:s,s:I,s:o,s:s}", "event_id", e->id, "event_type", e->type,
	                 "version", (json_int_t)e->version, "payload",
	                 json_loadb(e->payload, e->payload_len, JSON_DECODE_ANY, NULL),
	                 "occurred_at", e->at);
}

static bool matches(const struct event *e, const char *aggregate_type, const char *aggregate_id)
{
	return (!aggregate_type || !strcmp(aggregate_type, e->aggregate_type)) &&
	       (!aggregate_id || !strcmp(aggregate_id, e->aggregate_id));
}

static json_t *item_json(const struct event *e)
{
	json_t *item = event_json(e);

	json_object_set_new(item, "aggregate_type", json_string(e->aggregate_type));
	json_object_set_new(item, "aggregate_id", json_string(e->aggregate_id));
	json_object_set_new(item, "command_id", json_string(e->command_id));
	return item;
}

json_t *ledger_read(const char *tenant, const char *aggregate_type, const char *aggregate_id,
                    size_t limit)
{
	json_t *items = json_array();
	const struct history *h;

	pthread_mutex_lock(&lock);
	h = dict_get(&histories, tenant);
	for (const struct event *e = h ? h->first : NULL; e && json_array_size(items) < limit;
	     e = e->next)
		if (matches(e, aggregate_type, aggregate_id))
			json_array_append_new(items, item_json(e));
	pthread_mutex_unlock(&lock);
	return items;
}
