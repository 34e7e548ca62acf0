/* What a worker remembers of the access tokens that it has verified: a signature costs 100 us,
 * finding it here 0.1 us. A token is found by a keyed hash and compared whole. That an entry is
 * found says that the signature and the claims were good; whether they still are (exp, session,
 * principal) is the caller's to check, each time.
 *
 * Beside them, of the tokens whose signature was bad, the newest 1024, by a 128-bit keyed hash:
 * repeats of one bad token cost no signature, and a flood of different ones can't push good tokens
 * out. One for a worker; only its thread calls. */
#ifndef AUTHN_TOKEN_CACHE_H
#define AUTHN_TOKEN_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "authn/class.h"
#include "base/err.h"
#include "base/lru.h"
#include "base/siphash.h"
#include "base/str.h"

struct issuer;
struct keyring;
struct principal;

struct token {
	struct lru_node node;
	struct identity who; /* as claimed */
	int64_t until;       /* wall, microseconds: exp, or when the key ends if that is earlier */
	char kid[44]; /* of ours */
	/* of another issuer (NULL: of ours): whose, by which version of its keys, and what it says. `who` is
	 * not in it: who a subject is can change, and is known by the proofs. */
	const struct issuer *issuer;
	uint64_t key_version;
	struct str subject, scopes; /* scopes.p NULL: no such claim */
	/* the principal as of `epoch` of the principal cache, session live; NULL: not looked up yet */
	struct principal *principal;
	uint64_t epoch;
	int64_t session_until;
	size_t n, more; /* lengths of the token, and of what stands behind it */
	char text[];
};

#define BAD_TOKENS 1024

struct token_cache {
	struct lru map;
	struct siphash_key key, second;
	struct {
		uint64_t a, b; /* both 0: free */
	} bad[BAD_TOKENS];
};

enum err token_cache_init(struct token_cache *c, size_t max);
void token_cache_release(struct token_cache *c);

/* NULL when it is not there. */
struct token *token_cache_find(struct token_cache *c, struct str text);
/* Replaces what is there. NULL without memory: then it is just not remembered. */
struct token *token_cache_add(struct token_cache *c, struct str text, struct str kid,
    const struct identity *who, int64_t until);
/* The same for one of another issuer; subject and scopes are copied. */
struct token *token_cache_add_external(struct token_cache *c, struct str text,
    const struct issuer *issuer, uint64_t key_version, struct str subject, struct str scopes,
    int64_t until);
void token_cache_remove(struct token_cache *c, struct token *t);
/* Forgets those of our tokens whose keys are not in k (NULL: all of them) or have ended, and all bad
 * ones: they may be good now. */
void token_cache_keep_keys(struct token_cache *c, const struct keyring *k);
void token_cache_forget_bad(struct token_cache *c);

bool token_cache_is_bad(const struct token_cache *c, struct str text);
void token_cache_add_bad(struct token_cache *c, struct str text);

#endif
