#include "upstream/endpoint.h"

#include "base/heap.h"
#include "upstream/call.h"
#include "upstream/dial.h"
#include "upstream/fleet.h"
#include "upstream/state.h"

#define MAX_WAITING 4096 /* calls that wait for a connection */

/* A connection that is being made. */
struct dialling {
	struct dialling *next;
	struct endpoint *ep;
	struct dial *dial;
};

/* ---- connections ------------------------------------------------------------------------------- */

void endpoint_opened(struct endpoint *ep)
{
	ep->nconns++;
	stats_add(&ep->open_conns, 1);
}

void endpoint_closed(struct endpoint *ep)
{
	ep->nconns--;
	stats_add(&ep->open_conns, (uint64_t)-1);
}

static void dial_more(struct endpoint *ep);

static void undial(struct dialling *d)
{
	struct dialling **p = &d->ep->dials;

	while (*p != d)
		p = &(*p)->next;
	*p = d->next;
	d->ep->ndials--;
	heap_free(d);
}

/* Fails the first n of those who wait. */
static void fail_waiting(struct endpoint *ep, size_t n, enum err e)
{
	while (n-- > 0 && ep->first != NULL) {
		struct upstream_call *call = ep->first;

		endpoint_unwait(ep, call);
		call_failed(call, e);
	}
}

static void dialled_cb(void *arg, enum err e, struct wire w)
{
	struct dialling *d = arg;
	struct endpoint *ep = d->ep;

	undial(d);
	if (e == OK)
		ep->carrier->adopt(ep, w);
	else if (ep->first == NULL) /* who it was for has left, and can't tell any more */
		breaker_end(&ep->node->breaker, &ep->share, false, BREAKER_FAILED, loop_now(ep->u->loop));
	else /* the one that has waited longest bears it, or all when nothing else is there for them */
		fail_waiting(ep, ep->nconns + ep->ndials == 0 ? ep->waiting : 1, e);
	endpoint_vacant(ep);
}

static bool dial_one(struct endpoint *ep)
{
	struct dialling *d = heap_zalloc(sizeof *d);
	struct dial_to to = { ep->host, ep->port, ep->u->config.connect_timeout_us,
		ep->tls, ep->h2, ep->u->tls, ep->u->tls_buffers };

	if (d == NULL)
		return false;
	d->ep = ep;
	if (dial_start(ep->u->loop, ep->u->resolver, &to, dialled_cb, d, &d->dial) != OK) {
		heap_free(d);
		return false;
	}
	d->next = ep->dials;
	ep->dials = d;
	ep->ndials++;
	return true;
}

/* As many dials as calls wait (HTTP/2: one at a time, it carries many), within the limit. */
static void dial_more(struct endpoint *ep)
{
	size_t want = ep->h2 && ep->waiting > 0 ? 1 : ep->waiting;

	while (ep->ndials < want && ep->nconns + ep->ndials < ep->u->config.max_connections)
		if (!dial_one(ep))
			break;
}

void endpoint_close(struct endpoint *ep)
{
	while (ep->dials != NULL) {
		dial_cancel(ep->dials->dial);
		undial(ep->dials);
	}
	ep->carrier->sweep(ep, INT64_MAX);
}

/* ---- those who wait ---------------------------------------------------------------------------- */

static void wait_for(struct endpoint *ep, struct upstream_call *call)
{
	call->state = CALL_WAITING;
	call->next = NULL;
	call->prev = ep->last;
	if (ep->last != NULL)
		ep->last->next = call;
	else
		ep->first = call;
	ep->last = call;
	ep->waiting++;
}

void endpoint_unwait(struct endpoint *ep, struct upstream_call *call)
{
	*(call->prev != NULL ? &call->prev->next : &ep->first) = call->next;
	*(call->next != NULL ? &call->next->prev : &ep->last) = call->prev;
	ep->waiting--;
}

/* Back to where it stood, at the front. */
static void wait_on(struct endpoint *ep, struct upstream_call *call)
{
	call->prev = NULL;
	call->next = ep->first;
	*(ep->first != NULL ? &ep->first->prev : &ep->last) = call;
	ep->first = call;
	ep->waiting++;
}

void endpoint_start(struct endpoint *ep, struct upstream_call *call)
{
	if (ep->first == NULL && ep->carrier->send(ep, call))
		return;
	if (ep->waiting >= MAX_WAITING) {
		call_failed(call, E_OVERLOADED);
		return;
	}
	wait_for(ep, call);
	dial_more(ep);
	if (ep->nconns + ep->ndials == 0) { /* no dial could start */
		endpoint_unwait(ep, call);
		call_failed(call, E_OVERLOADED);
	}
}

void endpoint_vacant(struct endpoint *ep)
{
	if (ep->u->closing)
		return;
	while (ep->first != NULL) {
		struct upstream_call *call = ep->first;

		endpoint_unwait(ep, call);
		if (!ep->carrier->send(ep, call)) {
			wait_on(ep, call);
			break;
		}
	}
	dial_more(ep);
	if (ep->nconns + ep->ndials == 0) /* and none could be begun: nothing would ever wake them */
		fail_waiting(ep, ep->waiting, E_OVERLOADED);
}
