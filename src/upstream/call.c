#include "upstream/call.h"

#include <assert.h>

#include "base/heap.h"
#include "base/log.h"
#include "request/flow.h"
#include "upstream/budget.h"
#include "upstream/endpoint.h"
#include "upstream/fleet.h"
#include "upstream/state.h"

#define FAR (INT64_MAX / 4)
#define SILENCE_GAP 1000000    /* microseconds without a call that end an endpoint's silence */
#define RECYCLED_MAX 4096      /* calls kept for reuse */
#define RECYCLED_BODY 65536    /* larger buffers are not kept with them */

static void timer_cb(struct loop_timer *t);
static void source_cb(struct flow *f, void *arg);

/* ---- making and recycling ---------------------------------------------------------------------- */

static void release(struct upstream_call *call)
{
	buf_release(&call->lines);
	buf_release(&call->head);
	buf_release(&call->in);
	buf_release(&call->grpc_message);
	heap_free(call);
}

static struct upstream_call *allocate(struct upstream *u)
{
	struct upstream_call *call = heap_zalloc(sizeof *call);

	if (call == NULL)
		return NULL;
	call->u = u;
	call->timer.cb = timer_cb;
	buf_init(&call->lines, CALL_MAX_HEAD);
	buf_init(&call->head, CALL_MAX_HEAD);
	buf_init(&call->in, u->config.max_response);
	buf_init(&call->grpc_message, CALL_MAX_HEAD);
	return call;
}

struct upstream_call *call_new(struct upstream *u)
{
	struct upstream_call *call = u->recycled;

	if (call != NULL) {
		u->recycled = call->next;
		u->nrecycled--;
	} else {
		call = allocate(u);
		if (call == NULL)
			return NULL;
	}
	call->all_prev = NULL;
	call->all_next = u->calls;
	if (u->calls != NULL)
		u->calls->all_prev = call;
	u->calls = call;
	return call;
}

static void recycle(struct upstream_call *call)
{
	struct upstream *u = call->u;

	loop_timer_clear(u->loop, &call->timer);
	if (call->source != NULL)
		call->source->more = NULL;
	if (call->streaming && !call->cancelled) /* else whoever cancelled it in the callback has let the sink go */
		call->sink->room = NULL;
	*(call->all_prev != NULL ? &call->all_prev->all_next : &u->calls) = call->all_next;
	if (call->all_next != NULL)
		call->all_next->all_prev = call->all_prev;
	call->state = CALL_FREE;
	if (u->nrecycled >= RECYCLED_MAX) {
		release(call);
		return;
	}
	if (call->in.cap > RECYCLED_BODY)
		buf_release(&call->in);
	call->next = u->recycled;
	u->recycled = call;
	u->nrecycled++;
}

void calls_free(struct upstream *u)
{
	while (u->recycled != NULL) {
		struct upstream_call *call = u->recycled;

		u->recycled = call->next;
		release(call);
	}
}

static enum err copy_request(struct upstream_call *call, const struct upstream_request *req)
{
	struct buf *b = &call->lines;

	if (req->nheaders > CALL_MAX_FIELDS)
		return E_LIMIT;
	buf_clear(b);
	buf_adds(b, req->method);
	buf_adds(b, req->path);
	for (size_t i = 0; i < req->nheaders; i++) {
		buf_adds(b, req->headers[i].name);
		buf_add(b, ": ", 2);
		buf_adds(b, req->headers[i].value);
		buf_add(b, "\r\n", 2);
	}
	call->method_len = req->method.n;
	call->path_len = req->path.n;
	return buf_err(b);
}

enum err call_prepare(struct upstream_call *call, const struct upstream_request *req)
{
	struct upstream *u = call->u;

	call->route = req->shard;
	call->body = req->source == NULL ? req->body : STR_NONE;
	call->source = req->source;
	call->sink = req->sink;
	call->lift = req->lift;
	call->streaming = call->calling = call->cancelled = false;
	call->grpc = req->grpc;
	call->idempotent = req->idempotent;
	call->admin = req->admin;
	call->to_head = str_eq(req->method, STR("HEAD"));
	call->deadline = req->deadline != 0 ? req->deadline :
	    loop_now(u->loop) + u->config.total_timeout_us;
	if (call->source != NULL) {
		call->source->more = source_cb;
		call->source->taker = call;
		if (call->lift)
			call->deadline = FAR;
	}
	call->tries = 0;
	call->ep = NULL;
	call->conn = NULL;
	call->result = (struct upstream_response){ .grpc_status = 2 };
	call->shard = shard_get(u, req->shard->kind, req->shard->name);
	return call->shard != NULL ? copy_request(call, req) : E_NOMEM;
}

/* ---- a try ------------------------------------------------------------------------------------- */

static void finish(struct upstream_call *call, enum err e);

static void clear_answer(struct upstream_call *call)
{
	response_init(&call->resp, call->to_head);
	buf_clear(&call->head);
	buf_clear(&call->in);
	buf_clear(&call->grpc_message);
	call->frame = (struct grpc_frame){ 0 };
	call->grpc_status = -1;
	call->head_seen = call->end_seen = call->reached = call->reused = call->answering = false;
	call->too_large = call->out_of_time = false;
	call->sent = 0;
	call->stream = -1;
}

static void due_in(struct upstream_call *call, int64_t delay)
{
	int64_t left = call->deadline - loop_now(call->u->loop);

	/* the heap has room for it: the timer has been armed since call_try */
	(void)loop_timer_set(call->u->loop, &call->timer, left < delay ? left : delay);
}

/* An endpoint that takes the try. Another worker may be faster with the one that was chosen: then its circuit
 * lets nobody through any more, and the next choice is without it. */
static struct endpoint *find_endpoint(struct upstream_call *call, const struct endpoint *avoid, int64_t now,
    enum err *e)
{
	enum breaker_pass pass = BREAKER_REFUSED;
	struct endpoint *ep;

	do {
		ep = shard_pick(call->shard, call->route, call->grpc, call->admin, avoid, now, e);
		if (ep != NULL)
			pass = breaker_start(&ep->node->breaker, now);
	} while (ep != NULL && pass == BREAKER_REFUSED);
	call->probe = pass == BREAKER_PROBE;
	return ep;
}

void call_try(struct upstream_call *call, const struct endpoint *avoid)
{
	struct loop *loop = call->u->loop;
	int64_t now = loop_now(loop);
	struct endpoint *ep = NULL;
	enum err e;

	clear_answer(call);
	call->began = now;
	e = loop_timer_set(loop, &call->timer, call->deadline - now);
	if (e == OK)
		ep = find_endpoint(call, avoid, now, &e);
	if (ep == NULL) {
		stats_try(&call->shard->stats, OUTCOME_REJECTED, 0);
		finish(call, call->tries > 0 ? call->why : e); /* what the first try met says more */
		return;
	}
	call->tries++;
	call->ep = ep;
	ep->called = now;
	ep->outstanding++;
	endpoint_start(ep, call);
}

/* The node says something. */
static void heard(struct upstream_call *call)
{
	struct endpoint *ep = call->ep;

	ep->silent_since = ep->outstanding > 1 ? loop_now(call->u->loop) : 0;
}

/* Its silence begins, unless it goes on: silent is who is asked all the time. */
static void asked(struct endpoint *ep, int64_t now)
{
	if (ep->silent_since == 0 || (ep->outstanding == 1 && now - ep->left > SILENCE_GAP))
		ep->silent_since = now;
}

void call_sent(struct upstream_call *call, void *conn)
{
	call->state = CALL_SENT;
	call->conn = conn;
	asked(call->ep, loop_now(call->u->loop));
	due_in(call, call->u->config.first_byte_timeout_us);
}

void call_answering(struct upstream_call *call)
{
	if (call->answering)
		return;
	call->answering = true;
	heard(call);
	due_in(call, call->source != NULL ? call->u->config.total_timeout_us : FAR);
}

void call_uploading(struct upstream_call *call, bool waiting)
{
	if (!call->answering)
		due_in(call, waiting ? FAR : call->u->config.first_byte_timeout_us);
}

void call_paused(struct upstream_call *call)
{
	due_in(call, FAR);
}

static void room_cb(struct flow *f, void *arg, size_t n)
{
	struct upstream_call *call = arg;

	(void)n;
	if (call->state == CALL_SENT && !call->calling && !flow_full(f))
		call->ep->carrier->resume(call);
}

static void show_head(struct upstream_call *call)
{
	struct upstream_response *r = &call->result;

	r->status = call->resp.status;
	r->headers = call->resp.headers;
	r->nheaders = call->resp.nheaders;
	r->endpoint = call->ep->url;
}

/* The body is too large to be gathered: the callback comes now, and the sink takes the rest. */
static enum err stream(struct upstream_call *call)
{
	struct upstream_response *r = &call->result;
	struct response *resp = &call->resp;

	flow_init_take(call->sink, resp->framing == BODY_LENGTH ? resp->length : FLOW_LENGTH_UNKNOWN, &call->in);
	call->sink->room = room_cb;
	call->sink->giver = call;
	call->streaming = call->calling = true;
	if (call->lift)
		call->deadline = FAR;
	show_head(call);
	r->streams = true;
	r->err = OK;
	r->tries = call->tries;
	r->us = loop_now(call->u->loop) - call->began;
	call->cb(call->arg, r);
	call->calling = false;
	return call->cancelled ? E_CLIENT_GONE : OK;
}

static enum err take_data(struct upstream_call *call, struct str data)
{
	enum err e = OK;

	if (call->grpc)
		return grpc_frame_read(&call->frame, data, &call->in);
	if (call->sink == NULL || (!call->streaming && call->in.n + data.n <= FLOW_AFTER))
		return buf_adds(&call->in, data);
	if (!call->streaming)
		e = stream(call);
	if (e != OK)
		return e;
	due_in(call, call->u->config.total_timeout_us);
	return flow_give(call->sink, data);
}

enum err call_data(struct upstream_call *call, struct str data)
{
	enum err e = take_data(call, data);

	call->too_large |= e == E_LIMIT;
	return e;
}

/* The source has more, has ended, or has failed. */
static void source_cb(struct flow *f, void *arg)
{
	struct upstream_call *call = arg;

	if (call->state == CALL_ENDING || call->calling)
		return;
	if (f->err == OK) {
		if (call->state == CALL_SENT)
			call->ep->carrier->source(call);
		return;
	}
	if (call->state == CALL_WAITING)
		endpoint_unwait(call->ep, call);
	else
		call->ep->carrier->drop(call);
	call_failed(call, f->err);
}

/* ---- the end of a try -------------------------------------------------------------------------- */

/* Whether a time limit that has passed says something about the node: our own does; a caller's shorter one
 * only when the node has been silent to everybody for as long as ours. Else a few callers in a hurry could
 * open the circuit for all. */
static bool node_too_slow(const struct upstream_call *call)
{
	const struct upstream_config *c = &call->u->config;
	int64_t limit = c->first_byte_timeout_us < c->total_timeout_us ? c->first_byte_timeout_us :
	    c->total_timeout_us;
	int64_t now = loop_now(call->u->loop), silent = call->ep->silent_since;

	return now - call->began >= limit || (silent != 0 && now - silent >= limit);
}

/* A kept connection that turns out to be closed says nothing: nodes restart, and end idle ones. */
static enum breaker_result verdict(const struct upstream_call *call, enum err e)
{
	switch (e) {
	case OK:
		return BREAKER_OK;
	case E_UPSTREAM_FAILED:
		return call->reused && !call->answering ? BREAKER_NOTHING : BREAKER_FAILED;
	case E_UPSTREAM_TIMEOUT:
		return !call->out_of_time || node_too_slow(call) ? BREAKER_FAILED : BREAKER_NOTHING;
	case E_BAD_UPSTREAM:
		return BREAKER_FAILED;
	case E_LIMIT: /* a good answer, but more than the caller can be given */
		return BREAKER_OK;
	default:
		return BREAKER_NOTHING;
	}
}

static enum outcome outcome_of(const struct upstream_call *call, enum err e)
{
	switch (e) {
	case OK:
	case E_LIMIT:
		return call->resp.status >= 500 ? OUTCOME_NODE_ERROR : OUTCOME_OK;
	case E_UPSTREAM_TIMEOUT:
		return OUTCOME_TIMEOUT;
	case E_UPSTREAM_FAILED:
		return OUTCOME_UNREACHABLE;
	case E_OVERLOADED:
	case E_NOMEM:
		return OUTCOME_REJECTED;
	case E_CLIENT_GONE:
	case E_BODY_TOO_LARGE: /* the source's errors are its own, not the node's */
	case E_REQUEST_TIMEOUT:
	case E_BAD_REQUEST:
		return OUTCOME_CANCELLED;
	default:
		return OUTCOME_BAD;
	}
}

/* The try is off its endpoint: the accounts are closed. */
static void close_try(struct upstream_call *call, enum breaker_result result, enum outcome o)
{
	struct endpoint *ep = call->ep;
	int64_t now = loop_now(call->u->loop);

	ep->outstanding--;
	ep->left = now;
	if (breaker_end(&ep->node->breaker, &ep->share, call->probe, result, now) &&
	    !(call->probe && result == BREAKER_FAILED)) /* which only stays open */
		log_info("the circuit of a node has changed", LOG_S("node", ep->url),
		    LOG_Z("circuit", call->probe ? "closed" : "open"));
	call->result.us = now - call->began;
	stats_try(&call->shard->stats, o, call->result.us);
	call->conn = NULL;
}

static void finish(struct upstream_call *call, enum err e)
{
	struct upstream_response *r = &call->result;

	call->state = CALL_ENDING;
	loop_timer_clear(call->u->loop, &call->timer);
	if (call->streaming) {
		if (call->cancelled)
			;
		else if (e == OK)
			flow_end(call->sink);
		else
			flow_fail(call->sink, e);
		recycle(call);
		return;
	}
	r->err = e;
	r->tries = call->tries;
	r->reached |= call->reached;
	call->cb(call->arg, r);
	recycle(call);
}

void call_refuse(struct upstream_call *call, enum err e)
{
	finish(call, e);
}

/* Retries only what never reached a node, or what may reach one twice (CONTRACT 8). */
static bool may_retry(struct upstream_call *call, enum err e)
{
	if (e != E_UPSTREAM_FAILED && e != E_UPSTREAM_TIMEOUT)
		return false;
	if (call->tries >= CALL_MAX_TRIES || call->u->closing ||
	    loop_now(call->u->loop) >= call->deadline)
		return false;
	if (call->reached && !call->idempotent)
		return false;
	if (call->streaming || (call->source != NULL && call->source->taken > 0))
		return false;
	return call->u->config.retry_percent > 0 && budget_spend(call->shard->budget, &call->shard->earned);
}

void call_failed(struct upstream_call *call, enum err e)
{
	const struct endpoint *ep = call->ep;

	if (call->cancelled)
		e = E_CLIENT_GONE;
	else if (e == E_BAD_UPSTREAM && call->too_large)
		e = E_LIMIT;
	close_try(call, verdict(call, e), outcome_of(call, e));
	if (may_retry(call, e)) {
		call->result.reached |= call->reached;
		call->why = e;
		call_try(call, ep);
	} else {
		finish(call, e);
	}
}

/* The gRPC part of a complete answer. */
static enum err check_grpc(struct upstream_call *call)
{
	struct upstream_response *r = &call->result;

	r->grpc_message = buf_str(&call->grpc_message);
	if (call->grpc_status < 0) {
		r->grpc_status = call->resp.status != 200 ? grpc_status_of_http(call->resp.status) : 2;
		return OK;
	}
	r->grpc_status = call->grpc_status;
	if (grpc_frame_complete(&call->frame) ||
	    (r->grpc_status != 0 && grpc_frame_empty(&call->frame)))
		return OK;
	return E_BAD_UPSTREAM;
}

void call_end(struct upstream_call *call)
{
	struct upstream_response *r = &call->result;
	enum err e = call->grpc ? check_grpc(call) : OK;

	if (e != OK) {
		call_failed(call, e);
		return;
	}
	heard(call);
	close_try(call, BREAKER_OK, outcome_of(call, OK));
	show_head(call);
	r->body = buf_str(&call->in);
	finish(call, OK);
}

static void timer_cb(struct loop_timer *t)
{
	struct upstream_call *call =
	    (struct upstream_call *)((char *)t - offsetof(struct upstream_call, timer));

	if (call->state == CALL_WAITING)
		endpoint_unwait(call->ep, call);
	else
		call->ep->carrier->drop(call);
	call->out_of_time = true;
	call_failed(call, E_UPSTREAM_TIMEOUT);
}

/* ---- what callers do with a call ---------------------------------------------------------------- */

void upstream_cancel(struct upstream_call *call)
{
	if (call->calling)
		call->cancelled = true;
	if (call->state == CALL_ENDING || call->calling)
		return;
	if (call->state == CALL_WAITING)
		endpoint_unwait(call->ep, call);
	else
		call->ep->carrier->drop(call);
	close_try(call, BREAKER_NOTHING, OUTCOME_CANCELLED);
	recycle(call);
}

void upstream_body_take(const struct upstream_response *resp, struct buf *into)
{
	struct upstream_call *call =
	    (struct upstream_call *)((char *)resp - offsetof(struct upstream_call, result));

	struct buf mine = call->in;

	call->in = *into; /* memory changes hands both ways: nothing is allocated anew */
	buf_clear(&call->in);
	call->in.max = mine.max;
	mine.max = into->max;
	*into = mine;
}
