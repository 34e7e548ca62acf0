#include "proxy/command.h"

#include "command.pb-c.h"
#include "proxy/command_body.h"
#include "proxy/message.h"
#include "proxy/node_headers.h"
#include "proxy/path.h"
#include "proxy/proxy.h"

#define SUBMIT_COMMAND STR("/aggregate.gateway.v1.CommandService/SubmitCommand")

struct str command_id_new(struct request *r)
{
	char *p = arena_alloc(&r->arena, ID_TEXT_LEN);

	return p == NULL ? STR_NONE : str_c(id_text(id_new(loop_wall(r->loop)), p));
}

/* Every command has an id by now, so that a second try is the same command (CONTRACT 8). */
STEP command_send_grpc(struct relay *x, struct str message)
{
	struct upstream_request q = {
		.method = STR("POST"),
		.path = SUBMIT_COMMAND,
		.body = message,
		.grpc = true,
		.idempotent = true,
	};

	node_headers_grpc(x);
	node_headers_mint(x);
	return relay_send(x, &q);
}

STEP command_send_http(struct relay *x, struct str type, struct str id, struct str json)
{
	struct upstream_request q = {
		.method = STR("POST"),
		.path = path_join(&x->r->arena, STR("/v1/commands"), type, id),
		.body = json,
		.idempotent = true,
	};

	if (q.path.p == NULL)
		return request_fail_code(x->r, E_NOMEM);
	node_headers_pass(x);
	node_headers_mint(x);
	return relay_send(x, &q);
}

/* ---- from JSON --------------------------------------------------------------------------------- */

static bool add_metadata(struct arena *a, const struct command_body *c,
    Aggregate__Gateway__V1__SubmitCommandRequest *m)
{
	Aggregate__Gateway__V1__SubmitCommandRequest__MetadataEntry *entries =
	    arena_alloc(a, c->nmetadata * sizeof *entries + 1);

	m->metadata = arena_alloc(a, c->nmetadata * sizeof(*m->metadata) + 1);
	if (entries == NULL || m->metadata == NULL)
		return false;
	for (size_t i = 0; i < c->nmetadata; i++) {
		aggregate__gateway__v1__submit_command_request__metadata_entry__init(&entries[i]);
		entries[i].key = (char *)c->metadata[i].name.p;
		entries[i].value = (char *)c->metadata[i].value.p;
		m->metadata[i] = &entries[i];
	}
	m->n_metadata = c->nmetadata;
	return true;
}

static enum err to_message(struct request *r, const struct command_body *c, struct str *out)
{
	Aggregate__Gateway__V1__SubmitCommandRequest m = AGGREGATE__GATEWAY__V1__SUBMIT_COMMAND_REQUEST__INIT;

	m.command_id = (char *)c->command_id.p; /* texts of the arena end in NUL */
	m.command_type = (char *)c->command_type.p;
	m.aggregate_type = arena_strz(&r->arena, r->param[0]);
	m.aggregate_id = arena_strz(&r->arena, r->param[1]);
	m.payload.data = (uint8_t *)c->payload.p;
	m.payload.len = c->payload.n;
	if (c->has_expected_version) {
		m._expected_version_case =
		    AGGREGATE__GATEWAY__V1__SUBMIT_COMMAND_REQUEST___EXPECTED_VERSION_EXPECTED_VERSION;
		m.expected_version = c->expected_version;
	}
	if (m.aggregate_type == NULL || m.aggregate_id == NULL || !add_metadata(&r->arena, c, &m))
		return E_NOMEM;
	return message_pack(&r->arena, &m.base, out);
}

static STEP json_answer(struct relay *x, const struct upstream_response *resp)
{
	struct request *r = x->r;

	if (resp->grpc_status != 0)
		return relay_fail_grpc(x, resp);
	buf_clear(&r->reply.buf);
	if (command_answer_to_json(resp->body, &r->reply.buf) != OK)
		return request_fail_code(r, E_BAD_UPSTREAM);
	r->reply.status = 200;
	r->reply.content_type = STR("application/json");
	return request_reply(r);
}

static STEP json_to_grpc(struct relay *x, const struct command_body *c)
{
	struct str message;

	if (to_message(x->r, c, &message) != OK)
		return request_fail_code(x->r, E_NOMEM);
	x->answer = json_answer;
	return command_send_grpc(x, message);
}

static STEP json_to_http(struct relay *x, const struct command_body *c, bool made)
{
	struct request *r = x->r;
	struct str json = made ? command_body_with_id(&r->arena, c, c->command_id) : c->text;

	if (json.p == NULL)
		return request_fail_code(r, E_NOMEM);
	x->answer = relay_pass;
	return command_send_http(x, r->param[0], r->param[1], json);
}

STEP proxy_command(struct proxy *p, struct request *r)
{
	struct command_body *c = arena_alloc(&r->arena, sizeof *c);
	struct fail f = { 0 };
	struct relay *x;
	bool made;

	if (c == NULL)
		return request_fail_code(r, E_NOMEM);
	if (command_body_read(&r->arena, buf_str(&r->body), c, &f) != OK)
		return request_fail(r, &f);
	x = relay_new(p, r, ROUTE_AGGREGATE, &f);
	if (x == NULL)
		return request_fail(r, &f);
	made = c->command_id.p == NULL;
	if (made)
		c->command_id = command_id_new(r);
	if (c->command_id.p == NULL)
		return request_fail_code(r, E_NOMEM);
	x->expects_version = c->has_expected_version;
	return x->grpc ? json_to_grpc(x, c) : json_to_http(x, c, made);
}
