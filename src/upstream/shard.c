/* Shards: records, and the choice among endpoints (endpoint.h). */
#include "base/heap.h"
#include "routing/url.h"
#include "upstream/budget.h"
#include "upstream/endpoint.h"
#include "upstream/fleet.h"
#include "upstream/http1.h"
#include "upstream/http2.h"
#include "upstream/state.h"

#define SWEEP_SHARDS 256                   /* that one sweep goes through */
#define UNUSED_US (INT64_C(3600) * 1000000) /* after which an endpoint is forgotten */

/* ---- records ----------------------------------------------------------------------------------- */

static uint32_t hash_of(enum route_kind kind, struct str name)
{
	uint32_t h = 2166136261u ^ (uint32_t)kind; /* FNV-1a */

	for (size_t i = 0; i < name.n; i++)
		h = (h ^ (unsigned char)name.p[i]) * 16777619u;
	return h;
}

static void fill_buckets(struct upstream *u, struct shard **buckets, size_t n)
{
	for (struct shard *s = atomic_load(&u->shards); s != NULL; s = atomic_load(&s->next)) {
		s->chain = buckets[s->hash & (n - 1)];
		buckets[s->hash & (n - 1)] = s;
	}
}

static bool grow(struct upstream *u)
{
	size_t n = u->nbuckets > 0 ? u->nbuckets * 2 : 64;
	struct shard **buckets;

	if (u->nshards < u->nbuckets)
		return true;
	buckets = heap_zalloc(n * sizeof(*buckets));
	if (buckets == NULL)
		return false;
	fill_buckets(u, buckets, n);
	heap_free(u->buckets);
	u->buckets = buckets;
	u->nbuckets = n;
	return true;
}

static struct str dup(struct str s)
{
	char *p = heap_alloc(s.n + 1);

	if (p == NULL)
		return STR_NONE;
	if (s.n > 0)
		memcpy(p, s.p, s.n);
	p[s.n] = '\0';
	return str_n(p, s.n);
}

static void link_shard(struct upstream *u, struct shard *s)
{
	struct shard *first = atomic_load(&u->shards);

	if (first != NULL)
		first->prev = s;
	atomic_store_explicit(&s->next, first, memory_order_relaxed);
	atomic_store_explicit(&u->shards, s, memory_order_release);
}

static void unlink_shard(struct upstream *u, struct shard *s)
{
	struct shard *next = atomic_load(&s->next);

	if (next != NULL)
		next->prev = s->prev;
	atomic_store(s->prev != NULL ? &s->prev->next : &u->shards, next);
	if (u->swept == s)
		u->swept = next;
}

static struct shard *shard_new(struct upstream *u, uint32_t hash, enum route_kind kind, struct str name)
{
	struct shard *s = grow(u) ? heap_zalloc(sizeof *s) : NULL;

	if (s == NULL)
		return NULL;
	s->name = dup(name);
	s->budget = fleet_budget_get(u->fleet, kind, name);
	if (s->name.p == NULL || s->budget == NULL) {
		fleet_budget_put(u->fleet, s->budget);
		heap_free((char *)s->name.p);
		heap_free(s);
		return NULL;
	}
	atomic_store_explicit(&s->budget->gone, false, memory_order_relaxed); /* somebody calls it */
	s->u = u;
	s->hash = hash;
	s->kind = kind;
	s->chain = u->buckets[hash & (u->nbuckets - 1)];
	u->buckets[hash & (u->nbuckets - 1)] = s;
	u->nshards++;
	link_shard(u, s);
	return s;
}

struct shard *shard_get(struct upstream *u, enum route_kind kind, struct str name)
{
	uint32_t hash = hash_of(kind, name);
	struct shard *s = u->nbuckets > 0 ? u->buckets[hash & (u->nbuckets - 1)] : NULL;

	while (s != NULL && (s->hash != hash || s->kind != kind || !str_eq(s->name, name)))
		s = s->chain;
	return s != NULL ? s : shard_new(u, hash, kind, name);
}

/* ---- endpoints --------------------------------------------------------------------------------- */

static struct str authority_of(const struct route_endpoint *to)
{
	bool v6 = memchr(to->host.p, ':', to->host.n) != NULL;
	struct buf b;

	buf_init(&b, 1024);
	buf_printf(&b, v6 ? "[%.*s]:%u" : "%.*s:%u", STR_ARG(to->host), to->port);
	return b.failed ? (buf_release(&b), STR_NONE) : buf_str(&b);
}

static void endpoint_free(struct endpoint *ep)
{
	fleet_node_put(ep->u->fleet, ep->node);
	heap_free((char *)ep->url.p);
	heap_free((char *)ep->host.p);
	heap_free((char *)ep->base.p);
	heap_free((char *)ep->authority.p);
	heap_free(ep);
}

static struct endpoint *endpoint_new(struct shard *s, struct str url, bool admin,
    const struct route_endpoint *to)
{
	struct endpoint *ep = heap_zalloc(sizeof *ep);

	if (ep == NULL)
		return NULL;
	ep->shard = s;
	ep->u = s->u;
	ep->url = dup(url);
	ep->host = dup(to->host);
	ep->base = dup(to->base);
	ep->authority = authority_of(to);
	ep->node = fleet_node_get(s->u->fleet, url, admin);
	ep->port = to->port;
	ep->called = loop_now(s->u->loop);
	ep->admin = admin;
	ep->tls = to->scheme == SCHEME_HTTPS || to->scheme == SCHEME_GRPCS;
	ep->h2 = to->scheme == SCHEME_GRPC || to->scheme == SCHEME_GRPCS;
	ep->carrier = ep->h2 ? &http2_carrier : &http1_carrier;
	if (ep->node == NULL || ep->url.p == NULL || ep->host.p == NULL || ep->base.p == NULL ||
	    ep->authority.p == NULL) {
		endpoint_free(ep);
		return NULL;
	}
	atomic_store_explicit(&ep->next, atomic_load(&s->endpoints), memory_order_relaxed);
	atomic_store_explicit(&s->endpoints, ep, memory_order_release);
	return ep;
}

static struct endpoint *endpoint_get(struct shard *s, const struct route_endpoint *re, bool admin)
{
	struct str url = admin && re->admin.n > 0 ? re->admin : re->url;
	struct route_endpoint to = *re;
	struct endpoint *ep = atomic_load_explicit(&s->endpoints, memory_order_relaxed);

	while (ep != NULL && (ep->admin != admin || !str_eq(ep->url, url)))
		ep = atomic_load_explicit(&ep->next, memory_order_relaxed);
	if (ep == NULL) {
		if (!str_eq(url, re->url) && route_url_parse(url, &to) != NULL)
			return NULL;
		ep = endpoint_new(s, url, admin, &to);
	}
	if (ep != NULL)
		ep->weight = re->weight > 0 ? re->weight : 1;
	return ep;
}

/* Unlinks it; the scrape is kept out. */
static void forget(struct endpoint *ep)
{
	_Atomic(struct endpoint *) *p = &ep->shard->endpoints;

	while (atomic_load(p) != ep)
		p = &atomic_load(p)->next;
	atomic_store(p, atomic_load(&ep->next));
	endpoint_free(ep);
}

static bool is_idle(const struct endpoint *ep)
{
	return ep->nconns + ep->ndials + ep->waiting + ep->outstanding == 0;
}

/* Whether routing no longer names it; the scrape is told. */
static bool note_gone(struct shard *s)
{
	const struct route_table *routes = s->u->routes;
	bool gone = routes != NULL && route_shard_find(routes, s->kind, s->name) == NULL;

	if (atomic_load_explicit(&s->budget->gone, memory_order_relaxed) != gone)
		atomic_store_explicit(&s->budget->gone, gone, memory_order_relaxed);
	return gone;
}

static void shard_sweep(struct shard *s, int64_t before, bool may_forget)
{
	int64_t now = loop_now(s->u->loop);
	bool shard_gone = note_gone(s);

	for (struct endpoint *ep = atomic_load(&s->endpoints), *next; ep != NULL; ep = next) {
		bool gone = shard_gone || atomic_load_explicit(&ep->node->gone, memory_order_relaxed);

		next = atomic_load(&ep->next);
		ep->carrier->sweep(ep, gone ? now + 1 : before);
		if (may_forget && is_idle(ep) && (gone || now - ep->called > UNUSED_US))
			forget(ep);
	}
	/* a call has an endpoint: no endpoint, no call */
	if (may_forget && shard_gone && atomic_load(&s->endpoints) == NULL)
		shard_free(s);
}

/* A scrape that is under way reads the records: then nothing is forgotten this time. */
bool shards_sweep(struct upstream *u, int64_t before)
{
	bool mine = pthread_mutex_trylock(&u->records) == 0;
	struct shard *s = u->swept != NULL ? u->swept : atomic_load(&u->shards), *next;

	for (int i = 0; s != NULL && i < SWEEP_SHARDS; i++, s = next) {
		next = atomic_load(&s->next);
		shard_sweep(s, before, mine);
	}
	u->swept = s;
	if (mine)
		pthread_mutex_unlock(&u->records);
	return s == NULL;
}

static void shard_release(struct shard *s)
{
	struct upstream *u = s->u;

	for (struct endpoint *ep = atomic_load(&s->endpoints), *next; ep != NULL; ep = next) {
		next = atomic_load(&ep->next);
		endpoint_free(ep);
	}
	fleet_budget_put(u->fleet, s->budget);
	heap_free((char *)s->name.p);
	heap_free(s);
}

void shard_free(struct shard *s)
{
	struct upstream *u = s->u;
	struct shard **chain = &u->buckets[s->hash & (u->nbuckets - 1)];

	for (struct endpoint *ep = atomic_load(&s->endpoints); ep != NULL; ep = atomic_load(&ep->next))
		endpoint_close(ep);
	while (*chain != s)
		chain = &(*chain)->chain;
	*chain = s->chain;
	unlink_shard(u, s);
	u->nshards--;
	shard_release(s);
}

void shards_free(struct upstream *u)
{
	for (struct shard *s = atomic_load(&u->shards), *next; s != NULL; s = next) {
		next = atomic_load(&s->next);
		shard_release(s);
	}
	heap_free(u->buckets);
}

/* ---- the choice -------------------------------------------------------------------------------- */

/* Less loaded for its weight; between equals, whose turn it is. */
static bool better(const struct endpoint *a, const struct endpoint *b)
{
	unsigned la = a->outstanding / a->weight, lb = b->outstanding / b->weight;

	return la != lb ? la < lb : a->current > b->current;
}

/* What a walk over the shard's endpoints has found. */
struct choice {
	struct endpoint *best, *avoided;
	int weights;
	bool spoken, nomem;
};

static void consider(struct choice *c, struct endpoint *ep, bool grpc, const struct endpoint *avoid,
    int64_t now)
{
	if (grpc && !ep->h2)
		return;
	c->spoken = true;
	if (!breaker_allows(&ep->node->breaker, now) ||
	    (!ep->admin && fleet_node_health(ep->node) == HEALTH_DOWN))
		return;
	if (ep == avoid) {
		c->avoided = ep;
		return;
	}
	ep->current += (int)ep->weight;
	c->weights += (int)ep->weight;
	if (c->best == NULL || better(ep, c->best))
		c->best = ep;
}

struct endpoint *shard_pick(struct shard *s, const struct route_shard *rs, bool grpc, bool admin,
    const struct endpoint *avoid, int64_t now, enum err *e)
{
	struct choice c = { 0 };

	for (size_t i = 0; i < rs->n; i++) {
		struct endpoint *ep = endpoint_get(s, &rs->endpoints[i], admin);

		if (ep != NULL)
			consider(&c, ep, grpc, avoid, now);
		else
			c.nomem = true;
	}
	if (c.best != NULL)
		c.best->current -= c.weights;
	else
		c.best = c.avoided;
	*e = c.best != NULL ? OK : c.spoken ? E_SHARD_UNAVAILABLE : c.nomem ? E_NOMEM : E_BAD_REQUEST;
	return c.best;
}
