#include "control.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "api/ctl.h"
#include "authn/provider.h"
#include "base/clock.h"
#include "base/config.h"
#include "base/heap.h"
#include "base/log.h"
#include "base/pool.h"
#include "base/rnd.h"
#include "certs.h"
#include "crypto/hasher.h"
#include "crypto/seal.h"
#include "iam/audit.h"
#include "iam/signing_key.h"
#include "iam/throttle.h"
#include "issuers.h"
#include "mail/sender.h"
#include "master_key.h"
#include "metrics.h"
#include "nodes.h"
#include "obs/obs.h"
#include "post.h"
#include "readiness.h"
#include "retired.h"
#include "rotation.h"
#include "routing/compactor.h"
#include "routing/source.h"
#include "routing/table.h"
#include "snapshots.h"
#include "store/change.h"
#include "store/migrate.h"
#include "store/store.h"
#include "upstream/upstream.h"
#include "worker.h"

#define LANE_QUEUE 1024
#define RETRY_US (100 * CLOCK_MS)
#define AUDIT_PATIENCE (5 * CLOCK_SEC)

struct control {
	struct ctl ctl;
	struct config *config;
	struct retired *retired; /* those before it */
	struct store *store;
	struct seal *seal;
	struct hasher *hasher;
	struct throttle *throttle;
	struct audit *audit;
	struct pool *lane;
	struct obs *obs;
	struct obs_route *routes_table;
	struct route_source *source;
	struct route_compactor *compactor; /* NULL: routing is not in the store */
	struct feed *feed;
	struct post post;
	struct nodes nodes;
	struct issuers issuers;
	struct rotation rotation;
	int64_t loaded_seq; /* of the feed, before the first snapshots were read */
	struct readiness readiness;
	_Atomic bool basic_without_tls, verified_only;
	struct snapshots snapshots;

	pthread_mutex_t publish_mu; /* held while snapshots are read, adopted and applied */

	pthread_mutex_t stop_mu; /* guards stopping; stop_cond wakes a retry */
	pthread_cond_t stop_cond;
	bool stopping;

	struct worker *const *workers; /* set once before the feed starts */
	size_t nworkers;
};

/* ---- snapshots ----------------------------------------------------------------------------- */

static struct keyring *get_keys(struct ctl *ctl)
{
	return snapshots_keys(&((struct control *)ctl->impl)->snapshots);
}

static struct route_table *get_routes(struct ctl *ctl)
{
	return snapshots_routes(&((struct control *)ctl->impl)->snapshots);
}

static void adopt(struct control *c, const struct worker_snapshots *s)
{
	snapshots_adopt(&c->snapshots, s);
	nodes_follow(&c->nodes, s);
}

static struct snapshots_from from_store(const struct control *c)
{
	return (struct snapshots_from){ .store = c->store, .seal = c->seal, .source = c->source };
}

void control_snapshots(struct control *c, struct worker_snapshots *s)
{
	*s = c->snapshots.now;
}

/* ---- the change feed (its own thread) ------------------------------------------------------ */

/* True when the gateway stops; waits RETRY_US otherwise. */
static bool pause_or_stop(struct control *c)
{
	struct timespec until;
	int64_t t = clock_wall() + RETRY_US;
	bool stopping;

	until.tv_sec = (time_t)(t / CLOCK_SEC);
	until.tv_nsec = (long)(t % CLOCK_SEC * 1000);
	pthread_mutex_lock(&c->stop_mu);
	if (!c->stopping)
		(void)pthread_cond_timedwait(&c->stop_cond, &c->stop_mu, &until);
	stopping = c->stopping;
	pthread_mutex_unlock(&c->stop_mu);
	return stopping;
}

/* What a change made necessary must be read before the change counts as applied: while it can't be,
 * this waits, the state ages, and past authz.max_staleness decisions fail closed. */
static bool load_until_done(struct control *c, const struct snapshots_from *want,
    struct worker_snapshots *s)
{
	struct fail f = { 0 };

	while (snapshots_load(&c->snapshots, want, s, &f) != OK) {
		log_fail("a change could not be read; trying again", &f);
		fail_clear(&f);
		if (pause_or_stop(c))
			return false;
	}
	return true;
}

/* One at a time: the feed, and reloads of a routing file. What is read under publish_mu is adopted and
 * applied before anything newer is read, so workers never go back. */
static void publish(struct control *c, const struct snapshots_from *want, const struct change *changes,
    size_t n, bool flush, int64_t seq)
{
	struct worker_snapshots s = { 0 };

	pthread_mutex_lock(&c->publish_mu);
	if (load_until_done(c, want, &s)) {
		adopt(c, &s);
		workers_apply(c->workers, c->nworkers, changes, n, flush, seq, &s);
		if (s.routes != NULL && c->compactor != NULL)
			route_compactor_offer(c->compactor, s.routes);
	}
	snapshots_let_go(&s);
	pthread_mutex_unlock(&c->publish_mu);
}

static void apply(void *ctx, const struct change *changes, size_t n, bool flush, int64_t seq)
{
	struct control *c = ctx;
	struct snapshots_from want = from_store(c);

	want.keys = want.roles = want.routes = flush;
	for (size_t i = 0; i < n; i++) {
		want.keys |= changes[i].kind == CHANGE_KEY;
		want.roles |= changes[i].kind == CHANGE_ROLE || changes[i].kind == CHANGE_TENANT;
		want.routes |= changes[i].kind == CHANGE_ROUTING;
	}
	want.routes &= route_source_is_store(c->source);
	publish(c, &want, changes, n, flush, seq);
}

static void fresh(void *ctx, int64_t seq, int64_t wall)
{
	struct control *c = ctx;

	(void)seq;
	(void)wall;
	atomic_store_explicit(&c->readiness.fresh, true, memory_order_relaxed);
}

static enum err reload_routing(struct ctl *ctl, struct fail *f);

/* On the thread that watches the routing file or bucket. */
static void routing_changed(void *ctx)
{
	struct control *c = ctx;
	struct fail f = { 0 };

	if (reload_routing(&c->ctl, &f) == OK)
		log_info("routing has changed", LOG_Z("source", c->config->routing_source));
	else
		log_fail("the routing source has changed, but can't be used; the last good document stays",
		    &f);
	fail_clear(&f);
}

static enum err compactor_start(struct control *c, struct fail *f)
{
	if (!route_source_is_store(c->source))
		return OK;
	if (route_compactor_new(c->store, &c->compactor) != OK)
		return fail_set(f, E_NOMEM, "no thread for the routing documents");
	route_compactor_offer(c->compactor, c->snapshots.now.routes); /* what a crash has left undone */
	return OK;
}

enum err control_feed_start(struct control *c, struct worker *const *w, size_t n, struct fail *f)
{
	struct feed_config fc = { .nats_url = c->config->nats_url, .replica = c->ctl.replica,
		.from = c->loaded_seq };
	struct feed_hooks h = { .ctx = c, .apply = apply, .fresh = fresh };
	enum err e;

	c->workers = w;
	c->nworkers = n;
	e = compactor_start(c, f);
	if (e == OK)
		e = feed_start(&c->feed, c->store, &fc, &h, f);
	c->ctl.feed = c->feed;
	if (e == OK && route_source_watch(c->source, routing_changed, c) != OK)
		e = fail_set(f, E_NOMEM, "no thread for the routing source");
	return e;
}

void control_feed_stop(struct control *c)
{
	pthread_mutex_lock(&c->stop_mu);
	c->stopping = true;
	pthread_cond_broadcast(&c->stop_cond);
	pthread_mutex_unlock(&c->stop_mu);
	if (c->feed != NULL)
		feed_stop(c->feed);
	c->feed = NULL;
	if (c->source != NULL)
		route_source_unwatch(c->source);
}

void control_forget_workers(struct control *c)
{
	c->workers = NULL;
	c->nworkers = 0;
}

void control_tick(struct control *c)
{
	readiness_tick(&c->readiness, c->store, feed_age(c->feed), c->config->authz_max_staleness);
	rotation_tick(&c->rotation);
}

/* ---- what handlers ask --------------------------------------------------------------------- */

static const char *not_ready(struct ctl *ctl)
{
	return readiness_failing(&((struct control *)ctl->impl)->readiness);
}

/* With publish_mu held. */
static void hand_out(struct control *c, struct worker_snapshots *s)
{
	adopt(c, s);
	workers_apply(c->workers, c->nworkers, NULL, 0, false, 0, s);
}

/* A file is read now; a bad one changes nothing. The store's document is followed by the feed. */
static enum err reload_routing(struct ctl *ctl, struct fail *f)
{
	struct control *c = ctl->impl;
	struct worker_snapshots s = { 0 };
	enum err e;

	if (route_source_is_store(c->source))
		return feed_sync(c->feed, 5 * CLOCK_SEC);
	pthread_mutex_lock(&c->publish_mu);
	e = route_source_load(c->source, c->snapshots.now.routes, &s.routes, f);
	if (e == OK)
		hand_out(c, &s);
	snapshots_let_go(&s);
	pthread_mutex_unlock(&c->publish_mu);
	return e;
}

static void certificate_expiry(struct ctl *ctl, int64_t *clients, int64_t *nodes)
{
	struct certs certs = snapshots_certs(&((struct control *)ctl->impl)->snapshots);

	certs_expiry(&certs, clients, nodes);
	certs_unref(&certs);
}

static void write_metrics(struct ctl *ctl, struct buf *out)
{
	struct control *c = ctl->impl;
	struct route_table *t = get_routes(ctl);
	struct certs certs = snapshots_certs(&c->snapshots);
	struct upstream *ups[1024];
	size_t n = c->nworkers < 1024 ? c->nworkers : 1024;

	for (size_t i = 0; i < n; i++)
		ups[i] = worker_upstream(c->workers[i]);
	metrics_write_state(c->store, c->feed, c->hasher, route_table_revision(t), out);
	upstream_write_metrics(ups, n, out);
	nodes_write_metrics(&c->nodes, out);
	certs_write_metrics(&certs, out);
	certs_unref(&certs);
	mail_sender_write_metrics(c->post.sender, out);
	providers_write_metrics(c->issuers.providers, out);
	throttle_write_metrics(c->throttle, out);
	route_table_unref(t);
}

void control_equip(struct control *c, struct worker_config *w)
{
	w->ctl = &c->ctl;
	w->obs = c->obs;
	w->lane = c->lane;
	w->store = c->store;
	w->seal = c->seal;
	w->fleet = c->nodes.fleet;
	w->issuers = c->issuers.tokens;
	w->nissuers = c->issuers.ntokens;
	w->state_fresh = &c->readiness.fresh;
	w->draining = &c->readiness.draining;
	w->basic_without_tls = &c->basic_without_tls;
	w->verified_only = &c->verified_only;
}

int64_t control_drain(struct control *c)
{
	int64_t timeout = c->config->drain_timeout;

	log_info("draining", LOG_I("timeout_s", timeout / CLOCK_SEC));
	atomic_store(&c->readiness.draining, true);
	return timeout;
}

/* The drain is over: calls of the store and fetches that still hang are not waited for, but for what the
 * audit log still has to say of requests that were answered. */
void control_lane_stop(struct control *c)
{
	(void)audit_flush(c->audit, AUDIT_PATIENCE);
	store_stop(c->store);
	issuers_stop(&c->issuers);
	pool_stop(c->lane);
}

/* ---- construction -------------------------------------------------------------------------- */

static enum err open_store(struct control *c, bool check, struct fail *f)
{
	const struct config *k = c->config;
	struct store_config sc = {
		.url = k->store_url,
		.timeout_us = k->store_timeout,
		.ca = k->store_ca,
		.cert = k->store_cert,
		.key = k->store_key,
		.read_only = check,
	};
	enum err e = store_open(&c->store, &sc, f);

	if (e == OK && k->store_auto_migrate && !check)
		e = migrate_up(c->store, migrations_embedded, clock_wall(), NULL, f);
	else if (e == OK)
		e = migrate_check(c->store, migrations_embedded, f);
	return e;
}

/* Callers that wait for a hash each hold a thread of the lane: some threads are always left for
 * everything else, and a sign-in past that is refused at once. */
static size_t hash_queue(const struct config *k)
{
	int64_t left = k->control_threads - k->auth_hash_threads - (k->control_threads + 3) / 4;

	left = left > 0 ? left : 0;
	return (size_t)(k->auth_hash_queue < left ? k->auth_hash_queue : left);
}

static enum err new_lane(struct control *c)
{
	const struct config *k = c->config;
	struct password_params p = password_params_of(k);
	enum err e = hasher_new(&p, (int)k->auth_hash_threads, hash_queue(k), &c->hasher);

	if (e == OK)
		e = throttle_new(c->store, c->seal, &c->throttle);
	if (e == OK)
		throttle_configure(c->throttle, k);
	if (e == OK)
		e = pool_new(&c->lane, "control", (int)k->control_threads, LANE_QUEUE);
	return e == OK ? metrics_obs_new(&c->obs, &c->routes_table) : e;
}

static void fill_ctl(struct control *c)
{
	c->ctl.store = c->store;
	c->ctl.seal = c->seal;
	c->ctl.hasher = c->hasher;
	c->ctl.throttle = c->throttle;
	c->ctl.obs = c->obs;
	c->ctl.fleet = c->nodes.fleet;
	c->ctl.templates = c->post.templates;
	c->ctl.audit = c->audit;
	c->ctl.config = c->config;
	c->ctl.issuer = str_c(c->config->auth_issuer);
	c->ctl.audience = str_c(c->config->auth_audience);
	c->ctl.keys = get_keys;
	c->ctl.routes = get_routes;
	c->ctl.write_metrics = write_metrics;
	c->ctl.certificate_expiry = certificate_expiry;
	c->ctl.not_ready = not_ready;
	c->ctl.reload_routing = reload_routing;
	c->ctl.routing_in_store = route_source_is_store(c->source);
	c->ctl.impl = c;
}

enum err control_bound(struct control *c, unsigned short http_port, struct fail *f)
{
	enum err e;

	c->config->listen_http.bound = http_port;
	e = config_resolve(c->config, f);
	c->ctl.issuer = str_c(c->config->auth_issuer);
	return e;
}

static enum err load_all(struct control *c, bool check, struct fail *f)
{
	struct worker_snapshots s = { 0 };
	struct snapshots_from all;
	enum err e = route_source_new(c->store, c->config->routing_source, c->config->nats_url,
	    &c->source, f);

	if (e == OK && !check)
		e = iam_signing_key_ensure(c->store, c->seal, clock_wall(), f);
	if (e == OK)
		e = change_seq_read(c->store, &c->loaded_seq, f); /* what changes from here on comes by the feed */
	all = from_store(c);
	all.keys = all.roles = all.routes = true;
	if (e == OK)
		e = snapshots_load(&c->snapshots, &all, &s, f);
	if (e != OK)
		return e;
	adopt(c, &s);
	snapshots_let_go(&s);
	return OK;
}

enum err control_new(struct config *config, bool check, struct control **out, struct fail *f)
{
	struct control *c = heap_zalloc(sizeof *c);
	enum err e;

	if (c == NULL)
		return fail_set(f, E_NOMEM, "out of memory");
	c->config = config;
	c->ctl.replica = id_new(clock_wall());
	atomic_store(&c->readiness.writable, true);
	atomic_store(&c->basic_without_tls, config->auth_allow_basic_without_tls);
	atomic_store(&c->verified_only, config->auth_signup == SIGNUP_VERIFY);
	snapshots_init(&c->snapshots);
	pthread_mutex_init(&c->publish_mu, NULL);
	pthread_mutex_init(&c->stop_mu, NULL);
	pthread_cond_init(&c->stop_cond, NULL);
	e = certs_load(config, &c->snapshots.now.certs, f);
	if (e == OK)
		e = nodes_open(&c->nodes, config, &c->snapshots.now.certs, check);
	if (e == OK)
		e = open_store(c, check, f);
	if (e == OK)
		e = master_key_open(config, c->store, check, &c->seal, f);
	if (e == OK)
		e = post_open(&c->post, config, f);
	if (e == OK)
		e = issuers_open(&c->issuers, config, f);
	if (e == OK)
		e = load_all(c, check, f);
	if (e == OK)
		e = new_lane(c);
	if (e == OK && !check)
		e = audit_new(c->store, c->ctl.replica, &c->audit);
	if (e == OK)
		fill_ctl(c);
	c->rotation.ctl = &c->ctl;
	c->rotation.lane = c->lane;
	if (e == OK && !check)
		e = post_start(&c->post, &c->ctl, f);
	if (e == OK && !check)
		e = issuers_start(&c->issuers, &c->ctl, f);
	if (e != OK) {
		if (f->err == OK)
			fail_set(f, e, "%s", err_info(e)->text);
		c->config = NULL;
		control_free(c);
		return e;
	}
	*out = c;
	return OK;
}

void control_free(struct control *c)
{
	if (c == NULL)
		return;
	issuers_stop(&c->issuers);
	pool_free(c->lane);
	issuers_close(&c->issuers);
	post_close(&c->post);
	audit_free(c->audit);
	throttle_free(c->throttle);
	hasher_free(c->hasher);
	nodes_close(&c->nodes);
	route_compactor_free(c->compactor);
	route_source_free(c->source);
	snapshots_release(&c->snapshots);
	obs_free(c->obs);
	heap_free(c->routes_table);
	seal_free(c->seal);
	store_close(c->store);
	retired_free(c->retired);
	config_free(c->config);
	pthread_cond_destroy(&c->stop_cond);
	pthread_mutex_destroy(&c->stop_mu);
	pthread_mutex_destroy(&c->publish_mu);
	heap_free(c);
}

/* ---- SIGHUP (main thread) ------------------------------------------------------------------ */

static void say_fixed(const bool changed[CONFIG__COUNT])
{
	for (int i = 0; i < CONFIG__COUNT; i++)
		if (changed[i])
			log_warn("this key changes only at a restart; the old value stays",
			    LOG_Z("key", config_keys[i].name));
}

/* Routing, certificates and calls to nodes as `next` says; all of it or nothing. */
static enum err reload_files(struct control *c, const struct config *next, struct fail *f)
{
	struct worker_snapshots s = { 0 };
	enum err e = certs_check_reload(c->config, next, f);

	if (e == OK)
		e = certs_load(next, &s.certs, f);
	if (e == OK)
		e = reload_routing(&c->ctl, f);
	s.config = config_same(next, c->config) ? NULL : next;
	pthread_mutex_lock(&c->publish_mu);
	if (e == OK)
		hand_out(c, &s);
	pthread_mutex_unlock(&c->publish_mu);
	snapshots_let_go(&s);
	return e;
}

enum err control_reload(struct control *c, struct config *next, struct fail *f)
{
	const struct password_params params = password_params_of(next);
	bool changed[CONFIG__COUNT] = { false }, same;
	enum err e;

	e = config_keep_fixed(next, c->config, changed);
	next->listen_http.bound = c->config->listen_http.bound;
	if (e == OK)
		e = config_resolve(next, f);
	if (e == OK)
		e = post_check(next, f);
	if (e == OK)
		e = retired_reserve(&c->retired);
	if (e == OK)
		e = reload_files(c, next, f);
	if (e != OK)
		return e;
	same = config_same(next, c->config); /* only files that it names have changed */
	say_fixed(changed);
	if (same) {
		config_free(next);
		return OK;
	}
	log_configure((enum log_level)next->log_level, next->log_format == LOG_FORMAT_TEXT);
	retired_add_take(c->retired, c->config);
	c->config = next;
	atomic_store(&c->ctl.config, next);
	atomic_store(&c->basic_without_tls, next->auth_allow_basic_without_tls);
	atomic_store(&c->verified_only, next->auth_signup == SIGNUP_VERIFY);
	throttle_configure(c->throttle, next);
	hasher_configure(c->hasher, &params);
	return OK;
}
