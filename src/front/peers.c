#include "front/peers.h"

#include <string.h>

#include "base/heap.h"
#include "base/network.h"

#define FIRST_CAP 64

void peers_init(struct peers *p, size_t max, size_t max_each)
{
	*p = (struct peers){ .max = max, .max_each = max_each, .hash = siphash_key_new() };
}

void peers_release(struct peers *p)
{
	heap_free(p->slots);
	p->slots = NULL;
}

static void key_of(const struct sockaddr *addr, uint64_t key[2])
{
	struct network n = network_of(addr);

	memcpy(key, n.b, sizeof n.b);
}

static size_t home(const struct peers *p, const uint64_t key[2])
{
	return siphash(&p->hash, str_n((const char *)key, 16)) & (p->cap - 1);
}

/* The slot of key, or the free one where it belongs. */
static struct peer_slot *find(const struct peers *p, const uint64_t key[2])
{
	size_t i = home(p, key);

	while (p->slots[i].n > 0 && memcmp(p->slots[i].key, key, 16) != 0)
		i = (i + 1) & (p->cap - 1);
	return &p->slots[i];
}

static enum err grow(struct peers *p)
{
	struct peer_slot *old = p->slots;
	size_t n = p->cap, cap = n > 0 ? n * 2 : FIRST_CAP;
	struct peer_slot *slots = heap_zalloc(cap * sizeof *slots);

	if (slots == NULL)
		return E_NOMEM;
	p->slots = slots;
	p->cap = cap;
	for (size_t i = 0; i < n; i++)
		if (old[i].n > 0)
			*find(p, old[i].key) = old[i];
	heap_free(old);
	return OK;
}

/* Frees slot i and closes the gap (linear probing, backward shift). */
static void vacate(struct peers *p, size_t i)
{
	size_t mask = p->cap - 1;

	p->used--;
	for (size_t j = (i + 1) & mask; p->slots[j].n > 0; j = (j + 1) & mask) {
		if (((j - home(p, p->slots[j].key)) & mask) < ((j - i) & mask))
			continue;
		p->slots[i] = p->slots[j];
		i = j;
	}
	p->slots[i].n = 0;
}

enum err peers_enter(struct peers *p, const struct sockaddr *addr)
{
	struct peer_slot *s;
	uint64_t key[2];

	if (p->max > 0 && p->open >= p->max)
		return E_LIMIT;
	if (p->max_each > 0) {
		if (p->used * 2 >= p->cap && grow(p) != OK)
			return E_NOMEM;
		key_of(addr, key);
		s = find(p, key);
		if (s->n >= p->max_each)
			return E_LIMIT;
		if (s->n++ == 0) {
			memcpy(s->key, key, 16);
			p->used++;
		}
	}
	p->open++;
	return OK;
}

void peers_leave(struct peers *p, const struct sockaddr *addr)
{
	struct peer_slot *s;
	uint64_t key[2];

	p->open--;
	if (p->max_each == 0)
		return;
	key_of(addr, key);
	s = find(p, key);
	if (s->n == 1)
		vacate(p, (size_t)(s - p->slots));
	else
		s->n--;
}
