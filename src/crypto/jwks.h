/* The public keys of somebody else: a JWK Set (RFC 7517, 5) as it came over the wire, made into keys
 * that verify. What can't be used is passed over, as the RFC asks: keys for encryption, symmetric ones,
 * algorithms that are not known here, keys that are too small or not on their curve. A key that shows
 * its private part is no key any more and is passed over as well.
 *
 * Where the set came from, and how long it may be believed, is authn/provider.h's. Immutable after it
 * was made: any thread. */
#ifndef CRYPTO_JWKS_H
#define CRYPTO_JWKS_H

#include <stddef.h>

#include "base/err.h"
#include "base/str.h"

struct jws;
struct jws_key;
struct jwks;

#define JWKS_TEXT_MAX (256u << 10)
#define JWKS_KEYS 64 /* members of `keys` at most */

/* E_INVALID_FIELD: not a JWK Set, a member twice, too large, or without a single key that can be used.
 * E_NOMEM. The caller owns the set. */
enum err jwks_parse(struct str text, struct jwks **out, struct fail *f);
void jwks_free(struct jwks *s);
/* Keys that can be used; an RSA key without `alg` counts for RS256 and for PS256. */
size_t jwks_count(const struct jwks *s);

/* The key of that kid and algorithm. A token without kid (.p NULL) finds the one key of its algorithm,
 * if it is the only one (OpenID Connect Core 1.0, 10.1). NULL: none. */
const struct jws_key *jwks_find(const struct jwks *s, struct str kid, struct str alg);
/* E_NOT_FOUND: no such key (a newer set may have it). E_UNAUTHENTICATED: the signature is not its. */
enum err jwks_verify(const struct jwks *s, const struct jws *j);

#endif
