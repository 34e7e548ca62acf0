#include "routing/placements.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/heap.h"
#include "base/radix.h"
#include "base/siphash.h"

#define FAN 16     /* children of an inner node: four bits of the hash a level */
#define LEVELS 8   /* the hash has no more bits than that */
#define LEAF_MAX 64
#define LEAF_AGAIN (LEAF_MAX / 2) /* an inner node of no more names than that becomes a leaf */

/* The head of either kind of node. */
struct placements {
	atomic_uint refs;
	uint32_t n; /* names in and below it */
	bool leaf;
};

struct inner {
	struct placements head;
	struct placements *child[FAN];
};

/* hash[n], shard[n], end[n], then the names one after the other, each with a NUL. Sorted by hash and
 * name; end[i] is where the i-th name's NUL lies. */
struct leaf {
	struct placements head;
	uint32_t v[];
};

static inline const struct leaf *leaf_of(const struct placements *m)
{
	return (const struct leaf *)m;
}

static inline const struct inner *inner_of(const struct placements *m)
{
	return (const struct inner *)m;
}

static struct placement leaf_at(const struct leaf *l, uint32_t i)
{
	uint32_t n = l->head.n, from = i > 0 ? l->v[2 * n + i - 1] + 1 : 0;
	const char *text = (const char *)(l->v + 3 * n);

	return (struct placement){ .tenant = str_n(text + from, l->v[2 * n + i] - from),
		.hash = l->v[i], .shard = l->v[n + i] };
}

static unsigned digit(uint32_t hash, unsigned level)
{
	return hash >> (28 - 4 * level) & (FAN - 1);
}

/* ---- hash and order -------------------------------------------------------------------------- */

static struct siphash_key key;
static pthread_once_t key_once = PTHREAD_ONCE_INIT;

static void make_key(void)
{
	key = siphash_key_new();
}

uint32_t placements_hash(struct str tenant)
{
	pthread_once(&key_once, make_key);
	return (uint32_t)siphash(&key, tenant);
}

static int name_cmp(struct str a, struct str b)
{
	int c = memcmp(a.p, b.p, a.n < b.n ? a.n : b.n);

	return c != 0 ? c : (a.n > b.n) - (a.n < b.n);
}

static int cmp(const void *a, const void *b)
{
	const struct placement *x = a, *y = b;

	return x->hash != y->hash ? (x->hash > y->hash) - (x->hash < y->hash)
	    : name_cmp(x->tenant, y->tenant);
}

/* Into the order of hashes alone. */
static enum err sort_hashes(struct placement *v, size_t n)
{
	struct radix_item *items = heap_alloc(n * sizeof *items);
	struct placement *sorted = heap_alloc(n * sizeof *sorted);
	bool ok = items != NULL && sorted != NULL;

	for (size_t i = 0; ok && i < n; i++)
		items[i] = (struct radix_item){ v[i].hash, &v[i] };
	ok = ok && radix_sort(items, n);
	for (size_t i = 0; ok && i < n; i++)
		sorted[i] = *(const struct placement *)items[i].p;
	if (ok && n > 0)
		memcpy(v, sorted, n * sizeof *v);
	heap_free(items);
	heap_free(sorted);
	return ok ? OK : E_NOMEM;
}

enum err placements_sort(struct placement *v, size_t n)
{
	enum err e = sort_hashes(v, n);

	for (size_t i = 0, j; e == OK && i < n; i = j) {
		for (j = i + 1; j < n && v[j].hash == v[i].hash; j++)
			;
		if (j - i > 1)
			qsort(v + i, j - i, sizeof *v, cmp);
		for (size_t k = i + 1; k < j; k++)
			if (cmp(&v[k - 1], &v[k]) == 0)
				return E_CONFLICT;
	}
	return e;
}

/* ---- building -------------------------------------------------------------------------------- */

static enum err leaf_new(const struct placement *v, size_t n, struct placements **out)
{
	size_t bytes = 0;
	struct leaf *l;
	char *text;

	for (size_t i = 0; i < n; i++)
		bytes += v[i].tenant.n + 1;
	l = heap_alloc(sizeof *l + 3 * n * sizeof *l->v + bytes);
	if (l == NULL)
		return E_NOMEM;
	atomic_init(&l->head.refs, 1);
	l->head.n = (uint32_t)n;
	l->head.leaf = true;
	text = (char *)(l->v + 3 * n);
	bytes = 0;
	for (size_t i = 0; i < n; i++) {
		l->v[i] = v[i].hash;
		l->v[n + i] = v[i].shard;
		memcpy(text + bytes, v[i].tenant.p, v[i].tenant.n);
		bytes += v[i].tenant.n;
		text[bytes] = '\0';
		l->v[2 * n + i] = (uint32_t)bytes++;
	}
	*out = &l->head;
	return OK;
}

static struct inner *inner_new(void)
{
	struct inner *in = heap_zalloc(sizeof *in);

	if (in != NULL)
		atomic_init(&in->head.refs, 1);
	return in;
}

/* How many of the sorted v have this digit. */
static size_t run(const struct placement *v, size_t n, unsigned level, unsigned d)
{
	size_t i = 0;

	while (i < n && digit(v[i].hash, level) == d)
		i++;
	return i;
}

static enum err build(const struct placement *v, size_t n, unsigned level, struct placements **out)
{
	struct inner *in;
	enum err e = OK;

	*out = NULL;
	if (n == 0)
		return OK;
	if (n <= LEAF_MAX || level == LEVELS)
		return leaf_new(v, n, out);
	in = inner_new();
	if (in == NULL)
		return E_NOMEM;
	in->head.n = (uint32_t)n;
	for (unsigned d = 0; e == OK && d < FAN; d++) {
		size_t some = run(v, n, level, d);

		e = build(v, some, level + 1, &in->child[d]);
		v += some;
		n -= some;
	}
	if (e == OK)
		*out = &in->head;
	else
		placements_unref(&in->head);
	return e;
}

/* ---- changing -------------------------------------------------------------------------------- */

/* The names of l (may be NULL) and of v, v before l, without those that go. */
static size_t merge(const struct leaf *l, const struct placement *v, size_t n, struct placement *out)
{
	uint32_t i = 0, have = l != NULL ? l->head.n : 0;
	size_t m = 0, j = 0;

	while (i < have || j < n) {
		struct placement old = { 0 };
		int c = 1;

		if (i < have) {
			old = leaf_at(l, i);
			c = j < n ? cmp(&old, &v[j]) : -1;
		}
		if (c < 0) {
			out[m++] = old;
		} else if (v[j].shard != SHARD_NONE) {
			out[m++] = v[j];
		}
		i += c <= 0;
		j += c >= 0;
	}
	return m;
}

static enum err apply_leaf(const struct leaf *old, const struct placement *v, size_t n,
    unsigned level, struct placements **out)
{
	struct placement *all = heap_alloc(((old != NULL ? old->head.n : 0) + n) * sizeof *all);
	enum err e;

	if (all == NULL)
		return E_NOMEM;
	e = build(all, merge(old, v, n, all), level, out);
	heap_free(all);
	return e;
}

struct gathered {
	struct placement v[LEAF_AGAIN];
	size_t n;
};

/* In the order of hash and name: children lie in it, and so do the names of a leaf. */
static void gather(const struct placements *m, struct gathered *g)
{
	if (m == NULL)
		return;
	for (uint32_t i = 0; m->leaf && i < m->n; i++)
		g->v[g->n++] = leaf_at(leaf_of(m), i);
	for (unsigned d = 0; !m->leaf && d < FAN; d++)
		gather(inner_of(m)->child[d], g);
}

/* An inner node that has become small is a leaf again, or nothing. Takes the node. */
static enum err settle_take(struct inner *in, struct placements **out)
{
	struct gathered g = { .n = 0 };
	enum err e;

	*out = &in->head;
	if (in->head.n > LEAF_AGAIN)
		return OK;
	gather(&in->head, &g);
	e = build(g.v, g.n, LEVELS, out);
	placements_unref(&in->head);
	return e;
}

static enum err apply(struct placements *old, const struct placement *v, size_t n, unsigned level,
    struct placements **out)
{
	struct inner *in;
	enum err e = OK;

	*out = NULL;
	if (n == 0) {
		*out = placements_ref(old);
		return OK;
	}
	if (old == NULL || old->leaf)
		return apply_leaf(old != NULL ? leaf_of(old) : NULL, v, n, level, out);
	in = inner_new();
	if (in == NULL)
		return E_NOMEM;
	for (unsigned d = 0; e == OK && d < FAN; d++) {
		size_t some = run(v, n, level, d);

		e = apply(inner_of(old)->child[d], v, some, level + 1, &in->child[d]);
		in->head.n += (uint32_t)placements_count(in->child[d]);
		v += some;
		n -= some;
	}
	if (e == OK)
		return settle_take(in, out);
	placements_unref(&in->head);
	return e;
}

enum err placements_apply(struct placements *old, const struct placement *v, size_t n,
    struct placements **out)
{
	return apply(old, v, n, 0, out);
}

struct placements *placements_ref(struct placements *m)
{
	if (m != NULL)
		atomic_fetch_add_explicit(&m->refs, 1, memory_order_relaxed);
	return m;
}

void placements_unref(struct placements *m)
{
	if (m == NULL || atomic_fetch_sub_explicit(&m->refs, 1, memory_order_acq_rel) > 1)
		return;
	for (unsigned d = 0; !m->leaf && d < FAN; d++)
		placements_unref(inner_of(m)->child[d]);
	heap_free(m);
}

/* ---- reading --------------------------------------------------------------------------------- */

size_t placements_count(const struct placements *m)
{
	return m != NULL ? m->n : 0;
}

/* In the part of a map that begins at this level. */
static uint32_t find(const struct placements *m, unsigned level, uint32_t hash, struct str tenant)
{
	const struct leaf *l;

	while (m != NULL && !m->leaf)
		m = inner_of(m)->child[digit(hash, level++)];
	if (m == NULL)
		return SHARD_NONE;
	l = leaf_of(m);
	for (uint32_t i = 0; i < l->head.n; i++)
		if (l->v[i] == hash && str_eq(leaf_at(l, i).tenant, tenant))
			return l->v[l->head.n + i];
	return SHARD_NONE;
}

uint32_t placements_find(const struct placements *m, struct str tenant)
{
	return m != NULL ? find(m, 0, placements_hash(tenant), tenant) : SHARD_NONE;
}

void placements_each(const struct placements *m, placements_each_fn *fn, void *ctx)
{
	if (m == NULL)
		return;
	for (uint32_t i = 0; m->leaf && i < m->n; i++) {
		struct placement p = leaf_at(leaf_of(m), i);

		fn(ctx, p.tenant, p.shard);
	}
	for (unsigned d = 0; !m->leaf && d < FAN; d++)
		placements_each(inner_of(m)->child[d], fn, ctx);
}

/* One side of a comparison of parts that are not both inner nodes. */
struct side {
	const struct placements *other;
	unsigned level;
	bool second; /* what is walked is b, and what is in both has been told */
	placements_diff_fn *fn;
	void *ctx;
};

static void compare(void *arg, struct str tenant, uint32_t shard)
{
	const struct side *s = arg;
	uint32_t there = find(s->other, s->level, placements_hash(tenant), tenant);

	if (!s->second)
		s->fn(s->ctx, tenant, shard, there);
	else if (there == SHARD_NONE)
		s->fn(s->ctx, tenant, SHARD_NONE, shard);
}

static void diff(const struct placements *a, const struct placements *b, unsigned level,
    placements_diff_fn *fn, void *ctx)
{
	struct side s = { b, level, false, fn, ctx };

	if (a == b)
		return;
	if (a != NULL && b != NULL && !a->leaf && !b->leaf) {
		for (unsigned d = 0; d < FAN; d++)
			diff(inner_of(a)->child[d], inner_of(b)->child[d], level + 1, fn, ctx);
		return;
	}
	placements_each(a, compare, &s);
	s.other = a;
	s.second = true;
	placements_each(b, compare, &s);
}

void placements_diff(const struct placements *a, const struct placements *b, placements_diff_fn *fn,
    void *ctx)
{
	diff(a, b, 0, fn, ctx);
}
