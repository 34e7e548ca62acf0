/* A bounded hash table that knows the order of use: nodes are embedded in what they find, so it
 * allocates nothing after its buckets. The caller hashes and compares (with a keyed hash when
 * callers of the gateway choose the keys), and owns the nodes. Not thread-safe. */
#ifndef BASE_LRU_H
#define BASE_LRU_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct lru_node {
	struct lru_node *chain; /* next in the bucket */
	struct lru_node *older, *newer;
	uint64_t hash;
};

struct lru {
	struct lru_node **bucket;
	size_t mask, n, max;
	struct lru_node *oldest, *newest;
};

/* max: nodes that lru_excess allows; at least 1. */
enum err lru_init(struct lru *l, size_t max);
/* The nodes are the caller's: take them out first. */
void lru_release(struct lru *l);

/* Candidates, for the caller to compare: the first node with that hash and the next one; NULL
 * ends. */
struct lru_node *lru_first(const struct lru *l, uint64_t hash);
struct lru_node *lru_next(const struct lru_node *n);
/* As the newest. */
void lru_insert(struct lru *l, struct lru_node *n, uint64_t hash);
void lru_touch(struct lru *l, struct lru_node *n);
void lru_remove(struct lru *l, struct lru_node *n);
/* The oldest node when there are more than max, else NULL. */
struct lru_node *lru_excess(const struct lru *l);

#endif
