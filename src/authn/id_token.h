/* ID tokens (OpenID Connect Core 1.0, 2): the claims, and whether they hold (3.1.3.7), once the signature
 * has been found good (provider_verify). Exact where the specification leaves room: the audience is the
 * client and nobody else, and a nonce is always wanted. Pure functions: any thread. */
#ifndef AUTHN_ID_TOKEN_H
#define AUTHN_ID_TOKEN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

struct jws;

#define ID_TOKEN_SKEW INT64_C(60) /* seconds that clocks may differ */

struct id_token {
	struct str iss, sub, aud, azp, nonce, at_hash; /* .p NULL: not there */
	struct str email, name;
	bool email_verified;
	int64_t exp, iat, nbf; /* seconds; nbf 0: not there */
};

struct id_token_wanted {
	struct str issuer, client_id, nonce;
	struct str access_token; /* that came with it; .p NULL: none */
	int64_t begun_at, now;   /* microseconds: it must have been issued in between */
};

/* Takes the claims of a token whose signature is good. The payload is decoded in place (it lies in
 * jws_parse's scratch); views point there. Refused: a typ other than JWT, a claim twice, a required claim
 * (iss sub aud exp iat) missing, of another type or empty, more than one audience, a subject past 255
 * bytes. E_OIDC_INVALID. */
enum err id_token_parse(const struct jws *j, struct id_token *out);
/* NULL: it holds; else what does not, a constant for the log: "iss", "aud", "azp", "nonce", "exp", "iat",
 * "nbf", "at_hash". alg: of its header. */
const char *id_token_fault(const struct id_token *t, struct str alg, const struct id_token_wanted *w);

#endif
