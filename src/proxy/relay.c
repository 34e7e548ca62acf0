#include "proxy/relay.h"

#include "obs/obs.h"
#include "proxy/grpc_status.h"
#include "proxy/node_headers.h"
#include "proxy/state.h"
#include "request/flow.h"

/* ---- there ------------------------------------------------------------------------------------- */

/* What the caller allows, but never more than the gateway does. */
static enum err find_deadline(struct relay *x, struct fail *f)
{
	struct request *r = x->r;

	x->deadline = r->started_mono + x->proxy->config.timeout_us;
	if (r->deadline != 0 && r->deadline < x->deadline)
		x->deadline = r->deadline;
	if (x->deadline <= loop_now(r->loop))
		return fail_set(f, E_UPSTREAM_TIMEOUT, "the time limit had passed before the node was asked");
	return OK;
}


static void unref_routes(void *arg)
{
	route_table_unref(arg);
}

static bool speaks_grpc(const struct route_shard *s)
{
	return s->n > 0 && (s->endpoints[0].scheme == SCHEME_GRPC || s->endpoints[0].scheme == SCHEME_GRPCS);
}

static enum err start(struct relay *x, enum route_kind kind, struct fail *f)
{
	struct proxy *p = x->proxy;

	x->shard = route_resolve(p->routes, kind, x->r->tenant);
	if (x->shard == NULL) {
		obs_routing_miss(p->obs, (size_t)kind);
		return fail_set(f, E_TENANT_UNPLACED, "the tenant has no %s placement", route_kind_name(kind));
	}
	x->grpc = speaks_grpc(x->shard);
	if (request_on_finish(x->r, unref_routes, route_table_ref(p->routes)) != OK)
		return f->err = E_NOMEM;
	return find_deadline(x, f);
}

struct relay *relay_new(struct proxy *p, struct request *r, enum route_kind kind, struct fail *f)
{
	struct relay *x = arena_alloc(&r->arena, sizeof *x);

	if (x == NULL) {
		f->err = E_NOMEM;
		return NULL;
	}
	x->proxy = p;
	x->r = r;
	x->call = NULL;
	x->sink = NULL;
	x->nh = 0;
	x->expects_version = false;
	return start(x, kind, f) == OK ? x : NULL;
}

void relay_header(struct relay *x, struct str name, struct str value)
{
	if (value.p == NULL || x->nh >= RELAY_HEADERS)
		x->nh = RELAY_HEADERS + 1; /* seen when it is sent */
	else
		x->h[x->nh++] = (struct header){ name, value };
}

static void gone_cb(struct request *r)
{
	struct relay *x = r->step_data;

	upstream_cancel(x->call);
	step_done(request_fail_code(r, E_CLIENT_GONE));
}

/* The request has ended, perhaps before its large answer has. */
static void stream_end(void *arg)
{
	struct relay *x = arg;

	if (!x->sink->ended && x->sink->err == OK)
		upstream_cancel(x->call);
	flow_release(x->sink);
}

static void answer_cb(void *arg, const struct upstream_response *resp)
{
	struct relay *x = arg;
	struct request *r = x->r;

	r->on_gone = NULL;
	r->upstream_us = resp->us;
	r->upstream = arena_str(&r->arena, resp->endpoint);
	if (resp->streams && request_on_finish(r, stream_end, x) != OK)
		step_done(request_fail_code(r, E_NOMEM));
	else if (resp->err == OK)
		step_done(x->answer(x, resp));
	else
		step_done(request_fail_code(r, resp->err == E_LIMIT ? E_ANSWER_TOO_LARGE : resp->err));
}

STEP relay_send(struct relay *x, struct upstream_request *q)
{
	struct request *r = x->r;
	struct step suspended = request_suspend(r);

	if (x->nh > RELAY_HEADERS)
		return request_fail_code(r, E_NOMEM);
	if (r->in != NULL && r->in->err != OK)
		return request_fail_code(r, r->in->err);
	q->shard = x->shard;
	q->headers = x->h;
	q->nheaders = x->nh;
	q->deadline = x->deadline;
	q->lift = r->deadline == 0;
	if (x->answer == relay_pass && r->front->flows) {
		x->sink = arena_alloc(&r->arena, sizeof *x->sink);
		q->sink = x->sink;
	}
	r->step_data = x;
	r->on_gone = gone_cb;
	upstream_send(x->proxy->upstream, q, answer_cb, x, &x->call);
	return suspended; /* or answered already: x and r may be gone */
}

/* ---- and back ---------------------------------------------------------------------------------- */

STEP relay_pass(struct relay *x, const struct upstream_response *resp)
{
	struct request *r = x->r;

	r->reply.status = resp->status;
	for (size_t i = 0; i < resp->nheaders; i++) {
		const struct header *h = &resp->headers[i];

		if (str_eq(h->name, STR("content-type")))
			r->reply.content_type = arena_str(&r->arena, h->value);
		else if (node_header_is_safe(h->name))
			(void)reply_header(r, arena_str(&r->arena, h->name), arena_str(&r->arena, h->value));
	}
	if (resp->streams) {
		r->reply.flow = x->sink;
	} else {
		upstream_body_take(resp, &r->reply.buf);
		r->reply.body = buf_str(&r->reply.buf);
	}
	return request_reply(r);
}

STEP relay_fail_grpc(struct relay *x, const struct upstream_response *resp)
{
	struct fail f = { 0 };
	enum err e = grpc_status_err(resp->grpc_status, x->expects_version);

	if (resp->grpc_message.n > 0)
		fail_set(&f, e, "%.*s", STR_ARG(resp->grpc_message));
	else
		f.err = e;
	return request_fail(x->r, &f);
}
