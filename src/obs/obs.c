#include "obs/obs.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "base/heap.h"
#include "base/log.h"
#include "obs/access_line.h"
#include "obs/log_thread.h"
#include "obs/process.h"

#define LOG_GATHER 32768
#define LOG_MAX (256 * 1024)
#define LOG_DELAY (100 * CLOCK_MS)

/* Statuses have slots, so that a counter is an array element: 2xx to 5xx, 0 to 31 each. */
#define STATUS_SLOTS (4 * 100) /* 200 to 599 */

static const double bounds[] = { .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10 };
#define BUCKETS (sizeof bounds / sizeof *bounds)

typedef _Atomic uint64_t counter;

struct route_counters {
	counter status[STATUS_SLOTS];
	counter bucket[BUCKETS + 1]; /* not cumulative */
	counter sum_us;
};

struct obs {
	struct log_thread *log;
	const struct obs_route *routes;
	size_t nroutes; /* without the last one, for no operation */
	const char *const *methods;
	size_t nmethods;
	pthread_mutex_t mu; /* guards the list */
	struct obs_worker *workers;
	int64_t started;
};

struct obs_worker {
	struct obs *obs;
	struct obs_worker *next;
	struct loop *loop;
	bool access_log;
	struct log_page pages[2]; /* one is filled while the other is written */
	unsigned filling;
	struct loop_timer flush;
	counter routing_miss[3], tls[OBS_TLS__COUNT];
	counter *auth_failures; /* nmethods * OBS_AUTH__COUNT */
	struct route_counters routes[];
};

/* One writer for each counter: no read-modify-write on the bus. */
static void add(counter *c, uint64_t n)
{
	atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + n,
	    memory_order_relaxed);
}

static uint64_t get(const counter *c)
{
	return atomic_load_explicit(c, memory_order_relaxed);
}

enum err obs_new(struct obs **out, const struct obs_route *routes, size_t n,
    const char *const *auth_methods, size_t nmethods)
{
	struct obs *o = heap_zalloc(sizeof *o);

	if (o == NULL)
		return E_NOMEM;
	if (log_thread_new(&o->log) != OK) {
		heap_free(o);
		return E_NOMEM;
	}
	o->routes = routes;
	o->nroutes = n;
	o->methods = auth_methods;
	o->nmethods = nmethods;
	o->started = clock_wall();
	pthread_mutex_init(&o->mu, NULL);
	*out = o;
	return OK;
}

void obs_free(struct obs *o)
{
	if (o == NULL)
		return;
	assert(o->workers == NULL);
	log_thread_free(o->log);
	pthread_mutex_destroy(&o->mu);
	heap_free(o);
}

static void flush_cb(struct loop_timer *t)
{
	obs_worker_flush((struct obs_worker *)((char *)t - offsetof(struct obs_worker, flush)));
}

enum err obs_worker_new(struct obs *o, struct loop *loop, bool access_log, struct obs_worker **out)
{
	struct obs_worker *w = heap_zalloc(sizeof *w + (o->nroutes + 1) * sizeof *w->routes);

	if (w == NULL)
		return E_NOMEM;
	w->auth_failures = heap_zalloc(o->nmethods * OBS_AUTH__COUNT * sizeof *w->auth_failures);
	if (w->auth_failures == NULL) {
		heap_free(w);
		return E_NOMEM;
	}
	w->obs = o;
	w->loop = loop;
	w->access_log = access_log;
	w->flush.cb = flush_cb;
	for (int i = 0; i < 2; i++)
		buf_init(&w->pages[i].text, LOG_MAX);
	pthread_mutex_lock(&o->mu);
	w->next = o->workers;
	o->workers = w;
	pthread_mutex_unlock(&o->mu);
	*out = w;
	return OK;
}

void obs_worker_set_access_log(struct obs_worker *w, bool on)
{
	w->access_log = on;
}

void obs_worker_free(struct obs_worker *w)
{
	struct obs_worker **p;

	if (w == NULL)
		return;
	for (int i = 0; i < 2; i++) { /* the second page may have had to wait for the first */
		obs_worker_flush(w);
		log_thread_settle(w->obs->log);
	}
	pthread_mutex_lock(&w->obs->mu);
	for (p = &w->obs->workers; *p != w; p = &(*p)->next)
		;
	*p = w->next;
	pthread_mutex_unlock(&w->obs->mu);
	loop_timer_clear(w->loop, &w->flush);
	for (int i = 0; i < 2; i++)
		buf_release(&w->pages[i].text);
	heap_free(w->auth_failures);
	heap_free(w);
}

/* While the other page is still being written this one is filled on; lines that don't fit any more are lost
 * rather than waited for. */
void obs_worker_flush(struct obs_worker *w)
{
	struct log_page *full = &w->pages[w->filling], *other = &w->pages[!w->filling];

	loop_timer_clear(w->loop, &w->flush);
	if (full->text.n == 0)
		return;
	if (atomic_load_explicit(&other->away, memory_order_acquire)) {
		(void)loop_timer_set(w->loop, &w->flush, LOG_DELAY);
		return;
	}
	w->filling = !w->filling;
	log_thread_write(w->obs->log, full);
}

static size_t status_slot(int status)
{
	return (size_t)((status < 200 || status > 599 ? 599 : status) - 200);
}

static size_t bucket(int64_t us)
{
	size_t i = 0;

	while (i < BUCKETS && (double)us > bounds[i] * 1e6)
		i++;
	return i;
}

static void log_request(struct obs_worker *w, const struct obs_request *r)
{
	struct buf *b = &w->pages[w->filling].text;
	size_t before = b->n;

	if (log_is_text())
		access_line_text(b, r, w->obs->routes[r->route].name);
	else
		access_line_json(b, r, w->obs->routes[r->route].name);
	if (b->failed) { /* never half a line */
		b->n = before;
		b->failed = b->nomem = false;
	}
}

void obs_request_end(struct obs_worker *w, const struct obs_request *r)
{
	struct route_counters *c = &w->routes[r->route];

	add(&c->status[status_slot(r->status)], 1);
	add(&c->bucket[bucket(r->duration_us)], 1);
	add(&c->sum_us, (uint64_t)(r->duration_us > 0 ? r->duration_us : 0));
	if (!w->access_log || !log_enabled(LOG_INFO))
		return;
	log_request(w, r);
	if (w->pages[w->filling].text.n >= LOG_GATHER)
		obs_worker_flush(w);
	else if (!loop_timer_armed(&w->flush))
		(void)loop_timer_set(w->loop, &w->flush, LOG_DELAY);
}

void obs_auth_failure(struct obs_worker *w, size_t method, enum obs_auth_reason reason)
{
	add(&w->auth_failures[method * OBS_AUTH__COUNT + reason], 1);
}

void obs_routing_miss(struct obs_worker *w, size_t kind)
{
	add(&w->routing_miss[kind], 1);
}

void obs_tls_handshake(struct obs_worker *w, enum obs_tls_outcome outcome)
{
	add(&w->tls[outcome], 1);
}

/* ---- the scrape (control lane) --------------------------------------------------------------- */

/* Sums the counter at the same place of every worker. */
#define SUM(o, expr) \
	({ uint64_t sum_ = 0; \
	   for (struct obs_worker *w = (o)->workers; w != NULL; w = w->next) \
		sum_ += get(&(expr)); \
	   sum_; })

static int slot_status(size_t slot)
{
	return (int)slot + 200;
}

static void write_requests(struct obs *o, struct buf *out)
{
	obs_family(out, "gateway_requests_total");
	for (size_t i = 0; i <= o->nroutes; i++)
		for (size_t s = 0; s < STATUS_SLOTS; s++) {
			uint64_t n = SUM(o, w->routes[i].status[s]);

			if (n > 0)
				buf_printf(out, "gateway_requests_total{route=\"%s\",method=\"%s\","
				    "code=\"%d\"} %llu\n", o->routes[i].name, o->routes[i].method,
				    slot_status(s), (unsigned long long)n);
		}
}

static void write_durations(struct obs *o, struct buf *out)
{
	static const char name[] = "gateway_request_duration_seconds";

	obs_family(out, name);
	for (size_t i = 0; i <= o->nroutes; i++) {
		const char *route = o->routes[i].name;
		uint64_t n = 0;

		for (size_t k = 0; k <= BUCKETS; k++)
			n += SUM(o, w->routes[i].bucket[k]);
		if (n == 0)
			continue;
		n = 0;
		for (size_t k = 0; k < BUCKETS; k++) {
			n += SUM(o, w->routes[i].bucket[k]);
			buf_printf(out, "%s_bucket{route=\"%s\",le=\"%g\"} %llu\n", name, route, bounds[k],
			    (unsigned long long)n);
		}
		n += SUM(o, w->routes[i].bucket[BUCKETS]);
		buf_printf(out, "%s_bucket{route=\"%s\",le=\"+Inf\"} %llu\n", name, route,
		    (unsigned long long)n);
		buf_printf(out, "%s_sum{route=\"%s\"} %.6f\n", name, route,
		    (double)SUM(o, w->routes[i].sum_us) / 1e6);
		buf_printf(out, "%s_count{route=\"%s\"} %llu\n", name, route, (unsigned long long)n);
	}
}

static void write_auth(struct obs *o, struct buf *out)
{
	static const char *const reasons[OBS_AUTH__COUNT] = {
		[OBS_AUTH_MISSING] = "missing", [OBS_AUTH_MALFORMED] = "malformed",
		[OBS_AUTH_SIGNATURE] = "signature", [OBS_AUTH_EXPIRED] = "expired",
		[OBS_AUTH_REVOKED] = "revoked", [OBS_AUTH_UNKNOWN] = "unknown",
		[OBS_AUTH_DISABLED] = "disabled", [OBS_AUTH_REFUSED] = "refused",
	};

	obs_family(out, "gateway_auth_failures_total");
	for (size_t m = 0; m < o->nmethods; m++)
		for (size_t k = 0; k < OBS_AUTH__COUNT; k++) {
			uint64_t n = SUM(o, w->auth_failures[m * OBS_AUTH__COUNT + k]);

			if (n > 0)
				buf_printf(out, "gateway_auth_failures_total{method=\"%s\",reason=\"%s\"} "
				    "%llu\n", o->methods[m], reasons[k], (unsigned long long)n);
		}
}

static void write_rest(struct obs *o, struct buf *out)
{
	static const char *const kinds[] = { "aggregate", "projection", "runner" };
	static const char *const outcomes[OBS_TLS__COUNT] = { [OBS_TLS_FULL] = "full",
		[OBS_TLS_RESUMED] = "resumed", [OBS_TLS_FAILED] = "failed" };

	obs_family(out, "gateway_routing_misses_total");
	for (size_t k = 0; k < 3; k++)
		buf_printf(out, "gateway_routing_misses_total{kind=\"%s\"} %llu\n", kinds[k],
		    (unsigned long long)SUM(o, w->routing_miss[k]));
	obs_family(out, "gateway_tls_handshakes_total");
	for (size_t k = 0; k < OBS_TLS__COUNT; k++)
		buf_printf(out, "gateway_tls_handshakes_total{outcome=\"%s\"} %llu\n", outcomes[k],
		    (unsigned long long)SUM(o, w->tls[k]));
	obs_family(out, "gateway_build_info");
	buf_printf(out, "gateway_build_info{version=\"%s\"} 1\n", GW_VERSION);
}

void obs_write(struct obs *o, struct buf *out)
{
	pthread_mutex_lock(&o->mu);
	write_requests(o, out);
	write_durations(o, out);
	write_auth(o, out);
	write_rest(o, out);
	pthread_mutex_unlock(&o->mu);
	process_write(o->started, out);
}
