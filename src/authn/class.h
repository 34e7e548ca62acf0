/* Inside authn: what the classes of credentials share. A class says whether its credential was
 * presented, and checks it: on the worker when it can, else by a job on the control lane. What it
 * proves is an identity; whether that is still somebody (enabled, its session live) is found out
 * in one place, authn.c. */
#ifndef AUTHN_CLASS_H
#define AUTHN_CLASS_H

#include <stdbool.h>
#include <stdint.h>

#include "authn/authn.h"
#include "base/err.h"
#include "base/id.h"
#include "base/loop.h"
#include "base/pool.h"
#include "obs/obs.h"
#include "request/request.h"

struct attempt;

/* What a credential proves. */
struct identity {
	struct id principal;
	bool has_session;
	struct id session;
	int64_t auth_time;  /* wall, microseconds; 0: unknown */
	int64_t expires_at; /* wall, microseconds; 0: never */
	unsigned amr;       /* enum jwt_amr */
};

enum auth_scheme { AUTH_SCHEME_NONE, AUTH_SCHEME_BEARER, AUTH_SCHEME_BASIC, AUTH_SCHEME_OTHER };

struct authn_class {
	enum auth_method method;
	bool (*presented)(struct attempt *t, enum auth_scheme scheme); /* may leave t->data for check */
	/* OK: t->who is set, or, when the class has found the principal itself, r->auth (accepted).
	 * E_NOT_READY: a job or a lookup is under way. Else the failure. */
	enum err (*check)(struct attempt *t);
};

/* One request's authentication; in the request's arena. */
struct attempt {
	struct authn *a;
	struct request *r;
	void (*cb)(struct request *r, enum err e);
	const struct authn_class *class;
	struct str credential; /* what follows the scheme */
	struct identity who;
	uint64_t epoch; /* of the principal cache, when `who` began to be looked up in the store */
	struct str scopes; /* that narrow what it may do; constant or in the request's arena */
	enum err outcome;
	bool waiting; /* the caller has been told E_NOT_READY */
	/* the class's way through the control lane */
	struct pool_job job;
	struct loop_msg msg;
	enum err (*work)(struct attempt *t);     /* on the lane: touches nothing of the worker's */
	enum err (*finish)(struct attempt *t, enum err e); /* on the worker; as check. NULL: e stands */
	enum obs_auth_reason reason; /* of E_UNAUTHENTICATED, set by work */
	void *data; /* the class's */
	/* on the worker, when the principal and its session have been found good: how long the
	 * session lasts */
	void (*resolved)(struct attempt *t, struct principal *p, int64_t session_until);
};

/* Counts the failure, returns E_UNAUTHENTICATED. */
enum err attempt_refuse(struct attempt *t, enum obs_auth_reason reason);
/* Runs t->work on the control lane. E_NOT_READY, or E_OVERLOADED when too many of the class are
 * there. */
enum err attempt_to_lane(struct attempt *t);
/* throttle_wrong for an attempt without an account, on the worker. */
enum err attempt_slow(struct attempt *t, enum err e);
/* The same for another kind of waiting: E_NOT_READY or E_OVERLOADED. What is waited for calls
 * attempt_woken on the worker, with the class's outcome as of then, or never when attempt_not_waiting
 * takes it back at once. */
enum err attempt_wait(struct attempt *t);
void attempt_not_waiting(struct attempt *t);
void attempt_woken(struct attempt *t, enum err e);
/* Sets r->auth from t->who and t->scopes. E_NOMEM. */
enum err attempt_accept(struct attempt *t, struct principal *p);

/* Zeroed memory of the request's arena; NULL when out of memory. */
void *attempt_alloc(struct attempt *t, size_t n);

extern const struct authn_class class_external, class_access_token, class_api_key, class_basic,
    class_certificate;

/* For classes: parts of struct authn. */
const struct authn_config *authn_config(const struct authn *a);
struct token_cache *authn_tokens(struct authn *a);
struct proof_cache *authn_proofs(struct authn *a);
struct keyring *authn_keys(struct authn *a);
/* Whether so many signatures were bad of late that this worker should check no more of them
 * itself. */
bool authn_flooded(struct authn *a);
void authn_count_bad(struct authn *a);
/* Whether this worker may ask now for changes that it has not seen; counts it. */
bool authn_may_catch_up(struct authn *a);

#endif
