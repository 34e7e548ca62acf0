/* Access tokens of other issuers: what they claim, held to the rules that the configuration has for that
 * issuer. Stricter than RFC 7519 where it must be: a token is for one purpose, and an ID token, a refresh
 * token, a logout token or one that is bound to a key which nobody has checked is no access token,
 * whoever signed it. Signatures are jwks.h's.
 *
 * Times inside a token are seconds; `now` and `leeway` are microseconds. Any thread. */
#ifndef CRYPTO_JWT_EXTERNAL_H
#define CRYPTO_JWT_EXTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

struct jws;

#define JWT_SUBJECT_MAX 512
#define JWT_SCOPES_MAX 2048

struct jwt_external_rules {
	struct str audience;
	struct str subject_claim, scope_claim; /* names; text, and text or an array of texts */
};

struct jwt_external {
	struct str subject;
	struct str scopes;     /* separated by blanks; .p NULL: it has no such claim */
	bool for_us;           /* aud contains the audience */
	int64_t exp, nbf, iat; /* seconds; nbf, iat: 0 when absent */
};

/* Who says to have issued it. The payload is decoded in scratch (cap bytes), which *iss views.
 * E_UNAUTHENTICATED: no object, a member twice, no iss or an empty one. */
enum err jwt_external_issuer(const struct jws *j, char *scratch, size_t cap, struct str *iss);

/* Reads the claims. The payload is decoded in place; views point there. Refused: a `typ` other than
 * at+jwt, JWT or none; a claim twice; aud, subject or exp missing, of another type or empty; times that
 * are not whole seconds; what marks a token as something else than a bearer's access token (nonce, at_hash,
 * events, cnf, typ, token_use). E_UNAUTHENTICATED. */
enum err jwt_external_parse(const struct jws *j, const struct jwt_external_rules *rules,
    struct jwt_external *out);

/* It is for us, now is before exp, and not before nbf nor iat but for the leeway. E_UNAUTHENTICATED. */
enum err jwt_external_check(const struct jwt_external *t, int64_t now, int64_t leeway);

#endif
