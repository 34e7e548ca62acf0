#include "base/radix.h"

#include <string.h>

#include "base/heap.h"

#define BYTES 8
#define VALUES 256
#define FEW 24 /* fewer are inserted one by one */

static void insert(struct radix_item *v, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		struct radix_item x = v[i];
		size_t j = i;

		for (; j > 0 && v[j - 1].key > x.key; j--)
			v[j] = v[j - 1];
		v[j] = x;
	}
}

static unsigned byte_of(uint64_t key, unsigned b)
{
	return key >> (8 * b) & (VALUES - 1);
}

/* One pass: `from` in the order of byte b into `to`. */
static void scatter(const struct radix_item *from, size_t n, unsigned b, const size_t *counts,
    struct radix_item *to)
{
	size_t at[VALUES], sum = 0;

	for (unsigned i = 0; i < VALUES; i++) {
		at[i] = sum;
		sum += counts[i];
	}
	for (size_t i = 0; i < n; i++)
		to[at[byte_of(from[i].key, b)]++] = from[i];
}

bool radix_sort(struct radix_item *v, size_t n)
{
	size_t counts[BYTES][VALUES] = { 0 };
	struct radix_item *spare, *from = v, *to;

	if (n < FEW) {
		insert(v, n);
		return true;
	}
	spare = to = heap_alloc(n * sizeof *v);
	if (spare == NULL)
		return false;
	for (size_t i = 0; i < n; i++)
		for (unsigned b = 0; b < BYTES; b++)
			counts[b][byte_of(v[i].key, b)]++;
	for (unsigned b = 0; b < BYTES; b++) {
		struct radix_item *done = from;

		if (counts[b][byte_of(v[0].key, b)] == n)
			continue;
		scatter(from, n, b, counts[b], to);
		from = to;
		to = done;
	}
	if (from != v)
		memcpy(v, from, n * sizeof *v);
	heap_free(spare);
	return true;
}
