#include "front/exchange.h"

#include <assert.h>

#include "api/api.h"
#include "base/heap.h"
#include "crypto/tls_peer.h"
#include "crypto/tls_session.h"
#include "crypto/wire.h"
#include "request/flow.h"

#define SPARE_MAX 1024

enum err stock_new(struct loop *loop, struct api *api, struct obs_worker *obs, struct gate *gate,
    size_t max_body, struct stock **out)
{
	struct stock *s = heap_zalloc(sizeof *s);

	if (s == NULL)
		return E_NOMEM;
	*s = (struct stock){ .loop = loop, .api = api, .obs = obs, .gate.gate = gate,
		.max_body = max_body };
	*out = s;
	return OK;
}

static void release_spare(struct stock *s)
{
	while (s->spare != NULL) {
		struct exchange *x = s->spare;

		s->spare = x->next;
		request_release(&x->r);
		heap_free(x);
	}
	s->nspare = 0;
}

static void free_when_unused(struct stock *s)
{
	if (!s->closed || s->active > 0)
		return;
	release_spare(s);
	heap_free(s);
}

void stock_close(struct stock *s)
{
	if (s == NULL)
		return;
	s->closed = true;
	free_when_unused(s);
}

static struct exchange *take_spare(struct stock *s)
{
	struct exchange *x = s->spare;

	if (x != NULL) {
		s->spare = x->next;
		s->nspare--;
		return x;
	}
	x = heap_zalloc(sizeof *x);
	if (x != NULL)
		request_init(&x->r);
	return x;
}

struct exchange *exchange_new(struct stock *s)
{
	struct exchange *x = take_spare(s);

	if (x == NULL)
		return NULL;
	x->stock = s;
	x->next = x->prev = NULL;
	x->r.loop = s->loop;
	x->r.obs = s->obs;
	x->r.api = s->api;
	x->r.started_mono = loop_now(s->loop);
	x->r.started_wall = loop_wall(s->loop);
	s->active++;
	return x;
}

/* Everything but the request, which knows how to be used again. */
static void blank(struct exchange *x)
{
	memset((char *)x + sizeof x->r, 0, sizeof *x - sizeof x->r);
}

void exchange_drop(struct exchange *x)
{
	struct stock *s = x->stock;

	s->active--;
	if (x->admitted)
		gate_leave(&s->gate);
	blank(x);
	if (s->nspare < SPARE_MAX && !s->closed) {
		request_reset(&x->r);
		x->next = s->spare;
		s->spare = x;
		s->nspare++;
		return;
	}
	request_release(&x->r);
	heap_free(x);
	free_when_unused(s);
}

void exchange_finish(struct exchange *x)
{
	request_finish(&x->r);
	exchange_drop(x);
}

void exchange_gone(struct exchange *x)
{
	void (*on_gone)(struct request *) = x->r.on_gone;

	if (x->r.client_gone)
		return;
	x->r.client_gone = true;
	x->r.on_gone = NULL;
	if (on_gone != NULL && !x->answered)
		on_gone(&x->r);
}

void exchange_lost(struct exchange *x, bool sent)
{
	if (!x->started) {
		exchange_drop(x);
	} else if (x->answered) {
		x->r.client_gone |= !sent;
		exchange_finish(x);
	} else if (!x->complete) {
		x->r.client_gone = true;
		step_done(request_fail_code(&x->r, E_BAD_REQUEST)); /* for the log; respond ends it */
	} else {
		exchange_gone(x);
	}
}

static void release_flow(void *arg)
{
	flow_release(arg);
}

bool exchange_large(const struct exchange *x, size_t n)
{
	return x->r.op != NULL && x->r.op->large && x->r.in == NULL && x->r.body.n + n > FLOW_AFTER;
}

enum err exchange_run_flow(struct exchange *x, void (*room)(struct flow *f, void *arg, size_t n))
{
	struct request *r = &x->r;
	struct flow *f = arena_zalloc(&r->arena, sizeof *f);

	if (f == NULL || request_on_finish(r, release_flow, f) != OK)
		return E_NOMEM;
	flow_init_take(f, x->length == CHECK_CHUNKED ? FLOW_LENGTH_UNKNOWN : x->length, &r->body);
	f->room = room;
	f->giver = x;
	r->in = f;
	x->complete = true;
	api_run(x->stock->api, r);
	return OK;
}

struct step exchange_fail(struct exchange *x, enum err e)
{
	struct fail f = { .err = e };

	if (e == E_BAD_REQUEST && x->why != NULL)
		fail_set(&f, e, "%s", x->why);
	return request_fail(&x->r, &f);
}

/* An answer before api_start has seen the request. */
static void refuse(struct exchange *x, enum err e)
{
	struct request *r = &x->r;

	if (r->correlation_id.p == NULL)
		request_trace_start(r);
	if (r->correlation_id.p == NULL)
		r->correlation_id = STR("-");
	if (r->path.p == NULL)
		r->path = str_cut(r->target, '?', &r->query);
	r->reply.close = true;
	step_done(exchange_fail(x, e));
}

static void unref_peer(void *arg)
{
	tls_peer_unref(arg);
}

/* The certificate stays with the request, which may outlive the connection. One that has expired since
 * the handshake is none. */
static void note_caller(struct request *r, struct wire *w)
{
	struct tls_peer *peer;

	if (w->tls == NULL)
		return;
	r->tls = true;
	peer = tls_session_peer(w->tls);
	if (peer == NULL)
		return;
	if (request_on_finish(r, unref_peer, peer) == OK && r->started_wall < peer->expires)
		r->client_cert = peer->crt;
}

bool exchange_start(struct exchange *x, struct wire *w, enum err e)
{
	struct stock *s = x->stock;

	assert(!x->started);
	note_caller(&x->r, w);
	if (e == OK) {
		x->admitted = gate_enter(&s->gate);
		e = x->admitted ? OK : E_OVERLOADED;
	}
	x->started = true;
	if (e != OK) {
		refuse(x, e);
		return false;
	}
	if (api_start(s->api, &x->r) != API_READ_BODY)
		return false;
	if (x->length == CHECK_CHUNKED || x->length <= request_body_max(&x->r, s->max_body))
		return true;
	x->r.reply.close = true;
	step_done(request_fail_code(&x->r, E_BODY_TOO_LARGE));
	return false;
}
