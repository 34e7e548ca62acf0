/* What an OpenID provider says of itself (OpenID Connect Discovery 1.0, 3 and 4; RFC 8414): where its
 * endpoints and keys are and what it can do. Read strictly: it must name the very issuer that was asked,
 * and every address in it must be one that fetch_url_allowed allows. Fetching is authn/provider.h's.
 * Immutable after it was read: any thread. */
#ifndef AUTHN_DISCOVERY_H
#define AUTHN_DISCOVERY_H

#include <stdbool.h>

#include "base/err.h"
#include "base/str.h"

struct json_t;

#define DISCOVERY_TEXT_MAX (64u << 10)
#define DISCOVERY_PATH "/.well-known/openid-configuration"

struct discovery {
	struct json_t *root; /* owns the texts below, which end in a NUL */
	const char *jwks_uri;
	/* NULL: it names none */
	const char *authorization_endpoint, *token_endpoint, *userinfo_endpoint;
	bool iss_in_response; /* RFC 9207: its authorization responses carry iss */
	bool auth_basic, auth_post; /* how a client may authenticate at the token endpoint (RFC 6749, 2.3.1) */
	bool code_flow;       /* it gives out codes, and knows PKCE with S256 or does not say */
};

/* Views into *out live until discovery_release. E_INVALID_FIELD says what is wrong. */
enum err discovery_parse(struct str text, struct str issuer, struct discovery *out, struct fail *f);
void discovery_release(struct discovery *d);

#endif
