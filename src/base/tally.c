#include "base/tally.h"

#include <stdatomic.h>
#include <stdbool.h>

#include "base/clock.h"
#include "base/heap.h"
#include "base/pace.h"

/* A slot: 26 bits of the key's hash, 14 of the count, 24 of the time, in eighths of a second: it comes
 * round after 24 days. The count is never 0 in a slot that is taken. */
#define TICK (CLOCK_SEC / 8)
#define TIME_BITS 24
#define COUNT_BITS 14
#define TIME_MASK ((UINT64_C(1) << TIME_BITS) - 1)
#define COUNT_MASK ((UINT64_C(1) << COUNT_BITS) - 1)
_Static_assert(PACE_MAX <= COUNT_MASK, "a count fits into its bits");

static uint64_t pack(uint64_t tag, int64_t n, int64_t now)
{
	return tag << (TIME_BITS + COUNT_BITS) | (uint64_t)n << TIME_BITS |
	    ((uint64_t)(now / TICK) & TIME_MASK);
}

static uint64_t tag_of(uint64_t slot)
{
	return slot >> (TIME_BITS + COUNT_BITS);
}

static int64_t count_of(uint64_t slot)
{
	return (int64_t)(slot >> TIME_BITS & COUNT_MASK);
}

static int64_t age_of(uint64_t slot, int64_t now)
{
	return (int64_t)(((uint64_t)(now / TICK) - slot) & TIME_MASK) * TICK;
}

enum err tally_init(struct tally *t, size_t keys)
{
	size_t sets = 1;

	while (sets * TALLY_WAYS < keys)
		sets *= 2;
	*t = (struct tally){ .slots = heap_zalloc(sets * TALLY_WAYS * sizeof *t->slots),
		.sets = sets - 1, .key = siphash_key_new() };
	return t->slots != NULL ? OK : E_NOMEM;
}

void tally_release(struct tally *t)
{
	heap_free(t->slots);
	t->slots = NULL;
}

/* The set where the key belongs, and what its slot carries of it. */
static _Atomic uint64_t *set_of(struct tally *t, struct str key, uint64_t *tag)
{
	uint64_t h = siphash(&t->key, key);

	*tag = tag_of(h);
	return &t->slots[(h & t->sets) * TALLY_WAYS];
}

static uint64_t get(_Atomic uint64_t *slot)
{
	return atomic_load_explicit(slot, memory_order_relaxed);
}

static bool swap(_Atomic uint64_t *slot, uint64_t was, uint64_t is)
{
	return atomic_compare_exchange_strong_explicit(slot, &was, is, memory_order_relaxed,
	    memory_order_relaxed);
}

static bool holds(uint64_t slot, uint64_t tag)
{
	return count_of(slot) > 0 && tag_of(slot) == tag;
}

int64_t tally_wait(struct tally *t, const struct pace *p, struct str key, int64_t now)
{
	uint64_t tag;
	_Atomic uint64_t *set = set_of(t, key, &tag);

	for (int i = 0; i < TALLY_WAYS; i++) {
		uint64_t s = get(&set[i]);

		if (holds(s, tag))
			return pace_wait(p, count_of(s), age_of(s, now));
	}
	return 0;
}

/* What gives way to a new key: the slot with the least left, of those the oldest. */
static int least(_Atomic uint64_t *set, const struct pace *p, int64_t now)
{
	int64_t left = INT64_MAX, age = 0;
	int at = 0;

	for (int i = 0; i < TALLY_WAYS; i++) {
		uint64_t s = get(&set[i]);
		int64_t a = age_of(s, now), n = pace_left(p, count_of(s), a);

		if (n > left || (n == left && a <= age))
			continue;
		left = n;
		age = a;
		at = i;
	}
	return at;
}

/* False when somebody else changed the slot meanwhile. */
static bool try_add(_Atomic uint64_t *set, const struct pace *p, uint64_t tag, int64_t now)
{
	int at;

	for (int i = 0; i < TALLY_WAYS; i++) {
		uint64_t s = get(&set[i]);
		int64_t n;

		if (!holds(s, tag))
			continue;
		n = pace_left(p, count_of(s), age_of(s, now)) + 1;
		return swap(&set[i], s, pack(tag, n < PACE_MAX ? n : PACE_MAX, now));
	}
	at = least(set, p, now);
	return swap(&set[at], get(&set[at]), pack(tag, 1, now));
}

void tally_add(struct tally *t, const struct pace *p, struct str key, int64_t now)
{
	uint64_t tag;
	_Atomic uint64_t *set = set_of(t, key, &tag);

	for (int tries = 0; tries < 64; tries++)
		if (try_add(set, p, tag, now))
			return;
}
