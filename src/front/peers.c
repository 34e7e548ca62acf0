#include "front/peers.h"

#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

#include "base/heap.h"
#include "base/network.h"
#include "base/siphash.h"

#define CACHE_LINE 64
#define SHARDS 64
#define FIRST_CAP 16

struct slot {
	uint64_t key[2]; /* address; v4 as ::ffff:a.b.c.d */
	size_t n;        /* 0: free */
};

struct shard {
	_Alignas(CACHE_LINE) pthread_mutex_t mu; /* guards the rest */
	struct slot *slots; /* open addressing, power of two */
	size_t cap, used;
};

struct peers {
	_Alignas(CACHE_LINE) atomic_size_t open;
	_Alignas(CACHE_LINE) size_t max;
	size_t max_each;
	struct siphash_key hash;
	struct shard shards[SHARDS];
};

enum err peers_new(size_t max, size_t max_each, struct peers **out)
{
	struct peers *p = heap_aligned(CACHE_LINE, sizeof *p);

	if (p == NULL)
		return E_NOMEM;
	memset(p, 0, sizeof *p);
	p->max = max;
	p->max_each = max_each;
	p->hash = siphash_key_new();
	for (int i = 0; i < SHARDS; i++)
		pthread_mutex_init(&p->shards[i].mu, NULL);
	*out = p;
	return OK;
}

void peers_free(struct peers *p)
{
	if (p == NULL)
		return;
	for (int i = 0; i < SHARDS; i++) {
		heap_free(p->shards[i].slots);
		pthread_mutex_destroy(&p->shards[i].mu);
	}
	heap_free(p);
}

static void key_of(const struct sockaddr *addr, uint64_t key[2])
{
	struct network n = network_of(addr);

	memcpy(key, n.b, sizeof n.b);
}

/* ---- a shard, under its lock ------------------------------------------------------------------- */

/* The low bits of the hash have chosen the shard. */
static size_t home(const struct shard *s, uint64_t hash)
{
	return (size_t)(hash / SHARDS) & (s->cap - 1);
}

static uint64_t hash_of(const struct peers *p, const uint64_t key[2])
{
	return siphash(&p->hash, str_n((const char *)key, 16));
}

/* The slot of key, or the free one where it belongs. */
static struct slot *find(const struct shard *s, uint64_t hash, const uint64_t key[2])
{
	size_t i = home(s, hash);

	while (s->slots[i].n > 0 && memcmp(s->slots[i].key, key, 16) != 0)
		i = (i + 1) & (s->cap - 1);
	return &s->slots[i];
}

static enum err grow(const struct peers *p, struct shard *s)
{
	struct slot *old = s->slots;
	size_t n = s->cap, cap = n > 0 ? n * 2 : FIRST_CAP;
	struct slot *slots = heap_zalloc(cap * sizeof *slots);

	if (slots == NULL)
		return E_NOMEM;
	s->slots = slots;
	s->cap = cap;
	for (size_t i = 0; i < n; i++)
		if (old[i].n > 0)
			*find(s, hash_of(p, old[i].key), old[i].key) = old[i];
	heap_free(old);
	return OK;
}

/* Frees slot i and closes the gap (linear probing, backward shift). */
static void vacate(const struct peers *p, struct shard *s, size_t i)
{
	size_t mask = s->cap - 1;

	s->used--;
	for (size_t j = (i + 1) & mask; s->slots[j].n > 0; j = (j + 1) & mask) {
		if (((j - home(s, hash_of(p, s->slots[j].key))) & mask) < ((j - i) & mask))
			continue;
		s->slots[i] = s->slots[j];
		i = j;
	}
	s->slots[i].n = 0;
}

static enum err enter_shard(const struct peers *p, struct shard *s, uint64_t hash, const uint64_t key[2])
{
	struct slot *slot;

	if (s->used * 2 >= s->cap && grow(p, s) != OK)
		return E_NOMEM;
	slot = find(s, hash, key);
	if (slot->n >= p->max_each)
		return E_LIMIT;
	if (slot->n++ == 0) {
		memcpy(slot->key, key, 16);
		s->used++;
	}
	return OK;
}

/* ---- a connection ------------------------------------------------------------------------------ */

static enum err enter_address(struct peers *p, const struct sockaddr *addr)
{
	uint64_t key[2], hash;
	struct shard *s;
	enum err e;

	key_of(addr, key);
	hash = hash_of(p, key);
	s = &p->shards[hash % SHARDS];
	pthread_mutex_lock(&s->mu);
	e = enter_shard(p, s, hash, key);
	pthread_mutex_unlock(&s->mu);
	return e;
}

static void leave_address(struct peers *p, const struct sockaddr *addr)
{
	uint64_t key[2], hash;
	struct slot *slot;
	struct shard *s;

	key_of(addr, key);
	hash = hash_of(p, key);
	s = &p->shards[hash % SHARDS];
	pthread_mutex_lock(&s->mu);
	slot = find(s, hash, key);
	if (slot->n == 1)
		vacate(p, s, (size_t)(slot - s->slots));
	else
		slot->n--;
	pthread_mutex_unlock(&s->mu);
}

enum err peers_enter(struct peers *p, const struct sockaddr *addr)
{
	/* counted first, so that of several at once none is one too many */
	size_t before = atomic_fetch_add_explicit(&p->open, 1, memory_order_relaxed);
	enum err e = p->max > 0 && before >= p->max ? E_LIMIT : OK;

	if (e == OK && p->max_each > 0)
		e = enter_address(p, addr);
	if (e != OK)
		atomic_fetch_sub_explicit(&p->open, 1, memory_order_relaxed);
	return e;
}

void peers_leave(struct peers *p, const struct sockaddr *addr)
{
	atomic_fetch_sub_explicit(&p->open, 1, memory_order_relaxed);
	if (p->max_each > 0)
		leave_address(p, addr);
}
