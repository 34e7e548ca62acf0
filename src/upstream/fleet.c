#include "upstream/fleet.h"

#include <pthread.h>

#include "base/heap.h"
#include "base/siphash.h"
#include "upstream/budget.h"

#define SLICE 1024                /* buckets that a summary walks with the mutex held */

struct fleet {
	pthread_mutex_t mu; /* guards all below, and what the records say is guarded by it */
	struct siphash_key key;
	struct fleet_node **nodes;
	size_t nbuckets, nnodes; /* of nodes; a power of two */
	struct budget *budgets[4096];
};

const char *health_name(enum health h)
{
	static const char *const names[] = {
		[HEALTH_UNKNOWN] = "unknown", [HEALTH_UP] = "up", [HEALTH_DOWN] = "down",
	};

	return names[h];
}

enum err fleet_new(struct fleet **out)
{
	struct fleet *f = heap_zalloc(sizeof *f);

	if (f == NULL)
		return E_NOMEM;
	f->nbuckets = 64;
	f->nodes = heap_zalloc(f->nbuckets * sizeof(*f->nodes));
	if (f->nodes == NULL) {
		heap_free(f);
		return E_NOMEM;
	}
	f->key = siphash_key_new();
	pthread_mutex_init(&f->mu, NULL);
	*out = f;
	return OK;
}

void fleet_free(struct fleet *f)
{
	if (f == NULL)
		return;
	pthread_mutex_destroy(&f->mu);
	heap_free(f->nodes);
	heap_free(f);
}

/* ---- nodes ------------------------------------------------------------------------------------- */

static struct fleet_node **bucket(struct fleet *f, uint64_t hash)
{
	return &f->nodes[hash & (f->nbuckets - 1)];
}

/* Without memory the chains only become longer. */
static void grow(struct fleet *f)
{
	struct fleet_node **old = f->nodes, **nodes;
	size_t n = f->nbuckets;

	if (f->nnodes < n || (nodes = heap_zalloc(2 * n * sizeof(*nodes))) == NULL)
		return;
	f->nodes = nodes;
	f->nbuckets = 2 * n;
	for (size_t i = 0; i < n; i++)
		for (struct fleet_node *e = old[i], *next; e != NULL; e = next) {
			next = e->chain;
			e->chain = *bucket(f, e->hash);
			*bucket(f, e->hash) = e;
		}
	heap_free(old);
}

static struct fleet_node *node_new(struct fleet *f, uint64_t hash, struct str url, bool admin)
{
	struct fleet_node *n = heap_zalloc(sizeof *n);
	char *p = heap_zalloc(url.n + 1);

	if (n == NULL || p == NULL) {
		heap_free(n);
		heap_free(p);
		return NULL;
	}
	memcpy(p, url.p, url.n);
	n->url = str_n(p, url.n);
	n->admin = admin;
	n->hash = hash;
	grow(f);
	n->chain = *bucket(f, hash);
	*bucket(f, hash) = n;
	f->nnodes++;
	return n;
}

struct fleet_node *fleet_node_get(struct fleet *f, struct str url, bool admin)
{
	uint64_t hash = siphash(&f->key, url);
	struct fleet_node *n;

	pthread_mutex_lock(&f->mu);
	n = *bucket(f, hash);
	while (n != NULL && (n->hash != hash || n->admin != admin || !str_eq(n->url, url)))
		n = n->chain;
	if (n == NULL)
		n = node_new(f, hash, url, admin);
	if (n != NULL)
		n->refs++;
	pthread_mutex_unlock(&f->mu);
	return n;
}

static void node_free(struct fleet *f, struct fleet_node *n)
{
	struct fleet_node **p = bucket(f, n->hash);

	while (*p != n)
		p = &(*p)->chain;
	*p = n->chain;
	f->nnodes--;
	heap_free((char *)n->url.p);
	heap_free(n);
}

void fleet_node_put(struct fleet *f, struct fleet_node *n)
{
	if (n == NULL)
		return;
	pthread_mutex_lock(&f->mu);
	if (--n->refs == 0)
		node_free(f, n);
	pthread_mutex_unlock(&f->mu);
}

/* ---- the summary ------------------------------------------------------------------------------- */

static void count(const struct fleet_node *n, size_t max, fleet_unwell *each, void *arg,
    struct fleet_summary *s)
{
	enum health h = fleet_node_health(n);
	enum breaker_state b = breaker_state(&n->breaker);

	if (atomic_load_explicit(&n->gone, memory_order_relaxed))
		return;
	s->nodes++;
	s->health[h]++;
	s->circuit[b]++;
	if (h != HEALTH_DOWN && b == BREAKER_CLOSED)
		return;
	if (s->unwell++ < max)
		each(arg, n);
}

void fleet_summarise(struct fleet *f, size_t max, fleet_unwell *each, void *arg, struct fleet_summary *out)
{
	size_t i = 0, n;

	*out = (struct fleet_summary){ 0 };
	do { /* in slices: workers that come for a record don't wait for all of it */
		pthread_mutex_lock(&f->mu);
		n = f->nbuckets;
		for (size_t end = i + SLICE; i < n && i < end; i++)
			for (struct fleet_node *e = f->nodes[i]; e != NULL; e = e->chain)
				count(e, max, each, arg, out);
		pthread_mutex_unlock(&f->mu);
	} while (i < n);
}

/* ---- budgets ----------------------------------------------------------------------------------- */

static struct budget **budget_bucket(struct fleet *f, uint64_t hash)
{
	return &f->budgets[hash % (sizeof f->budgets / sizeof *f->budgets)];
}

static struct budget *budget_new(struct fleet *f, uint64_t hash, enum route_kind kind, struct str shard)
{
	struct budget *b = heap_zalloc(sizeof *b + shard.n);

	if (b == NULL)
		return NULL;
	memcpy(b->shard, shard.p, shard.n);
	b->shard_len = shard.n;
	b->kind = kind;
	b->hash = hash;
	atomic_init(&b->tokens, BUDGET_START);
	b->chain = *budget_bucket(f, hash);
	*budget_bucket(f, hash) = b;
	return b;
}

struct budget *fleet_budget_get(struct fleet *f, enum route_kind kind, struct str shard)
{
	uint64_t hash = siphash(&f->key, shard);
	struct budget *b;

	pthread_mutex_lock(&f->mu);
	b = *budget_bucket(f, hash);
	while (b != NULL && (b->hash != hash || b->kind != kind ||
	    !str_eq(str_n(b->shard, b->shard_len), shard)))
		b = b->chain;
	if (b == NULL)
		b = budget_new(f, hash, kind, shard);
	if (b != NULL)
		b->refs++;
	pthread_mutex_unlock(&f->mu);
	return b;
}

void fleet_budget_put(struct fleet *f, struct budget *b)
{
	struct budget **p;

	if (b == NULL)
		return;
	pthread_mutex_lock(&f->mu);
	if (--b->refs == 0) {
		for (p = budget_bucket(f, b->hash); *p != b; p = &(*p)->chain)
			;
		*p = b->chain;
		heap_free(b);
	}
	pthread_mutex_unlock(&f->mu);
}
