#include "upstream/upstream.h"

#include "base/heap.h"
#include "crypto/tls_client.h"
#include "crypto/tls_session.h"
#include "upstream/budget.h"
#include "upstream/call.h"
#include "upstream/endpoint.h"
#include "upstream/fleet.h"
#include "upstream/http2.h"
#include "upstream/resolver.h"
#include "upstream/state.h"

#define SWEEP_BREATH 2000 /* microseconds between two parts of a sweep */

static int64_t sweep_pause(const struct upstream *u)
{
	return u->config.idle_timeout_us / 4 + 1;
}

static void sweep_cb(struct loop_timer *t)
{
	struct upstream *u = (struct upstream *)((char *)t - offsetof(struct upstream, sweep));
	bool through = shards_sweep(u, loop_now(u->loop) - u->config.idle_timeout_us);

	(void)loop_timer_set(u->loop, t, through ? sweep_pause(u) : SWEEP_BREATH);
}

static int64_t hook_cb(struct loop_hook *h)
{
	http2_write_all((struct upstream *)((char *)h - offsetof(struct upstream, hook)));
	return -1;
}

enum err upstream_new(const struct upstream_config *c, struct loop *loop, struct upstream **out)
{
	struct upstream *u = heap_zalloc(sizeof *u);
	enum err e = E_NOMEM;

	if (u == NULL)
		return E_NOMEM;
	u->config = *c;
	u->loop = loop;
	u->fleet = c->fleet;
	u->own_fleet = c->fleet == NULL;
	pthread_mutex_init(&u->records, NULL);
	u->sweep.cb = sweep_cb;
	u->hook.cb = hook_cb;
	buf_init(&u->out, UPSTREAM_MAX_OUT);
	buf_init(&u->frames, UPSTREAM_MAX_OUT);
	u->scratch = heap_alloc(UPSTREAM_SCRATCH);
	if (u->scratch != NULL)
		e = u->own_fleet ? fleet_new(&u->fleet) : OK;
	if (e == OK)
		e = resolver_new(loop, &u->resolver);
	if (e == OK)
		e = tls_buffers_new(&u->tls_buffers);
	if (e == OK)
		e = loop_timer_set(loop, &u->sweep, sweep_pause(u));
	if (e != OK) {
		upstream_free(u);
		return e;
	}
	loop_hook_add(loop, &u->hook);
	*out = u;
	return OK;
}

void upstream_set_tls_take(struct upstream *u, struct tls_client *t)
{
	tls_client_unref(u->tls);
	u->tls = t;
}

void upstream_set_routes_take(struct upstream *u, struct route_table *t)
{
	route_table_unref(u->routes);
	u->routes = t;
}

void upstream_free(struct upstream *u)
{
	if (u == NULL)
		return;
	u->closing = true;
	while (u->calls != NULL)
		upstream_cancel(u->calls);
	for (struct shard *s = atomic_load(&u->shards); s != NULL; s = atomic_load(&s->next))
		for (struct endpoint *ep = atomic_load(&s->endpoints); ep != NULL; ep = atomic_load(&ep->next))
			endpoint_close(ep);
	loop_timer_clear(u->loop, &u->sweep);
	loop_hook_del(u->loop, &u->hook);
	resolver_free(u->resolver);
	route_table_unref(u->routes);
	tls_client_unref(u->tls);
	tls_buffers_free(u->tls_buffers);
	shards_free(u);
	if (u->own_fleet)
		fleet_free(u->fleet);
	pthread_mutex_destroy(&u->records);
	calls_free(u);
	buf_release(&u->out);
	buf_release(&u->frames);
	heap_free(u->scratch);
	heap_free(u);
}

void upstream_configure(struct upstream *u, const struct upstream_config *c)
{
	size_t max_response = u->config.max_response;

	u->config = *c;
	u->config.max_response = max_response; /* the buffers of recycled calls have it */
	u->swept = NULL;
	(void)loop_timer_set(u->loop, &u->sweep, 0); /* armed before: can't fail */
}

/* The callback of a call that could not even be made. */
static void refuse(upstream_cb *cb, void *arg, enum err e)
{
	struct upstream_response r = { .err = e, .grpc_status = 2 };

	cb(arg, &r);
}

void upstream_send(struct upstream *u, const struct upstream_request *req, upstream_cb *cb, void *arg,
    struct upstream_call **out)
{
	struct upstream_call *call = call_new(u);
	enum err e;

	if (out != NULL)
		*out = call;
	if (call == NULL) {
		refuse(cb, arg, E_NOMEM);
		return;
	}
	e = call_prepare(call, req);
	call->cb = cb;
	call->arg = arg;
	if (e != OK) {
		call_refuse(call, e == E_LIMIT ? E_HEADERS_TOO_LARGE : e);
		return;
	}
	budget_earn(call->shard->budget, &call->shard->earned, u->config.retry_percent);
	call_try(call, NULL);
}
