#include "worker.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>

#include "api/api.h"
#include "api/ctl.h"
#include "authn/authn.h"
#include "authz/decision.h"
#include "authz/principal_cache.h"
#include "base/clock.h"
#include "base/config.h"
#include "base/heap.h"
#include "base/loop.h"
#include "base/thread.h"
#include "crypto/keyring.h"
#include "front/front.h"
#include "front/gate.h"
#include "obs/obs.h"
#include "proxy/proxy.h"
#include "routing/table.h"
#include "store/change.h"
#include "upstream/upstream.h"

#define PRINCIPALS_MAX 100000
#define TOKENS_MAX 50000
#define EXTERNAL_LEEWAY (60 * CLOCK_SEC) /* that an issuer's clock may be ahead of ours */
#define RESPONSE_MAX (16u << 20)

struct worker {
	int index;
	bool started;
	pthread_t thread;
	sem_t go;
	struct loop *loop;
	struct obs_worker *obs;
	struct principal_cache *principals;
	struct authn *authn;
	struct upstream *upstream;
	struct fleet *fleet;
	struct proxy *proxy;
	struct api *api;
	struct gate *gate;
	struct front *front;
	struct drain_msg {
		struct loop_msg msg;
		struct worker *worker;
		atomic_int *left;
	} drain;
};

/* What is configured holds for the process: connections are shared out, the first workers have the rest. */
static struct upstream_config upstream_config_of(const struct worker *w, const struct config *c)
{
	int64_t connections = c->upstream_max_connections;

	return (struct upstream_config){
		.connect_timeout_us = c->upstream_connect_timeout,
		.first_byte_timeout_us = c->upstream_first_byte_timeout,
		.total_timeout_us = c->upstream_timeout,
		.idle_timeout_us = c->upstream_idle_timeout,
		.max_connections = (size_t)(connections / c->workers + (w->index < connections % c->workers)),
		.max_response = RESPONSE_MAX,
		.retry_percent = (unsigned)c->upstream_retry_budget,
		.fleet = w->fleet,
	};
}

static struct front_limits limits_of(const struct config *c)
{
	return (struct front_limits){
		.body = (size_t)c->limits_body,
		.headers = (size_t)c->limits_headers,
		.header_count = (size_t)c->limits_header_count,
		.header_timeout_us = c->timeouts_header,
		.body_timeout_us = c->timeouts_body,
		.idle_timeout_us = c->timeouts_idle,
	};
}

static void reconfigure(struct worker *w, const struct config *c)
{
	struct upstream_config uc = upstream_config_of(w, c);
	struct front_limits limits = limits_of(c);
	struct proxy_config pc = { .timeout_us = c->upstream_timeout };

	upstream_configure(w->upstream, &uc);
	proxy_configure(w->proxy, &pc);
	api_configure(w->api, (size_t)c->limits_body, &c->cors_origins);
	front_configure(w->front, &limits);
	gate_set(w->gate, (size_t)c->limits_requests);
	obs_worker_set_access_log(w->obs, c->access_log);
}

static void install(struct worker *w, const struct worker_snapshots *s)
{
	if (s->keys != NULL)
		authn_set_keys_take(w->authn, keyring_ref(s->keys));
	if (s->roles != NULL)
		api_set_roles_take(w->api, role_set_ref(s->roles));
	if (s->routes != NULL) {
		proxy_set_routes_take(w->proxy, route_table_ref(s->routes));
		upstream_set_routes_take(w->upstream, route_table_ref(s->routes));
	}
	if (s->certs.nodes != NULL) {
		struct certs certs = certs_ref(&s->certs);

		upstream_set_tls_take(w->upstream, certs.nodes);
		front_set_tls_take(w->front, certs.listeners);
	}
	if (s->config != NULL)
		reconfigure(w, s->config);
}

static void catch_up(void *ctx)
{
	(void)feed_sync(((const struct ctl *)ctx)->feed, CLOCK_SEC);
}

static enum err new_authn(struct worker *w, const struct worker_config *c)
{
	struct authn_config ac = {
		.issuer = c->ctl->issuer,
		.audience = c->ctl->audience,
		.basic_without_tls = c->basic_without_tls,
		.verified_only = c->verified_only,
		.issuers = c->issuers,
		.nissuers = c->nissuers,
		.leeway_us = EXTERNAL_LEEWAY,
		.max_tokens = TOKENS_MAX,
		.loop = w->loop,
		.obs = w->obs,
		.lane = c->lane,
		.store = c->store,
		.hasher = c->ctl->hasher,
		.throttle = c->ctl->throttle,
		.catch_up = catch_up,
		.catch_up_ctx = c->ctl,
	};
	enum err e = principal_cache_new(w->loop, c->lane, c->store, PRINCIPALS_MAX, &w->principals);

	if (e != OK)
		return e;
	ac.principals = w->principals;
	return authn_new(&ac, &w->authn);
}

static enum err new_proxy(struct worker *w, const struct config *c)
{
	struct upstream_config uc = upstream_config_of(w, c);
	struct proxy_config pc = { .timeout_us = c->upstream_timeout };
	enum err e = upstream_new(&uc, w->loop, &w->upstream);

	return e != OK ? e : proxy_new(&pc, w->loop, w->upstream, w->obs, &w->proxy);
}

static enum err new_api(struct worker *w, const struct worker_config *c)
{
	struct api_config ac = {
		.loop = w->loop,
		.obs = w->obs,
		.authn = w->authn,
		.proxy = w->proxy,
		.lane = c->lane,
		.ctl = c->ctl,
		.max_body = (size_t)c->config->limits_body,
		.cors_origins = &c->config->cors_origins,
		.state_fresh = c->state_fresh,
		.draining = c->draining,
	};

	return api_new(&ac, &w->api);
}

static enum err new_front(struct worker *w, const struct worker_config *c, struct fail *f)
{
	struct front_config fc = {
		.http_fd = c->http_fd,
		.grpc_fd = c->grpc_fd,
		.admin_fd = c->admin_fd,
		.http_crew = c->http_crew,
		.grpc_crew = c->grpc_crew,
		.peers = c->peers,
		.gate = c->gate,
		.limits = limits_of(c->config),
	};

	return front_new(&fc, w->loop, w->api, w->obs, &w->front, f);
}

enum err worker_new(const struct worker_config *c, const struct worker_snapshots *s,
    struct worker **out, struct fail *f)
{
	struct worker *w = heap_zalloc(sizeof *w);
	enum err e = E_NOMEM;

	if (w == NULL)
		return fail_set(f, e, "out of memory");
	w->index = c->index;
	w->gate = c->gate;
	w->fleet = c->fleet;
	w->drain.worker = w;
	sem_init(&w->go, 0, 0);
	e = loop_new(&w->loop);
	if (e == OK)
		e = obs_worker_new(c->obs, w->loop, c->config->access_log, &w->obs);
	if (e == OK)
		e = new_authn(w, c);
	if (e == OK)
		e = new_proxy(w, c->config);
	if (e == OK)
		e = new_api(w, c);
	if (e == OK)
		e = new_front(w, c, f);
	if (e != OK) {
		if (f->err == OK)
			fail_set(f, e, "worker %d: %s", c->index, err_info(e)->text);
		worker_free(w);
		return e;
	}
	install(w, s);
	*out = w;
	return OK;
}

void worker_free(struct worker *w)
{
	if (w == NULL)
		return;
	front_free(w->front);
	api_free(w->api);
	proxy_free(w->proxy);
	upstream_free(w->upstream);
	authn_free(w->authn);
	principal_cache_free(w->principals);
	obs_worker_free(w->obs);
	loop_free(w->loop);
	sem_destroy(&w->go);
	heap_free(w);
}

static void *thread_main(void *arg)
{
	struct worker *w = arg;

	while (sem_wait(&w->go) != 0)
		;
	loop_run(w->loop);
	return NULL;
}

void worker_go(struct worker *w)
{
	sem_post(&w->go);
}

enum err worker_start(struct worker *w)
{
	char name[16];
	enum err e;

	snprintf(name, sizeof name, "worker/%d", w->index % 1000);
	e = thread_start(&w->thread, name, thread_main, w);
	w->started = e == OK;
	return e;
}

void worker_join(struct worker *w)
{
	if (!w->started)
		return;
	loop_stop(w->loop);
	worker_go(w);
	pthread_join(w->thread, NULL);
	w->started = false;
}

void worker_settle(struct worker *w)
{
	loop_drain(w->loop);
}

struct upstream *worker_upstream(struct worker *w)
{
	return w->upstream;
}

/* ---- the change feed ----------------------------------------------------------------------- */

/* One round: lives on the feed thread's stack until every worker has acknowledged. */
struct round {
	pthread_mutex_t mu;
	pthread_cond_t done;
	size_t left; /* guarded by mu */
	const struct change *changes;
	size_t n;
	bool flush;
	int64_t seq;
	const struct worker_snapshots *snapshots;
};

struct round_msg {
	struct loop_msg msg;
	struct worker *worker;
	struct round *round;
};

static struct id change_id(const struct change *c)
{
	struct id id = { { 0 } };

	if (c->key.n == sizeof id.b)
		memcpy(id.b, c->key.p, sizeof id.b);
	return id;
}

static void apply_change(struct worker *w, const struct change *c)
{
	switch (c->kind) {
	case CHANGE_PRINCIPAL:
		principal_cache_drop(w->principals, change_id(c), c->seq);
		break;
	case CHANGE_SESSION:
		principal_cache_drop_session(w->principals, change_id(c), c->seq);
		break;
	case CHANGE_CREDENTIAL: /* tokens hang on it as on a session */
		authn_flush(w->authn);
		principal_cache_drop_session(w->principals, change_id(c), c->seq);
		break;
	case CHANGE_TENANT: /* rare, and what hangs on it is not indexed by it */
		authn_flush(w->authn);
		principal_cache_flush(w->principals, c->seq);
		break;
	case CHANGE_ROLE: /* came as snapshots */
	case CHANGE_KEY:
	case CHANGE_ROUTING:
		break;
	}
}

static void round_cb(struct loop_msg *m)
{
	struct round_msg *rm = (struct round_msg *)m;
	struct worker *w = rm->worker;
	struct round *r = rm->round;

	install(w, r->snapshots);
	if (r->flush) {
		authn_flush(w->authn);
		principal_cache_flush(w->principals, r->seq);
	}
	for (size_t i = 0; i < r->n; i++)
		apply_change(w, &r->changes[i]);
	principal_cache_applied(w->principals, r->seq);
	pthread_mutex_lock(&r->mu);
	if (--r->left == 0)
		pthread_cond_signal(&r->done);
	pthread_mutex_unlock(&r->mu);
}

void workers_apply(struct worker *const *w, size_t n, const struct change *c, size_t nchanges,
    bool flush, int64_t seq, const struct worker_snapshots *s)
{
	struct round r = { .left = n, .changes = c, .n = nchanges, .flush = flush, .seq = seq,
		.snapshots = s };
	struct round_msg msgs[1024];

	pthread_mutex_init(&r.mu, NULL);
	pthread_cond_init(&r.done, NULL);
	for (size_t i = 0; i < n; i++) {
		msgs[i] = (struct round_msg){ .msg = { .cb = round_cb }, .worker = w[i], .round = &r };
		loop_post(w[i]->loop, &msgs[i].msg);
	}
	pthread_mutex_lock(&r.mu);
	while (r.left > 0)
		pthread_cond_wait(&r.done, &r.mu);
	pthread_mutex_unlock(&r.mu);
	pthread_cond_destroy(&r.done);
	pthread_mutex_destroy(&r.mu);
}

/* ---- the end ------------------------------------------------------------------------------- */

static void idle_cb(void *arg)
{
	atomic_fetch_sub((atomic_int *)arg, 1);
}

static void drain_cb(struct loop_msg *m)
{
	struct drain_msg *d = (struct drain_msg *)m;

	front_drain(d->worker->front, idle_cb, d->left);
}

void workers_drain(struct worker *const *w, size_t n, atomic_int *left)
{
	atomic_store(left, (int)n);
	for (size_t i = 0; i < n; i++) {
		w[i]->drain.msg.cb = drain_cb;
		w[i]->drain.left = left;
		loop_post(w[i]->loop, &w[i]->drain.msg);
	}
}
