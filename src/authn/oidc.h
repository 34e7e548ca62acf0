/* The gateway as a client of one OpenID provider (OpenID Connect Core 1.0, 3.1: the code flow, with PKCE):
 * where a browser is sent, and what the code that it brings back is worth. Who that is here is not
 * known to this.
 *
 * Everything that may wait for the provider blocks, within the limits of fetch.h; at most `most` threads do
 * so at a time, whatever the provider does, and more are refused at once. Control lane. */
#ifndef AUTHN_OIDC_H
#define AUTHN_OIDC_H

#include <stdint.h>

#include "authn/id_token.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

struct oidc;
struct oidc_state;
struct provider;

struct oidc_config {
	struct provider *provider; /* outlives the client */
	const char *ca;            /* as in providers_config */
	int most;
};

/* This client as the provider knows it. */
struct oidc_client {
	struct str id, secret, redirect_uri;
};

enum err oidc_new(const struct oidc_config *c, struct oidc **out);
void oidc_free(struct oidc *o); /* NULL is allowed */
struct str oidc_issuer(const struct oidc *o);

/* Appends the address of the authorization request (3.1.2.1) for s. E_PROVIDER_UNAVAILABLE: the provider's
 * metadata is not there, or does not offer the code flow with S256. E_OVERLOADED. */
enum err oidc_authorization_url(struct oidc *o, const struct oidc_client *c, const struct oidc_state *s,
    struct buf *out, struct fail *f);

/* What came back in the address of the callback; .p NULL: not there. */
struct oidc_answer {
	struct str code, iss, error;
};
/* Whether the answer is of the provider that was asked (RFC 9207, 2.4) and brings a code. E_OIDC_INVALID,
 * E_OIDC_REFUSED with the provider's error as details. E_PROVIDER_UNAVAILABLE, E_OVERLOADED. */
enum err oidc_check_answer(struct oidc *o, const struct oidc_answer *answer, struct fail *f);

/* Who somebody is there. */
struct oidc_person {
	struct str subject;
	struct str email, name; /* .p NULL: not told */
	bool email_verified;
};
/* Trades the code for the provider's word (3.1.3). When the ID token tells no address, the userinfo endpoint
 * is asked for it (5.3). Strings in the arena. E_OIDC_REFUSED: the provider does not take the code.
 * E_OIDC_INVALID: the answer does not hold; why is in the log. E_PROVIDER_UNAVAILABLE, E_OVERLOADED. */
enum err oidc_redeem(struct oidc *o, const struct oidc_client *c, const struct oidc_state *s,
    struct str code, int64_t now, struct arena *a, struct oidc_person *out, struct fail *f);

#endif
