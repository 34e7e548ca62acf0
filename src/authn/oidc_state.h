/* What a sign-in by OpenID must still know when the browser comes back: sealed under the master key and
 * kept in a cookie of that browser, so that nothing is stored until somebody has been at the provider,
 * any replica can go on, and nobody else's browser can. The state itself, which the browser carries in
 * the address, is in it too; that it is used once is iam/identity.h's. Any thread. */
#ifndef AUTHN_OIDC_STATE_H
#define AUTHN_OIDC_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/id.h"
#include "base/str.h"

struct seal;

#define OIDC_STATE_LIFE (10 * 60 * CLOCK_SEC)
#define OIDC_STATE_SKEW (60 * CLOCK_SEC) /* that clocks of replicas may differ */
#define OIDC_STATE_TOKEN 44 /* 32 random bytes in base64url, and the NUL */
#define OIDC_RETURN_TO_MAX 1024

struct oidc_state {
	char state[OIDC_STATE_TOKEN], nonce[OIDC_STATE_TOKEN];
	char verifier[OIDC_STATE_TOKEN]; /* of PKCE (RFC 7636, 4.1) */
	char finish[OIDC_STATE_TOKEN];   /* what the application needs to pick the sign-in up */
	struct str issuer;    /* whom the browser was sent to */
	struct str return_to; /* .p NULL: none */
	bool link;            /* it is to be added to `user`, who began it in `session` */
	struct id user, session;
	int64_t begun_at;     /* wall, microseconds */
};

/* New tokens, all else as it was. */
void oidc_state_make(struct oidc_state *s);
void oidc_state_wipe(struct oidc_state *s);
/* base64url(SHA-256(verifier)), with a NUL (RFC 7636, 4.2). */
void oidc_state_challenge(const struct oidc_state *s, char out[OIDC_STATE_TOKEN]);

/* Appends the cookie's value. */
enum err oidc_state_seal(const struct oidc_state *s, const struct seal *seal, struct buf *out);
/* E_OIDC_STATE: not ours, begun longer than OIDC_STATE_LIFE ago, or in the future. Strings in the arena. */
enum err oidc_state_open(struct str cookie, const struct seal *seal, int64_t now, struct arena *a,
    struct oidc_state *out);

#endif
