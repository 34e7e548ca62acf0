/* A count of events for each of very many keys that strangers choose (addresses), in memory that is
 * allotted once: a table of sets, each key in the one set that a keyed hash gives it. When a set is full
 * the key with the least to its name gives way, so keys that have counted for little, however many, never
 * push out one that has counted for much. What is pushed out is forgotten: it errs towards letting in.
 *
 * Any number of threads; no locks. A slot is one word, so a count may miss an event that another thread
 * counts at the same instant, and is never torn. */
#ifndef BASE_TALLY_H
#define BASE_TALLY_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/siphash.h"
#include "base/str.h"

struct pace;

struct tally {
	_Atomic uint64_t *slots;
	uint64_t sets; /* power of two, less one */
	struct siphash_key key;
};

#define TALLY_WAYS 8

/* Room for `keys` (rounded up to a power of two, at least TALLY_WAYS), of 8 bytes each. E_NOMEM. */
enum err tally_init(struct tally *t, size_t keys);
void tally_release(struct tally *t);

/* now: clock_mono. How long the key has to wait, as pace_wait says. */
int64_t tally_wait(struct tally *t, const struct pace *p, struct str key, int64_t now);
/* One more event of the key. */
void tally_add(struct tally *t, const struct pace *p, struct str key, int64_t now);

#endif
