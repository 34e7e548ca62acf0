/* Queries: passed through to http nodes, ExecuteQuery on grpc ones. */
#include "proxy/relay.h"
#include "proxy/message.h"
#include "proxy/node_headers.h"
#include "proxy/path.h"
#include "proxy/proto_scan.h"
#include "proxy/proxy.h"
#include "request/flow.h"
#include "query.pb-c.h"

#define EXECUTE_QUERY STR("/projection.gateway.v1.QueryService/ExecuteQuery")

static STEP http_query(struct relay *x)
{
	struct request *r = x->r;
	struct upstream_request q = {
		.method = STR("POST"),
		.path = path_join(&r->arena, STR("/v1/query"), r->param[0], STR_NONE),
		.body = buf_str(&r->body),
		.source = r->in,
		.idempotent = true,
	};

	if (q.path.p == NULL)
		return request_fail_code(r, E_NOMEM);
	node_headers_pass(x);
	node_headers_mint(x);
	x->answer = relay_pass;
	return relay_send(x, &q);
}

/* ExecuteQueryResponse has one field: its bytes are given on where they stand. */
static bool find_result(struct str message, struct str *result)
{
	struct proto_scan s = { .rest = message };
	struct proto_field f;

	*result = STR("null");
	while (proto_scan_next(&s, &f))
		if (f.number == 1 && f.type == PROTO_BYTES)
			*result = f.bytes;
	return !s.bad;
}

static STEP grpc_answer(struct relay *x, const struct upstream_response *resp)
{
	struct request *r = x->r;
	struct str result;

	if (resp->grpc_status != 0)
		return relay_fail_grpc(x, resp);
	if (!find_result(resp->body, &result))
		return request_fail_code(r, E_BAD_UPSTREAM);
	upstream_body_take(resp, &r->reply.buf); /* the memory stays where it is */
	r->reply.status = 200;
	r->reply.content_type = STR("application/json");
	r->reply.body = result;
	return request_reply(r);
}

static STEP grpc_query(struct relay *x)
{
	struct request *r = x->r;
	Projection__Gateway__V1__ExecuteQueryRequest m = PROJECTION__GATEWAY__V1__EXECUTE_QUERY_REQUEST__INIT;
	struct upstream_request q = {
		.method = STR("POST"),
		.path = EXECUTE_QUERY,
		.grpc = true,
		.idempotent = true,
	};

	m.tenant_id = arena_strz(&r->arena, r->tenant);
	m.view_type = arena_strz(&r->arena, r->param[0]);
	m.uqf.data = (uint8_t *)r->body.p;
	m.uqf.len = r->body.n;
	if (m.tenant_id == NULL || m.view_type == NULL || message_pack(&r->arena, &m.base, &q.body) != OK)
		return request_fail_code(r, E_NOMEM);
	node_headers_grpc(x);
	node_headers_mint(x);
	x->answer = grpc_answer;
	return relay_send(x, &q);
}

/* ---- a message must be whole ------------------------------------------------------------------- */

static void gathering_gone(struct request *r)
{
	r->in->more = NULL;
	step_done(request_fail_code(r, E_CLIENT_GONE));
}

static void gather_cb(struct flow *f, void *arg)
{
	struct relay *x = arg;
	struct request *r = x->r;
	struct str data = flow_held(f);
	enum err e = f->err != OK ? f->err : OK;

	if (e == OK && buf_adds(&r->body, data) != OK)
		e = E_BODY_TOO_LARGE;
	if (e == OK)
		flow_take(f, data.n);
	if (e == OK && !f->ended)
		return;
	f->more = NULL;
	r->on_gone = NULL;
	step_done(e == OK ? grpc_query(x) : request_fail_code(r, e));
}

static STEP gather(struct relay *x)
{
	struct request *r = x->r;
	struct step suspended = request_suspend(r);

	r->in->taker = x;
	r->in->more = gather_cb;
	r->on_gone = gathering_gone;
	gather_cb(r->in, x);
	return suspended;
}

STEP proxy_query(struct proxy *p, struct request *r)
{
	struct fail f = { 0 };
	struct relay *x = relay_new(p, r, ROUTE_PROJECTION, &f);

	if (x == NULL)
		return request_fail(r, &f);
	if (x->grpc && r->in != NULL)
		return gather(x);
	return x->grpc ? grpc_query(x) : http_query(x);
}
