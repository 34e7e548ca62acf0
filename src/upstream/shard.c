/* Shards: records, the choice among endpoints, the retry budget (endpoint.h). */
#include "base/heap.h"
#include "routing/url.h"
#include "upstream/endpoint.h"
#include "upstream/http1.h"
#include "upstream/http2.h"
#include "upstream/state.h"

#define RETRY 1000                /* what a retry costs, in thousandths */
#define BUDGET_START (10 * RETRY) /* a new shard may retry a little */
#define BUDGET_MAX (1000 * RETRY)

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

static struct shard *shard_new(struct upstream *u, uint32_t hash, enum route_kind kind, struct str name)
{
	struct shard *s = grow(u) ? heap_zalloc(sizeof *s) : NULL;

	if (s == NULL)
		return NULL;
	s->name = dup(name);
	if (s->name.p == NULL) {
		heap_free(s);
		return NULL;
	}
	s->u = u;
	s->hash = hash;
	s->kind = kind;
	s->tokens = BUDGET_START;
	s->chain = u->buckets[hash & (u->nbuckets - 1)];
	u->buckets[hash & (u->nbuckets - 1)] = s;
	u->nshards++;
	atomic_store_explicit(&s->next, atomic_load(&u->shards), memory_order_relaxed);
	atomic_store_explicit(&u->shards, s, memory_order_release);
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
	ep->port = to->port;
	ep->admin = admin;
	ep->tls = to->scheme == SCHEME_HTTPS || to->scheme == SCHEME_GRPCS;
	ep->h2 = to->scheme == SCHEME_GRPC || to->scheme == SCHEME_GRPCS;
	ep->carrier = ep->h2 ? &http2_carrier : &http1_carrier;
	if (ep->url.p == NULL || ep->host.p == NULL || ep->base.p == NULL || ep->authority.p == NULL) {
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

void shards_free(struct upstream *u)
{
	struct shard *s = atomic_load(&u->shards);

	while (s != NULL) {
		struct shard *next = atomic_load(&s->next);
		struct endpoint *ep = atomic_load(&s->endpoints);

		while (ep != NULL) {
			struct endpoint *after = atomic_load(&ep->next);

			endpoint_free(ep);
			ep = after;
		}
		heap_free((char *)s->name.p);
		heap_free(s);
		s = next;
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
	if (!breaker_allows(&ep->breaker, now))
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
	*e = c.best != NULL ? OK : c.spoken ? E_UPSTREAM_FAILED : c.nomem ? E_NOMEM : E_BAD_REQUEST;
	return c.best;
}

void shard_earn(struct shard *s, unsigned percent)
{
	s->tokens += (int64_t)percent * RETRY / 100;
	if (s->tokens > BUDGET_MAX)
		s->tokens = BUDGET_MAX;
}

bool shard_spend(struct shard *s)
{
	if (s->tokens < RETRY)
		return false;
	s->tokens -= RETRY;
	return true;
}
