#include "dict.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct dict_entry {
	struct dict_entry *next;
	uint64_t hash;
	void *value;
	char key[];
};

static uint64_t hash_of(const char *key)
{
	uint64_t h = 0xcbf29ce484222325u;

	for (; *key; key++)
		h = (h ^ (unsigned char)*key) * 0x100000001b3u;
	return h;
}

void *dict_get(const struct dict *d, const char *key)
{
	uint64_t hash = hash_of(key);

	if (!d->nslots)
		return NULL;
	for (struct dict_entry *e = d->slots[hash & (d->nslots - 1)]; e; e = e->next)
		if (e->hash == hash && !strcmp(e->key, key))
			return e->value;
	return NULL;
}

static void grow(struct dict *d)
{
	size_t nslots = d->nslots ? d->nslots * 2 : 64;
	struct dict_entry **slots = calloc(nslots, sizeof *slots);

	if (!slots)
		abort();
	for (size_t i = 0; i < d->nslots; i++) {
		for (struct dict_entry *e = d->slots[i], *next; e; e = next) {
			next = e->next;
			e->next = slots[e->hash & (nslots - 1)];
			slots[e->hash & (nslots - 1)] = e;
		}
	}
	free(d->slots);
	d->slots = slots;
	d->nslots = nslots;
}

void dict_add(struct dict *d, const char *key, void *value)
{
	size_t len = strlen(key) + 1;
	struct dict_entry *e = malloc(sizeof *e + len), **slot;

	if (!e)
		abort();
	if (d->used >= d->nslots)
		grow(d);
	e->hash = hash_of(key);
	e->value = value;
	memcpy(e->key, key, len);
	slot = &d->slots[e->hash & (d->nslots - 1)];
	e->next = *slot;
	*slot = e;
	d->used++;
}
