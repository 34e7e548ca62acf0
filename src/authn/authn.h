/* Authentication of a request on its worker: the credential chain of CONTRACT 4. The first class of
 * credential that is presented decides; a failure of it is never tried as another class. Fails
 * closed: no configuration opens anything to anonymous callers.
 *
 * One per worker; only its thread calls. Keys arrive as immutable snapshots by message. */
#ifndef AUTHN_AUTHN_H
#define AUTHN_AUTHN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

struct authn;
struct hasher;
struct issuer;
struct keyring;
struct loop;
struct obs_worker;
struct pool;
struct principal_cache;
struct request;
struct store;
struct throttle;

struct authn_config {
	struct str issuer, audience; /* live as long as the authn */
	const _Atomic bool *basic_without_tls; /* any thread writes; NULL: never */
	const _Atomic bool *verified_only; /* auth.signup is verify: user_awaits_link; NULL: never */
	const struct issuer *issuers; /* whose tokens are believed beside our own; as long as the authn */
	size_t nissuers;
	int64_t leeway_us; /* clock skew for iat, nbf of external tokens; 0 for ours */
	size_t max_tokens; /* verified tokens, and verified credentials, that are remembered */
	struct loop *loop;
	struct obs_worker *obs;
	struct principal_cache *principals;
	struct pool *lane; /* control lane: what needs the store or a password hash */
	struct store *store;
	struct hasher *hasher;
	struct throttle *throttle; /* NULL: nothing is limited */
	/* Called on the lane; returns when every change made so far, anywhere, has been handed to the worker,
	 * or gives up after a second. NULL: keys come when they come. */
	void (*catch_up)(void *ctx);
	void *catch_up_ctx;
};

enum err authn_new(const struct authn_config *c, struct authn **out);
/* After the loop has stopped and the lane has been drained. */
void authn_free(struct authn *a);

/* OK: r->auth is set (with a reference to the principal that is released when the request ends;
 * no principal when no credential was presented: the caller decides whether that is allowed).
 * E_NOT_READY: cb will be called later on this worker with the outcome. Else the failure:
 * E_UNAUTHENTICATED, which does not say why (the metrics do); E_STATE_STALE, E_STORE_UNAVAILABLE,
 * E_PROVIDER_UNAVAILABLE (no keys of that issuer), E_OVERLOADED, E_NOMEM when it could not be decided. */
enum err authn_request(struct authn *a, struct request *r,
    void (*cb)(struct request *r, enum err e));

/* Swaps the verification keys (takes the reference); forgets tokens of keys that are gone. */
void authn_set_keys_take(struct authn *a, struct keyring *k);
/* The change feed: credentials of service accounts, or identities of users, have changed. Tokens are held
 * to the epoch of the principal cache instead. */
void authn_flush(struct authn *a);

#endif
