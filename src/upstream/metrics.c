/* The gateway_upstream_* families, summed over all workers. Control lane. */
#include <stdlib.h>

#include "obs/obs.h"
#include "upstream/budget.h"
#include "upstream/endpoint.h"
#include "upstream/fleet.h"
#include "upstream/state.h"

#define GATHER_MAX (64u << 20)

/* Records of all workers, as pointers in one buffer, sorted so that the same shard (or endpoint) of
 * several workers stands together. */
struct gathered {
	struct buf shards, endpoints;
};

static struct shard *const *shards_of(const struct gathered *g)
{
	return (struct shard *const *)(const void *)g->shards.p;
}

static struct endpoint *const *endpoints_of(const struct gathered *g)
{
	return (struct endpoint *const *)(const void *)g->endpoints.p;
}

static uint64_t get(const _Atomic uint64_t *c)
{
	return atomic_load_explicit(c, memory_order_relaxed);
}

static int compare_str(struct str a, struct str b)
{
	int c = memcmp(a.p, b.p, a.n < b.n ? a.n : b.n);

	return c != 0 ? c : (a.n > b.n) - (a.n < b.n);
}

static int compare_shards(const void *pa, const void *pb)
{
	const struct shard *a = *(struct shard *const *)pa, *b = *(struct shard *const *)pb;

	return a->kind != b->kind ? (int)a->kind - (int)b->kind : compare_str(a->name, b->name);
}

static int compare_endpoints(const void *pa, const void *pb)
{
	const struct endpoint *a = *(struct endpoint *const *)pa, *b = *(struct endpoint *const *)pb;
	int c = compare_shards(&a->shard, &b->shard);

	if (c == 0)
		c = compare_str(a->url, b->url);
	return c != 0 ? c : (int)a->admin - (int)b->admin;
}

static void gather(struct gathered *g, struct upstream *const *workers, size_t n)
{
	buf_init(&g->shards, GATHER_MAX);
	buf_init(&g->endpoints, GATHER_MAX);
	for (size_t i = 0; i < n; i++)
		for (struct shard *s = atomic_load(&workers[i]->shards); s != NULL;
		    s = atomic_load(&s->next)) {
			buf_add(&g->shards, &s, sizeof s);
			for (struct endpoint *ep = atomic_load(&s->endpoints); ep != NULL;
			    ep = atomic_load(&ep->next))
				buf_add(&g->endpoints, &ep, sizeof ep);
		}
	if (g->shards.n > 0)
		qsort(g->shards.p, g->shards.n / sizeof(void *), sizeof(void *), compare_shards);
	if (g->endpoints.n > 0)
		qsort(g->endpoints.p, g->endpoints.n / sizeof(void *), sizeof(void *), compare_endpoints);
}

/* How many records from i on are of the same shard. */
static size_t run_of_shards(const struct gathered *g, size_t i)
{
	size_t n = g->shards.n / sizeof(void *), k = i + 1;

	while (k < n && compare_shards(&shards_of(g)[i], &shards_of(g)[k]) == 0)
		k++;
	return k - i;
}

static void label(struct buf *out, const char *key, struct str v)
{
	buf_printf(out, "%s=\"", key);
	for (size_t i = 0; i < v.n; i++) {
		if (v.p[i] == '"' || v.p[i] == '\\')
			buf_addc(out, '\\');
		buf_addc(out, v.p[i] == '\n' ? ' ' : v.p[i]);
	}
	buf_addc(out, '"');
}

static void sample(struct buf *out, const char *name, const struct shard *s)
{
	buf_addz(out, name);
	buf_addc(out, '{');
	label(out, "kind", str_c(route_kind_name(s->kind)));
	buf_addc(out, ',');
	label(out, "shard", s->name);
}

static void sample_end(struct buf *out, uint64_t v)
{
	buf_addz(out, "} ");
	buf_addu(out, v);
	buf_addc(out, '\n');
}

static void write_requests(struct buf *out, struct shard *const *s, size_t n)
{
	for (size_t o = 0; o < OUTCOME__COUNT; o++) {
		uint64_t v = 0;

		for (size_t i = 0; i < n; i++)
			v += get(&s[i]->stats.outcome[o]);
		if (v == 0)
			continue;
		sample(out, "gateway_upstream_requests_total", s[0]);
		buf_printf(out, ",outcome=\"%s\"", stats_outcomes[o]);
		sample_end(out, v);
	}
}

static void write_durations(struct buf *out, struct shard *const *s, size_t n)
{
	uint64_t v = 0, us = 0;

	for (size_t b = 0; b <= STATS_BOUNDS; b++) {
		for (size_t i = 0; i < n; i++)
			v += get(&s[i]->stats.bucket[b]);
		sample(out, "gateway_upstream_duration_seconds_bucket", s[0]);
		buf_printf(out, ",le=\"%s\"", b < STATS_BOUNDS ? stats_bound_labels[b] : "+Inf");
		sample_end(out, v);
	}
	for (size_t i = 0; i < n; i++)
		us += get(&s[i]->stats.sum_us);
	sample(out, "gateway_upstream_duration_seconds_sum", s[0]);
	buf_printf(out, "} %llu.%06llu\n", (unsigned long long)(us / 1000000),
	    (unsigned long long)(us % 1000000));
	sample(out, "gateway_upstream_duration_seconds_count", s[0]);
	sample_end(out, v);
}

static void write_connections(struct buf *out, struct shard *const *s, size_t n)
{
	uint64_t v = 0;

	for (size_t i = 0; i < n; i++)
		for (struct endpoint *ep = atomic_load(&s[i]->endpoints); ep != NULL;
		    ep = atomic_load(&ep->next))
			v += get(&ep->open_conns);
	sample(out, "gateway_upstream_connections", s[0]);
	sample_end(out, v);
}

static void write_family(struct buf *out, const struct gathered *g, const char *name,
    void (*write)(struct buf *out, struct shard *const *s, size_t n))
{
	size_t n = g->shards.n / sizeof(void *);

	obs_family(out, name);
	for (size_t i = 0, k; i < n; i += k) {
		k = run_of_shards(g, i);
		if (!atomic_load(&shards_of(g)[i]->budget->gone)) /* one worker forgets it before the other */
			write(out, shards_of(g) + i, k);
	}
}

/* One sample for each endpoint that calls have gone to and that routing still names. Workers share what it
 * says. Node administration has its own circuit; the worse of the two counts. */
static void write_nodes(struct buf *out, const struct gathered *g, const char *name,
    int (*value)(const struct fleet_node *n))
{
	size_t n = g->endpoints.n / sizeof(void *);
	struct endpoint *const *ep = endpoints_of(g);

	obs_family(out, name);
	for (size_t i = 0, k; i < n; i = k) {
		int worst = 0;
		bool gone = true;

		for (k = i; k < n && compare_shards(&ep[i]->shard, &ep[k]->shard) == 0 &&
		    str_eq(ep[i]->url, ep[k]->url); k++) {
			worst = value(ep[k]->node) > worst ? value(ep[k]->node) : worst;
			gone &= atomic_load(&ep[k]->node->gone);
		}
		if (gone)
			continue;
		sample(out, name, ep[i]->shard);
		buf_addc(out, ',');
		label(out, "endpoint", ep[i]->url);
		sample_end(out, (uint64_t)worst);
	}
}

static int circuit_of(const struct fleet_node *n)
{
	return (int)breaker_state(&n->breaker);
}

static int down_of(const struct fleet_node *n)
{
	return fleet_node_health(n) == HEALTH_DOWN;
}

static void lock(struct upstream *const *workers, size_t n, int (*what)(pthread_mutex_t *mu))
{
	for (size_t i = 0; i < n; i++)
		(void)what(&workers[i]->records);
}

void upstream_write_metrics(struct upstream *const *workers, size_t n, struct buf *out)
{
	struct gathered g;

	lock(workers, n, pthread_mutex_lock);
	gather(&g, workers, n);
	write_family(out, &g, "gateway_upstream_requests_total", write_requests);
	write_family(out, &g, "gateway_upstream_duration_seconds", write_durations);
	write_family(out, &g, "gateway_upstream_connections", write_connections);
	write_nodes(out, &g, "gateway_upstream_circuit_state", circuit_of);
	write_nodes(out, &g, "gateway_upstream_down", down_of);
	lock(workers, n, pthread_mutex_unlock);
	buf_release(&g.shards);
	buf_release(&g.endpoints);
}
