#include "service.h"

#include "command.pb-c.h"
#include "fault.h"
#include "node.h"
#include "query.pb-c.h"
#include "tenant.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef Aggregate__Gateway__V1__SubmitCommandRequest SubmitRequest;
typedef Aggregate__Gateway__V1__SubmitCommandResponse SubmitResponse;
typedef Aggregate__Gateway__V1__Event EventMessage;
typedef Projection__Gateway__V1__ExecuteQueryRequest QueryRequest;
typedef Projection__Gateway__V1__ExecuteQueryResponse QueryResponse;

static void refuse(struct grpc_answer *a, const struct verdict *v)
{
	a->status = problem_rows[v->problem].grpc;
	snprintf(a->text, sizeof a->text, "%s", v->text);
}

static void refuse_message(struct grpc_answer *a)
{
	struct verdict v;

	verdict_set(&v, PROBLEM_INVALID, "the message is not the method's request");
	refuse(a, &v);
}

static bool next_metadata(struct slice *rest, struct slice *name, struct slice *value)
{
	if (!rest->len)
		return false;
	*name = (struct slice){ rest->data, strlen(rest->data) };
	*value = (struct slice){ rest->data + name->len + 1, strlen(rest->data + name->len + 1) };
	rest->data += name->len + value->len + 2;
	rest->len -= name->len + value->len + 2;
	return true;
}

static struct slice metadata_get(const struct grpc_call *c, const char *key)
{
	struct slice rest = c->metadata, name, value;

	while (next_metadata(&rest, &name, &value))
		if (slice_is(name, key))
			return value;
	return (struct slice){ 0 };
}

static json_t *metadata_json(const struct grpc_call *c)
{
	struct slice rest = c->metadata, name, value;
	json_t *list = json_array();

	while (next_metadata(&rest, &name, &value))
		json_array_append_new(list, json_pack("[o,o]", node_text(name), node_text(value)));
	return list;
}

static void pack(struct grpc_answer *a, const ProtobufCMessage *m)
{
	size_t n = protobuf_c_message_get_packed_size(m);

	bytes_reserve(&a->message, n);
	a->message.len = protobuf_c_message_pack(m, (uint8_t *)a->message.data);
}

static void pack_event(struct grpc_answer *a, const struct event *e)
{
	EventMessage event = AGGREGATE__GATEWAY__V1__EVENT__INIT;
	SubmitResponse response = AGGREGATE__GATEWAY__V1__SUBMIT_COMMAND_RESPONSE__INIT;
	EventMessage *events[] = { &event };

	event.event_id = (char *)e->id;
	event.event_type = e->type;
	event.version = e->version;
	event.payload = (ProtobufCBinaryData){ e->payload_len, (uint8_t *)e->payload };
	event.occurred_at = (char *)e->at;
	response.command_id = e->command_id;
	response.aggregate_type = e->aggregate_type;
	response.aggregate_id = e->aggregate_id;
	response.version = e->version;
	response.n_events = 1;
	response.events = events;
	pack(a, &response.base);
}

static json_t *map_json(const SubmitRequest *m)
{
	json_t *map = NULL;

	for (size_t i = 0; i < m->n_metadata; i++) {
		if (!map)
			map = json_object();
		json_object_set_new(map, m->metadata[i]->key, json_string(m->metadata[i]->value));
	}
	return map;
}

static void run_command(const char *tenant, const SubmitRequest *m, struct grpc_answer *a)
{
	struct command cmd = {
		.tenant = tenant,
		.command_id = m->command_id,
		.aggregate_type = m->aggregate_type,
		.aggregate_id = m->aggregate_id,
		.command_type = m->command_type,
		.payload = m->payload.len ? (const char *)m->payload.data : "{}",
		.payload_len = m->payload.len ? m->payload.len : 2,
		.has_expected_version =
			m->_expected_version_case ==
			AGGREGATE__GATEWAY__V1__SUBMIT_COMMAND_REQUEST___EXPECTED_VERSION_EXPECTED_VERSION,
		.expected_version = m->expected_version,
	};
	json_t *metadata = map_json(m);
	struct outcome o;

	node_command(&cmd, metadata, &o);
	json_decref(metadata);
	a->in_flight = o.in_flight;
	a->delay_ms = o.delay_ms;
	if (o.verdict.problem) {
		refuse(a, &o.verdict);
		return;
	}
	if (o.lose_answer)
		a->end = GRPC_END_CLOSE;
	pack_event(a, o.event);
}

static void submit_command(const struct grpc_call *c, struct grpc_answer *a)
{
	SubmitRequest *m = aggregate__gateway__v1__submit_command_request__unpack(
		NULL, c->message.len, (const uint8_t *)c->message.data);
	struct verdict v = { 0 };
	char tenant[64];

	if (!m)
		refuse_message(a);
	else if (node_tenant(metadata_get(c, "x-tenant-id"), metadata_get(c, "x-auth-tenant-id"),
	                     tenant, &v))
		refuse(a, &v);
	else
		run_command(tenant, m, a);
	if (m)
		aggregate__gateway__v1__submit_command_request__free_unpacked(m, NULL);
}

/* The query view "fault" on gRPC: the JSON's status is a gRPC status here. */
static json_t *misbehave(json_t *order, struct grpc_answer *a, struct verdict *v)
{
	static const enum grpc_end ends[FAULT_GOAWAY + 1] = {
		[FAULT_CLOSE] = GRPC_END_CLOSE,
		[FAULT_RESET_MID_BODY] = GRPC_END_RESET,
		[FAULT_REFUSE] = GRPC_END_REFUSE,
		[FAULT_GOAWAY] = GRPC_END_GOAWAY,
	};
	struct bytes filler = { 0 };
	struct fault f;
	json_t *result;

	if (fault_read(order, &f, v))
		return NULL;
	a->end = ends[f.mode];
	a->delay_ms = f.delay_ms;
	if (f.mode == FAULT_STATUS) {
		a->status = f.status;
		snprintf(a->text, sizeof a->text, "ordered by the test");
	}
	if (f.mode != FAULT_LARGE)
		return json_pack("{s:s,s:i}", "fault", "none", "count", (int)f.count);
	bytes_fill(&filler, 'x', f.bytes);
	result = json_stringn(filler.data, filler.len);
	bytes_release(&filler);
	return result;
}

static json_t *echo(const struct grpc_call *c, const char *tenant, const QueryRequest *m,
                    json_t *query)
{
	return json_pack("{s:s,s:o,s:s,s:s,s:o,s:O}", "node", node_name, "path", node_text(c->path),
	                 "tenant", tenant, "view_type", m->view_type, "headers", metadata_json(c),
	                 "body", query);
}

static json_t *run_query(const struct grpc_call *c, const QueryRequest *m, struct grpc_answer *a,
                         struct verdict *v)
{
	struct slice uqf = m->uqf.len ? (struct slice){ (const char *)m->uqf.data, m->uqf.len }
	                              : (struct slice){ "{}", 2 };
	struct slice named = { m->tenant_id, strlen(m->tenant_id) },
		     meta = metadata_get(c, "x-tenant-id");
	json_t *query, *result;
	char tenant[64];

	if (node_tenant(meta, named, tenant, v))
		return NULL;
	query = json_loadb(uqf.data, uqf.len, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
	if (!query) {
		verdict_set(v, PROBLEM_INVALID, "uqf is not JSON");
		return NULL;
	}
	if (!strcmp(m->view_type, "echo"))
		result = echo(c, tenant, m, query);
	else if (!strcmp(m->view_type, "fault"))
		result = misbehave(query, a, v);
	else
		result = node_query(tenant, m->view_type, query, v);
	json_decref(query);
	return result;
}

static void execute_query(const struct grpc_call *c, struct grpc_answer *a)
{
	QueryRequest *m = projection__gateway__v1__execute_query_request__unpack(
		NULL, c->message.len, (const uint8_t *)c->message.data);
	QueryResponse response = PROJECTION__GATEWAY__V1__EXECUTE_QUERY_RESPONSE__INIT;
	struct verdict v = { 0 };
	json_t *result;
	char *text;

	if (!m) {
		refuse_message(a);
		return;
	}
	result = run_query(c, m, a, &v);
	if (result) {
		text = json_dumps(result, JSON_COMPACT | JSON_ENCODE_ANY);
		if (!text)
			abort();
		response.result = (ProtobufCBinaryData){ strlen(text), (uint8_t *)text };
		pack(a, &response.base);
		free(text);
		json_decref(result);
	} else {
		refuse(a, &v);
	}
	projection__gateway__v1__execute_query_request__free_unpacked(m, NULL);
}

static const struct method {
	const char *path;
	void (*run)(const struct grpc_call *c, struct grpc_answer *a);
} methods[] = {
	{ "/aggregate.gateway.v1.CommandService/SubmitCommand", submit_command },
	{ "/projection.gateway.v1.QueryService/ExecuteQuery", execute_query },
};

void service_run(const struct grpc_call *c, struct grpc_answer *a)
{
	for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
		if (slice_is(c->path, methods[i].path)) {
			methods[i].run(c, a);
			return;
		}
	}
	a->status = GRPC_UNIMPLEMENTED;
	snprintf(a->text, sizeof a->text, "this node has no such method");
}

void grpc_answer_release(struct grpc_answer *a)
{
	if (a->in_flight)
		tenant_leave(a->in_flight);
	bytes_release(&a->message);
	*a = (struct grpc_answer){ 0 };
}
