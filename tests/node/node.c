#include "node.h"

#include "tenant.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_ITEMS 10000

const char *node_name = "node";

static enum problem check_command(const struct command *c, struct verdict *v)
{
	json_error_t why;
	json_t *payload;

	if (!*c->aggregate_type || !*c->aggregate_id || !*c->command_type)
		return verdict_set(v, PROBLEM_INVALID,
		                   "aggregate_type, aggregate_id and command_type are required");
	payload = json_loadb(c->payload, c->payload_len, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES,
	                     &why);
	if (!payload)
		return verdict_set(v, PROBLEM_INVALID, "payload is not JSON: %s at byte %d",
		                   why.text, why.position);
	json_decref(payload);
	return PROBLEM_NONE;
}

/* Metadata values are texts on gRPC, so numbers and flags are read from texts. */
static unsigned order(json_t *metadata, const char *key)
{
	const char *text = json_string_value(json_object_get(metadata, key));

	return text ? (unsigned)strtoul(text, NULL, 10) : 0;
}

void node_command(const struct command *c, json_t *metadata, struct outcome *o)
{
	bool replayed = false;

	*o = (struct outcome){ 0 };
	if (check_command(c, &o->verdict))
		return;
	o->in_flight = tenant_enter(c->tenant);
	if (!o->in_flight) {
		verdict_set(&o->verdict, PROBLEM_DRAINING, "tenant %s is draining on this node",
		            c->tenant);
		return;
	}
	ledger_submit(c, &o->event, &replayed, &o->verdict);
	o->delay_ms = order(metadata, "node_delay_ms");
	o->lose_answer = !replayed && order(metadata, "node_lose_answer");
}

json_t *node_query(const char *tenant, const char *view_type, json_t *filter, struct verdict *v)
{
	const char *type = NULL, *id = NULL;
	json_int_t limit = 100;
	json_error_t why;
	json_t *items;

	if (json_unpack_ex(filter, &why, JSON_STRICT, "{s?s,s?s,s?I}", "aggregate_type", &type,
	                   "aggregate_id", &id, "limit", &limit)) {
		verdict_set(v, PROBLEM_INVALID, "filter: %s", why.text);
		return NULL;
	}
	if (limit < 0 || limit > MAX_ITEMS) {
		verdict_set(v, PROBLEM_INVALID, "filter: limit is 0 to %d", MAX_ITEMS);
		return NULL;
	}
	items = ledger_read(tenant, type, id, (size_t)limit);
	return json_pack("{s:s,s:s,s:o,s:I}", "view_type", view_type, "tenant", tenant, "items",
	                 items, "count", (json_int_t)json_array_size(items));
}

enum problem node_tenant(struct slice x_tenant, struct slice x_auth_tenant, char out[64],
                         struct verdict *v)
{
	struct slice t = x_auth_tenant.len ? x_auth_tenant : x_tenant;

	if (x_tenant.len && x_auth_tenant.len &&
	    (x_tenant.len != x_auth_tenant.len || memcmp(x_tenant.data, x_auth_tenant.data, t.len)))
		return verdict_set(v, PROBLEM_INVALID, "x-tenant-id and x-auth-tenant-id differ");
	if (!t.len || t.len > 63)
		return verdict_set(v, PROBLEM_INVALID,
		                   "x-tenant-id is required, 1 to 63 characters");
	for (size_t i = 0; i < t.len; i++)
		if (!islower((unsigned char)t.data[i]) && !isdigit((unsigned char)t.data[i]) &&
		    (t.data[i] != '-' || !i))
			return verdict_set(v, PROBLEM_INVALID,
			                   "x-tenant-id is not a tenant's name");
	memcpy(out, t.data, t.len);
	out[t.len] = 0;
	return PROBLEM_NONE;
}

json_t *node_text(struct slice s)
{
	json_t *text = json_stringn(s.data ? s.data : "", s.len);
	struct bytes b = { 0 };

	if (text)
		return text;
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.data[i];
		if (c < 0x80)
			bytes_add(&b, &c, 1);
		else
			bytes_add(&b, (char[]){ (char)(0xc0 | c >> 6), (char)(0x80 | (c & 0x3f)) },
			          2);
	}
	text = json_stringn(b.data, b.len);
	bytes_release(&b);
	return text;
}
