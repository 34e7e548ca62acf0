/* What a worker remembers of credentials of service accounts that it has had checked: which
 * account an API key, a client secret or a certificate proves. Keyed by hashes, so nothing here
 * can be presented. An entry holds until the credential's expiry, an hour at most (then the use
 * is noted again), or until the change feed speaks of credentials: then all go. One for a worker;
 * only its thread calls. */
#ifndef AUTHN_PROOF_CACHE_H
#define AUTHN_PROOF_CACHE_H

#include <stddef.h>
#include <stdint.h>

#include "authn/class.h"
#include "base/err.h"
#include "base/lru.h"
#include "base/siphash.h"

struct proof_key {
	enum auth_method method;
	struct id id;           /* of the credential or the account; zero for certificates */
	unsigned char hash[32]; /* of the secret; of the certificate */
};

struct proof_cache {
	struct lru map;
	struct siphash_key key;
	uint64_t generation; /* counts flushes */
};

enum err proof_cache_init(struct proof_cache *c, size_t max);
void proof_cache_release(struct proof_cache *c);
/* NULL when it is not there or has run out at `now` (wall). */
const struct identity *proof_cache_find(struct proof_cache *c, const struct proof_key *k,
    int64_t now);
/* Adds what was read when the generation was `generation`; does nothing when there was a flush
 * since, or without memory. */
void proof_cache_add(struct proof_cache *c, const struct proof_key *k, const struct identity *who,
    int64_t until, uint64_t generation);
void proof_cache_flush(struct proof_cache *c);

#endif
