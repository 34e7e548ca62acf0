#include "authn/proof_cache.h"

#include <stddef.h>

#include "base/heap.h"
#include "base/secret.h"

struct proof {
	struct lru_node node;
	struct proof_key key;
	struct identity who;
	int64_t until;
};

static struct proof *proof_of(struct lru_node *n)
{
	return (struct proof *)((char *)n - offsetof(struct proof, node));
}

static void drop(struct proof_cache *c, struct proof *p)
{
	lru_remove(&c->map, &p->node);
	heap_free(p);
}

enum err proof_cache_init(struct proof_cache *c, size_t max)
{
	*c = (struct proof_cache){ .key = siphash_key_new() };
	return lru_init(&c->map, max);
}

void proof_cache_release(struct proof_cache *c)
{
	if (c->map.bucket != NULL)
		proof_cache_flush(c);
	lru_release(&c->map);
}

void proof_cache_flush(struct proof_cache *c)
{
	c->generation++;
	while (c->map.oldest != NULL)
		drop(c, proof_of(c->map.oldest));
}

static uint64_t hash_of(const struct proof_cache *c, const struct proof_key *k)
{
	return siphash(&c->key, str_n((const char *)k->hash, sizeof k->hash));
}

static struct proof *find(struct proof_cache *c, const struct proof_key *k)
{
	struct lru_node *n = lru_first(&c->map, hash_of(c, k));

	for (; n != NULL; n = lru_next(n)) {
		struct proof *p = proof_of(n);

		if (p->key.method == k->method && id_eq(p->key.id, k->id) &&
		    secret_eq(str_n((char *)p->key.hash, 32), str_n((const char *)k->hash, 32)))
			return p;
	}
	return NULL;
}

const struct identity *proof_cache_find(struct proof_cache *c, const struct proof_key *k,
    int64_t now)
{
	struct proof *p = find(c, k);

	if (p == NULL)
		return NULL;
	if (now >= p->until) {
		drop(c, p);
		return NULL;
	}
	lru_touch(&c->map, &p->node);
	return &p->who;
}

void proof_cache_add(struct proof_cache *c, const struct proof_key *k, const struct identity *who,
    int64_t until, uint64_t generation)
{
	struct proof *p = find(c, k);

	if (generation != c->generation)
		return;
	if (p != NULL)
		drop(c, p);
	p = heap_zalloc(sizeof *p);
	if (p == NULL)
		return;
	p->key = *k;
	p->who = *who;
	p->until = until;
	lru_insert(&c->map, &p->node, hash_of(c, k));
	if (lru_excess(&c->map) != NULL)
		drop(c, proof_of(lru_excess(&c->map)));
}
