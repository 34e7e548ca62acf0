#include "authn/authn.h"

#include "authz/principal_cache.h"
#include "base/clock.h"
#include "base/heap.h"
#include "base/loop.h"
#include "crypto/jwt.h"
#include "crypto/keyring.h"
#include "iam/principal.h"
#include "obs/obs.h"
#include "request/request.h"

struct authn {
	struct authn_config c;
	struct loop *loop;
	struct obs_worker *obs;
	struct principal_cache *principals;
	struct keyring *keys;
	char scratch[16384];
};

/* A lookup of principal and session, in the request's arena. */
struct lookup {
	struct authn *a;
	struct request *r;
	void (*cb)(struct request *r, enum err e);
	enum err e;
	bool sync; /* still inside authn_request */
};

enum err authn_new(const struct authn_config *c, struct loop *loop, struct obs_worker *obs,
    struct principal_cache *principals, struct pool *lane, struct store *store, struct seal *seal,
    struct authn **out)
{
	struct authn *a = heap_zalloc(sizeof *a);

	(void)lane;
	(void)store;
	(void)seal;
	if (a == NULL)
		return E_NOMEM;
	a->c = *c;
	a->loop = loop;
	a->obs = obs;
	a->principals = principals;
	*out = a;
	return OK;
}

void authn_free(struct authn *a)
{
	if (a == NULL)
		return;
	keyring_unref(a->keys);
	heap_free(a);
}

void authn_set_keys_take(struct authn *a, struct keyring *k)
{
	keyring_unref(a->keys);
	a->keys = k;
}

void authn_flush(struct authn *a)
{
	(void)a;
}

static void unref(void *p)
{
	principal_unref(p);
}

static void lookup_cb(void *arg, enum err e, struct principal *p, const struct session_state *s)
{
	struct lookup *l = arg;

	if (e == E_NOT_FOUND || (e == OK && (p->disabled || !s->live)))
		e = E_UNAUTHENTICATED;
	if (e == OK) {
		l->r->auth.principal = principal_ref(p);
		e = request_on_finish(l->r, unref, p);
	}
	l->e = e;
	if (!l->sync)
		l->cb(l->r, e);
}

static enum err access_token(struct authn *a, struct request *r, struct str token,
    void (*cb)(struct request *r, enum err e))
{
	struct jwt_verifier v = { .keys = a->keys, .issuer = a->c.issuer, .audience = a->c.audience,
		.scratch = a->scratch, .cap = sizeof a->scratch };
	struct jwt_access claims;
	struct lookup *l;
	enum err e = jwt_access_verify(&v, token, loop_wall(a->loop), &claims, NULL);

	if (e != OK)
		return e;
	l = arena_alloc(&r->arena, sizeof *l);
	if (l == NULL)
		return E_NOMEM;
	*l = (struct lookup){ a, r, cb, OK, true };
	r->auth.method = AUTH_ACCESS_TOKEN;
	r->auth.has_session = true;
	r->auth.session = claims.sid;
	r->auth.auth_time = claims.auth_time * CLOCK_SEC;
	r->auth.expires_at = claims.exp * CLOCK_SEC;
	e = principal_cache_get(a->principals, claims.sub, &claims.sid, lookup_cb, l);
	l->sync = false;
	return e == OK ? l->e : e;
}

enum err authn_request(struct authn *a, struct request *r,
    void (*cb)(struct request *r, enum err e))
{
	struct str h = request_known(r, HDR_AUTHORIZATION);

	if (h.p == NULL)
		return OK;
	if (r->known_count[HDR_AUTHORIZATION] > 1 || !str_starts(h, STR("Bearer ")))
		return E_UNAUTHENTICATED;
	return access_token(a, r, str_skip(h, 7), cb);
}
