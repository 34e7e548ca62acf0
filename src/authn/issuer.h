/* An issuer of tokens that the configuration trusts (`issuers`): the rules for its tokens, and where its
 * keys come from. Made by gatewayd before the workers, immutable from then on. */
#ifndef AUTHN_ISSUER_H
#define AUTHN_ISSUER_H

#include "base/str.h"
#include "crypto/jwt_external.h"

struct provider;

struct issuer {
	struct str issuer; /* iss, exactly */
	struct jwt_external_rules rules;
	unsigned algs; /* bit 1 << enum jws_alg: those that its tokens may be signed with */
	struct provider *provider;
};

#endif
