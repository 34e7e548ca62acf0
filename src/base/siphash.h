/* SipHash-2-4 (Aumasson and Bernstein): a keyed hash for tables whose keys a caller of the gateway
 * chooses, so that nobody can aim at one bucket. Not a MAC for anything that is stored or sent.
 * Pure function: any thread. */
#ifndef BASE_SIPHASH_H
#define BASE_SIPHASH_H

#include <stdint.h>

#include "base/str.h"

struct siphash_key {
	uint64_t k0, k1;
};

/* A random key. */
struct siphash_key siphash_key_new(void);
uint64_t siphash(const struct siphash_key *key, struct str s);

#endif
