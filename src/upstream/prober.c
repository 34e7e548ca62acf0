#include "upstream/prober.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/heap.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/rnd.h"
#include "base/thread.h"
#include "crypto/tls_client.h"
#include "obs/obs.h"
#include "routing/table.h"
#include "routing/url.h"
#include "upstream/endpoint.h"
#include "upstream/fleet.h"
#include "upstream/state.h"
#include "upstream/upstream.h"

#define PACE (CLOCK_SEC / PROBER_A_SECOND)
#define BURST (20 * CLOCK_MS) /* whose checks may begin at once, when there were none for a while */
#define HASTE 5           /* how much more often, while a change is being confirmed */
#define ANSWER_MAX 65536  /* bytes of a check's answer */

/* A node that routing names. */
struct target {
	struct loop_timer timer;
	struct prober *p;
	struct target *prev, *next; /* of all */
	struct target *before, *behind; /* of those that are due */
	struct fleet_node *node;    /* a reference */
	struct check *check;        /* under way */
	unsigned generation;        /* of the routing that named it last */
	unsigned streak;            /* results in a row that speak against what holds */
	bool waits;                 /* is queued */
};

/* One question. It outlives its target when that goes. */
struct check {
	struct check *prev, *next; /* of those that run, or (next) that have ended */
	struct prober *p;
	struct target *target; /* NULL: gone */
	struct upstream_call *call;
	struct route_endpoint ep;
	struct route_shard shard;
	char name[24]; /* of the shard: the check's number */
	char url[];
};

struct prober {
	struct prober_config config;
	struct fleet *fleet;
	struct loop *loop;
	struct upstream *up;
	pthread_t thread;
	bool started;
	struct target *targets;
	struct target *due, *due_last; /* whose turn has come */
	int64_t turn;              /* when the next may begin; loop time */
	struct loop_timer pace;
	uint64_t number;
	unsigned generation;
	struct check *checks;      /* that run */
	size_t running;
	struct check *ended;       /* to be freed when nobody stands on them */
	struct loop_timer tidy;
	_Atomic uint64_t good, bad; /* results */
};

/* ---- when ------------------------------------------------------------------------------------------- */

static int64_t up_to(int64_t us)
{
	uint64_t r;

	rnd_bytes(&r, sizeof r);
	return us > 0 ? (int64_t)(r % (uint64_t)us) : 0;
}

static void check_in(struct target *t, int64_t delay)
{
	if (loop_timer_set(t->p->loop, &t->timer, delay) != OK)
		log_error("out of memory: a node is not checked any more", LOG_S("node", t->node->url));
}

/* A tenth more or less, so that those that began together do not stay together. */
static void check_again(struct target *t)
{
	int64_t us = t->p->config.interval_us;

	if (us == 0)
		return;
	if (t->streak > 0)
		us /= HASTE;
	check_in(t, us - us / 10 + up_to(us / 5));
}

/* ---- what an answer means --------------------------------------------------------------------------- */

/* HealthCheckResponse.status (grpc.health.v1): SERVING. */
static bool serving(struct str message)
{
	return message.n >= 2 && message.p[0] == 0x08 && message.p[1] == 0x01;
}

#define GRPC_UNIMPLEMENTED 12

static bool is_well(const struct upstream_response *r, bool grpc)
{
	if (r->err != OK)
		return false;
	if (!grpc)
		return r->status < 500 || r->status == 501;
	return r->grpc_status == GRPC_UNIMPLEMENTED || (r->grpc_status == 0 && serving(r->body));
}

static void change(struct target *t, enum health to, enum err why)
{
	struct fleet_node *n = t->node;
	enum health was = fleet_node_health(n);

	atomic_store(&n->reason, (int)why);
	atomic_store(&n->since, clock_wall());
	atomic_store(&n->health, (int)to);
	t->streak = 0;
	if (to == HEALTH_DOWN)
		log_warn("a node is down", LOG_S("node", n->url),
		    LOG_Z("reason", why != OK ? err_info(why)->text : "it says that it is not ready"));
	else if (was == HEALTH_DOWN)
		log_info("a node is up again", LOG_S("node", n->url));
}

static void judge(struct target *t, bool well, enum err why)
{
	const struct prober_config *c = &t->p->config;
	enum health h = fleet_node_health(t->node);

	atomic_fetch_add_explicit(well ? &t->p->good : &t->p->bad, 1, memory_order_relaxed);
	if (c->interval_us == 0)
		return; /* switched off meanwhile */
	if (h == HEALTH_UNKNOWN && well)
		change(t, HEALTH_UP, OK);
	else if (well == (h != HEALTH_DOWN))
		t->streak = 0;
	else if (++t->streak >= (well ? c->rise : c->fall))
		change(t, well ? HEALTH_UP : HEALTH_DOWN, why);
}

/* ---- one check -------------------------------------------------------------------------------------- */

static void run_due(struct prober *p);

/* The endpoint that the call made is freed with its connection, and with it all that a check ever took. */
static void tidy_cb(struct loop_timer *timer)
{
	struct prober *p = (struct prober *)((char *)timer - offsetof(struct prober, tidy));

	while (p->ended != NULL) {
		struct check *c = p->ended;
		struct shard *s = shard_get(p->up, c->shard.kind, c->shard.name);

		p->ended = c->next;
		if (s != NULL)
			shard_free(s);
		heap_free(c);
	}
	run_due(p);
}

/* Not freed at once: the connection that brought the answer is still on the stack. */
static void check_end(struct check *c)
{
	struct prober *p = c->p;

	p->running--;
	*(c->prev != NULL ? &c->prev->next : &p->checks) = c->next;
	if (c->next != NULL)
		c->next->prev = c->prev;
	if (c->target != NULL)
		c->target->check = NULL;
	c->next = p->ended;
	p->ended = c;
	(void)loop_timer_set(p->loop, &p->tidy, 0); /* when it can't, the next one's will do */
}

static void answer_cb(void *arg, const struct upstream_response *r)
{
	struct check *c = arg;
	struct target *t = c->target;

	if (t != NULL) {
		judge(t, is_well(r, c->ep.scheme == SCHEME_GRPC || c->ep.scheme == SCHEME_GRPCS), r->err);
		check_again(t);
	}
	check_end(c);
}

static void send(struct check *c)
{
	static const struct header http[] = { { STR("accept"), STR("*/*") },
		{ STR("user-agent"), STR("gatewayd-health-check") } };
	static const struct header grpc[] = { { STR("te"), STR("trailers") },
		{ STR("content-type"), STR("application/grpc") },
		{ STR("user-agent"), STR("gatewayd-health-check") } };
	struct prober *p = c->p;
	struct upstream_request q = {
		.shard = &c->shard,
		.method = STR("GET"),
		.path = str_c(p->config.path),
		.headers = http,
		.nheaders = 2,
		.deadline = clock_mono() + p->config.timeout_us,
	};

	if (c->ep.scheme == SCHEME_GRPC || c->ep.scheme == SCHEME_GRPCS) {
		q.grpc = true;
		q.method = STR("POST");
		q.path = STR("/grpc.health.v1.Health/Check");
		q.headers = grpc;
		q.nheaders = 3;
	}
	upstream_send(p->up, &q, answer_cb, c, &c->call);
}

static void check_begin(struct target *t)
{
	struct prober *p = t->p;
	struct str url = t->node->url;
	struct check *c = heap_zalloc(sizeof *c + url.n + 1);

	if (c != NULL)
		memcpy(c->url, url.p, url.n);
	if (c == NULL || route_url_parse(str_n(c->url, url.n), &c->ep) != NULL) {
		heap_free(c);
		check_again(t);
		return;
	}
	snprintf(c->name, sizeof c->name, "%llu", (unsigned long long)p->number++);
	c->p = p;
	c->ep.url = c->ep.admin = str_n(c->url, url.n);
	c->ep.weight = 1;
	c->shard = (struct route_shard){ ROUTE_AGGREGATE, str_c(c->name), &c->ep, 1 };
	c->target = t;
	t->check = c;
	c->next = p->checks;
	if (c->next != NULL)
		c->next->prev = c;
	p->checks = c;
	p->running++;
	send(c);
}

/* False: it is too early. */
static bool take_turn(struct prober *p)
{
	int64_t now = loop_now(p->loop);

	if (p->turn > now) {
		(void)loop_timer_set(p->loop, &p->pace, p->turn - now); /* else the next one due will do */
		return false;
	}
	p->turn = (p->turn > now - BURST ? p->turn : now - BURST) + PACE;
	return true;
}

static void enqueue(struct target *t)
{
	struct prober *p = t->p;

	t->waits = true;
	t->behind = NULL;
	t->before = p->due_last;
	*(t->before != NULL ? &t->before->behind : &p->due) = t;
	p->due_last = t;
}

static void dequeue(struct target *t)
{
	struct prober *p = t->p;

	*(t->before != NULL ? &t->before->behind : &p->due) = t->behind;
	*(t->behind != NULL ? &t->behind->before : &p->due_last) = t->before;
	t->waits = false;
}

static void run_due(struct prober *p)
{
	while (p->due != NULL && p->running < PROBER_AT_ONCE && take_turn(p)) {
		struct target *t = p->due;

		dequeue(t);
		check_begin(t);
	}
}

static void pace_cb(struct loop_timer *timer)
{
	run_due((struct prober *)((char *)timer - offsetof(struct prober, pace)));
}

static void due_cb(struct loop_timer *timer)
{
	struct target *t = (struct target *)((char *)timer - offsetof(struct target, timer));

	if (t->check != NULL || t->waits)
		return;
	enqueue(t);
	run_due(t->p);
}

/* ---- whom ------------------------------------------------------------------------------------------- */

static void target_free(struct target *t)
{
	struct prober *p = t->p;

	loop_timer_clear(p->loop, &t->timer);
	if (t->waits)
		dequeue(t);
	if (t->check != NULL)
		t->check->target = NULL;
	*(t->prev != NULL ? &t->prev->next : &p->targets) = t->next;
	if (t->next != NULL)
		t->next->prev = t->prev;
	t->node->target = NULL;
	atomic_store(&t->node->gone, true);
	fleet_node_put(p->fleet, t->node);
	heap_free(t);
}

/* Takes the reference of n. */
static struct target *target_new(struct prober *p, struct fleet_node *n)
{
	struct target *t = heap_zalloc(sizeof *t);

	if (t == NULL) {
		fleet_node_put(p->fleet, n);
		return NULL;
	}
	t->timer.cb = due_cb;
	t->p = p;
	t->node = n;
	n->target = t;
	atomic_store(&n->gone, false);
	t->next = p->targets;
	if (t->next != NULL)
		t->next->prev = t;
	p->targets = t;
	if (p->config.interval_us > 0)
		check_in(t, up_to(p->config.interval_us));
	return t;
}

static bool name_target(struct prober *p, struct str url)
{
	struct fleet_node *n = fleet_node_get(p->fleet, url, false);
	struct target *t = n != NULL ? n->target : NULL;

	if (t != NULL)
		fleet_node_put(p->fleet, n); /* the target has one */
	else if (n != NULL)
		t = target_new(p, n);
	if (t != NULL)
		t->generation = p->generation;
	return t != NULL;
}

static void follow(struct prober *p, const struct route_table *routes)
{
	bool all = true;

	p->generation++;
	for (int k = 0; k < ROUTE__KINDS; k++)
		for (size_t i = 0; i < route_shard_count(routes, (enum route_kind)k); i++) {
			const struct route_shard *s = route_shard_at(routes, (enum route_kind)k, i);

			for (size_t j = 0; j < s->n; j++)
				all &= name_target(p, s->endpoints[j].url);
		}
	for (struct target *t = p->targets, *next; t != NULL; t = next) {
		next = t->next;
		if (t->generation != p->generation)
			target_free(t);
	}
	if (!all)
		log_error("out of memory: some nodes are not checked");
}

/* ---- messages --------------------------------------------------------------------------------------- */

struct news {
	struct loop_msg msg;
	struct prober *p;
	struct prober_config config;
	bool has_config;
	struct route_table *routes;
	struct tls_client *tls;
};

static struct upstream_config upstream_config_of(const struct prober_config *c)
{
	return (struct upstream_config){
		.connect_timeout_us = c->timeout_us,
		.first_byte_timeout_us = c->timeout_us,
		.total_timeout_us = c->timeout_us,
		.idle_timeout_us = 60 * CLOCK_SEC, /* nothing is idle for longer than a turn of the loop */
		.max_connections = 1,
		.max_response = ANSWER_MAX,
	};
}

/* With another interval the checks begin anew; with none, what they said no longer holds. */
static void configure(struct prober *p, const struct prober_config *c)
{
	struct upstream_config uc = upstream_config_of(c);
	bool paced_anew = c->interval_us != p->config.interval_us;

	p->config = *c;
	upstream_configure(p->up, &uc);
	if (!paced_anew)
		return;
	for (struct target *t = p->targets; t != NULL; t = t->next) {
		loop_timer_clear(p->loop, &t->timer);
		if (c->interval_us > 0) {
			check_in(t, up_to(c->interval_us));
			continue;
		}
		t->streak = 0;
		atomic_store(&t->node->health, HEALTH_UNKNOWN);
	}
}

static void news_free(struct news *m)
{
	route_table_unref(m->routes);
	tls_client_unref(m->tls);
	heap_free(m);
}

static void news_cb(struct loop_msg *msg)
{
	struct news *m = (struct news *)((char *)msg - offsetof(struct news, msg));

	if (m->has_config)
		configure(m->p, &m->config);
	if (m->tls != NULL)
		upstream_set_tls_take(m->p->up, tls_client_ref(m->tls));
	if (m->routes != NULL)
		follow(m->p, m->routes);
	news_free(m);
}

void prober_set_take(struct prober *p, const struct prober_config *c, struct route_table *routes,
    struct tls_client *tls)
{
	struct news *m = p != NULL ? heap_zalloc(sizeof *m) : NULL;

	if (m == NULL) {
		route_table_unref(routes);
		tls_client_unref(tls);
		if (p != NULL)
			log_error("out of memory: health checks go on as before");
		return;
	}
	m->msg.cb = news_cb;
	m->p = p;
	m->has_config = c != NULL;
	if (c != NULL)
		m->config = *c;
	m->routes = routes;
	m->tls = tls;
	loop_post(p->loop, &m->msg);
}

/* ---- the thread ------------------------------------------------------------------------------------- */

static void *thread_main(void *arg)
{
	struct prober *p = arg;

	loop_run(p->loop);
	return NULL;
}

static enum err start(struct prober *p)
{
	enum err e = thread_start(&p->thread, "health", thread_main, p);

	p->started = e == OK;
	return e;
}

enum err prober_new(const struct prober_config *c, struct fleet *fleet, struct prober **out)
{
	struct upstream_config uc = upstream_config_of(c);
	struct prober *p = heap_zalloc(sizeof *p);
	enum err e;

	if (p == NULL)
		return E_NOMEM;
	p->config = *c;
	p->fleet = fleet;
	p->tidy.cb = tidy_cb;
	p->pace.cb = pace_cb;
	e = loop_new(&p->loop);
	if (e == OK)
		e = upstream_new(&uc, p->loop, &p->up);
	if (e == OK)
		e = start(p);
	if (e != OK) {
		prober_free(p);
		return e;
	}
	*out = p;
	return OK;
}

void prober_free(struct prober *p)
{
	if (p == NULL)
		return;
	if (p->started) {
		loop_stop(p->loop);
		pthread_join(p->thread, NULL);
		loop_drain(p->loop);
	}
	while (p->checks != NULL) {
		upstream_cancel(p->checks->call);
		check_end(p->checks);
	}
	while (p->targets != NULL)
		target_free(p->targets);
	if (p->up != NULL)
		tidy_cb(&p->tidy);
	if (p->loop != NULL) {
		loop_timer_clear(p->loop, &p->tidy);
		loop_timer_clear(p->loop, &p->pace);
	}
	upstream_free(p->up);
	loop_free(p->loop);
	heap_free(p);
}

void prober_write_metrics(const struct prober *p, struct buf *out)
{
	static const char name[] = "gateway_upstream_checks_total";

	obs_family(out, name);
	buf_printf(out, "%s{result=\"good\"} %llu\n%s{result=\"bad\"} %llu\n", name,
	    (unsigned long long)atomic_load(&p->good), name, (unsigned long long)atomic_load(&p->bad));
}
