#include "base/lru.h"

#include <assert.h>

#include "base/heap.h"

enum err lru_init(struct lru *l, size_t max)
{
	size_t buckets = 16;

	assert(max > 0);
	while (buckets < max)
		buckets *= 2;
	*l = (struct lru){ .bucket = heap_zalloc(buckets * sizeof(struct lru_node *)),
		.mask = buckets - 1, .max = max };
	return l->bucket != NULL ? OK : E_NOMEM;
}

void lru_release(struct lru *l)
{
	heap_free(l->bucket);
	*l = (struct lru){ 0 };
}

static struct lru_node *same_hash(struct lru_node *n, uint64_t hash)
{
	while (n != NULL && n->hash != hash)
		n = n->chain;
	return n;
}

struct lru_node *lru_first(const struct lru *l, uint64_t hash)
{
	return same_hash(l->bucket[hash & l->mask], hash);
}

struct lru_node *lru_next(const struct lru_node *n)
{
	return same_hash(n->chain, n->hash);
}

static void link_newest(struct lru *l, struct lru_node *n)
{
	n->newer = NULL;
	n->older = l->newest;
	if (l->newest != NULL)
		l->newest->newer = n;
	else
		l->oldest = n;
	l->newest = n;
}

static void unlink_order(struct lru *l, struct lru_node *n)
{
	if (n->newer != NULL)
		n->newer->older = n->older;
	else
		l->newest = n->older;
	if (n->older != NULL)
		n->older->newer = n->newer;
	else
		l->oldest = n->newer;
}

void lru_insert(struct lru *l, struct lru_node *n, uint64_t hash)
{
	struct lru_node **b = &l->bucket[hash & l->mask];

	n->hash = hash;
	n->chain = *b;
	*b = n;
	link_newest(l, n);
	l->n++;
}

void lru_touch(struct lru *l, struct lru_node *n)
{
	if (l->newest == n)
		return;
	unlink_order(l, n);
	link_newest(l, n);
}

void lru_remove(struct lru *l, struct lru_node *n)
{
	struct lru_node **at = &l->bucket[n->hash & l->mask];

	while (*at != n)
		at = &(*at)->chain;
	*at = n->chain;
	unlink_order(l, n);
	l->n--;
}

struct lru_node *lru_excess(const struct lru *l)
{
	return l->n > l->max ? l->oldest : NULL;
}
