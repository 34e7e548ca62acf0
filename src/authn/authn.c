#include "authn/authn.h"

#include <assert.h>

#include "authn/class.h"
#include "authn/proof_cache.h"
#include "authn/token_cache.h"
#include "authz/principal_cache.h"
#include "base/clock.h"
#include "base/heap.h"
#include "crypto/jwt.h"
#include "crypto/keyring.h"
#include "iam/principal.h"
#include "iam/throttle.h"

#define JOBS_MAX 256            /* of one class on the control lane, for one worker */
#define WAITS_MAX 256           /* for anything else */
#define BAD_SIGNATURES_MAX 200  /* a second, that a worker checks itself: 2 % of a core */
#define CATCH_UPS_MAX 4         /* a second: each may hold a thread of the lane for as long */

/* The chain of CONTRACT 4. The first whose credential is presented decides. A Bearer token that names
 * another issuer that is configured is that issuer's (it is never ours: the two can't have the same
 * name); whatever else comes as Bearer is the access token's to refuse. */
static const struct authn_class *const chain[] = {
	&class_external, &class_access_token, &class_api_key, &class_basic, &class_certificate,
};

struct authn {
	struct authn_config c;
	struct keyring *keys;
	struct token_cache tokens;
	struct proof_cache proofs;
	size_t jobs[AUTH__COUNT], waits;
	struct count {
		int64_t since; /* loop_now: the second that it counts in */
		unsigned n;
	} bad, catch_ups;
};

enum err authn_new(const struct authn_config *c, struct authn **out)
{
	struct authn *a = heap_zalloc(sizeof *a);

	if (a == NULL)
		return E_NOMEM;
	a->c = *c;
	if (token_cache_init(&a->tokens, c->max_tokens) != OK ||
	    proof_cache_init(&a->proofs, c->max_tokens) != OK) {
		authn_free(a);
		return E_NOMEM;
	}
	*out = a;
	return OK;
}

void authn_free(struct authn *a)
{
	if (a == NULL)
		return;
	for (int m = 0; m < AUTH__COUNT; m++)
		assert(a->jobs[m] == 0);
	assert(a->waits == 0);
	token_cache_release(&a->tokens);
	proof_cache_release(&a->proofs);
	keyring_unref(a->keys);
	heap_free(a);
}

const struct authn_config *authn_config(const struct authn *a)
{
	return &a->c;
}

struct token_cache *authn_tokens(struct authn *a)
{
	return &a->tokens;
}

struct proof_cache *authn_proofs(struct authn *a)
{
	return &a->proofs;
}

struct keyring *authn_keys(struct authn *a)
{
	return a->keys;
}

void authn_set_keys_take(struct authn *a, struct keyring *k)
{
	token_cache_keep_keys(&a->tokens, k);
	keyring_unref(a->keys);
	a->keys = k;
}

void authn_flush(struct authn *a)
{
	proof_cache_flush(&a->proofs);
}

/* Within this second. */
static unsigned counted(struct authn *a, struct count *c)
{
	int64_t now = loop_now(a->c.loop);

	if (now - c->since >= CLOCK_SEC)
		*c = (struct count){ now, 0 };
	return c->n;
}

bool authn_flooded(struct authn *a)
{
	return counted(a, &a->bad) >= BAD_SIGNATURES_MAX;
}

void authn_count_bad(struct authn *a)
{
	a->bad.n++;
}

bool authn_may_catch_up(struct authn *a)
{
	if (a->c.catch_up == NULL || counted(a, &a->catch_ups) >= CATCH_UPS_MAX)
		return false;
	a->catch_ups.n++;
	return true;
}

/* ---- what classes are given ----------------------------------------------------------------- */

void *attempt_alloc(struct attempt *t, size_t n)
{
	return arena_zalloc(&t->r->arena, n);
}

enum err attempt_refuse(struct attempt *t, enum obs_auth_reason reason)
{
	obs_auth_failure(t->a->c.obs, t->class != NULL ? t->class->method : AUTH_NONE, reason);
	return E_UNAUTHENTICATED;
}

enum err attempt_slow(struct attempt *t, enum err e)
{
	struct throttle_who who = throttle_who(t->r, STR_NONE);
	struct fail f = { 0 };

	e = throttle_wrong(t->a->c.throttle, THROTTLE_CREDENTIAL, &who, e, &f);
	t->r->retry_after = f.retry_after;
	return e;
}

static void unref_principal(void *arg)
{
	principal_unref(arg);
}

enum err attempt_accept(struct attempt *t, struct principal *p)
{
	struct auth *auth = &t->r->auth;
	char *amr = attempt_alloc(t, JWT_AMR_TEXT);
	enum err e;

	if (amr == NULL)
		return E_NOMEM;
	e = request_on_finish(t->r, unref_principal, principal_ref(p));
	if (e != OK)
		return e;
	*auth = (struct auth){ .method = t->class->method, .principal = p,
		.has_session = t->who.has_session, .session = t->who.session,
		.auth_time = t->who.auth_time, .expires_at = t->who.expires_at,
		.amr = jwt_amr_text(t->who.amr, amr), .scopes = t->scopes };
	return OK;
}

/* ---- from a proven identity to a principal --------------------------------------------------- */

/* Whether the principal that was found is one that may come in now. */
static enum err judge(struct attempt *t, struct principal *p, const struct session_state *s)
{
	int64_t now = loop_wall(t->a->c.loop), until = s != NULL ? s->expires_at : INT64_MAX;
	enum err e;

	if (p->disabled)
		return attempt_refuse(t, OBS_AUTH_DISABLED);
	if (s != NULL && (!s->live || now >= s->expires_at || !id_eq(s->principal, p->id)))
		return attempt_refuse(t, OBS_AUTH_REVOKED);
	/* a user's token without a session could not be revoked: we issue none */
	if (t->class->method == AUTH_ACCESS_TOKEN && p->kind == PRINCIPAL_USER && s == NULL)
		return attempt_refuse(t, OBS_AUTH_REFUSED);
	e = attempt_accept(t, p);
	if (e == OK && t->resolved != NULL)
		t->resolved(t, p, until);
	return e;
}

static void resolve_cb(void *arg, enum err e, struct principal *p, const struct session_state *s)
{
	struct attempt *t = arg;

	if (e == OK)
		e = judge(t, p, s);
	else if (e == E_NOT_FOUND)
		e = attempt_refuse(t, OBS_AUTH_UNKNOWN);
	t->outcome = e;
	if (t->waiting)
		t->cb(t->r, e);
}

static enum err resolve(struct attempt *t)
{
	bool was_waiting = t->waiting;
	enum err e;

	t->waiting = false; /* resolve_cb may come before this returns */
	e = principal_cache_get(t->a->c.principals, t->who.principal,
	    t->who.has_session ? &t->who.session : NULL, resolve_cb, t);
	t->waiting = was_waiting || e == E_NOT_READY;
	return e == OK ? t->outcome : e;
}

/* After the class has spoken. */
static enum err go_on(struct attempt *t, enum err e)
{
	return e == OK && t->r->auth.principal == NULL ? resolve(t) : e;
}

/* ---- waiting, and the control lane ----------------------------------------------------------- */

enum err attempt_wait(struct attempt *t)
{
	if (t->a->waits >= WAITS_MAX)
		return E_OVERLOADED;
	t->a->waits++;
	t->waiting = true;
	return E_NOT_READY;
}

void attempt_not_waiting(struct attempt *t)
{
	t->a->waits--;
	t->waiting = false;
}

static void settle(struct attempt *t, enum err e)
{
	e = go_on(t, e);
	if (e != E_NOT_READY)
		t->cb(t->r, e);
}

void attempt_woken(struct attempt *t, enum err e)
{
	t->a->waits--;
	settle(t, e);
}

static void lane_cb(struct loop_msg *m)
{
	struct attempt *t = (struct attempt *)((char *)m - offsetof(struct attempt, msg));
	enum err e = t->outcome;

	t->a->jobs[t->class->method]--;
	if (e == E_UNAUTHENTICATED)
		(void)attempt_refuse(t, t->reason);
	if (t->finish != NULL)
		e = t->finish(t, e);
	settle(t, e);
}

static void lane_job(struct pool_job *j)
{
	struct attempt *t = (struct attempt *)((char *)j - offsetof(struct attempt, job));

	t->outcome = t->work(t);
	loop_post(t->a->c.loop, &t->msg);
}

enum err attempt_to_lane(struct attempt *t)
{
	bool waited = t->waiting;
	enum err e;

	if (t->a->jobs[t->class->method] >= JOBS_MAX)
		return E_OVERLOADED;
	t->reason = OBS_AUTH_UNKNOWN;
	t->job.run = lane_job;
	t->msg.cb = lane_cb;
	t->waiting = true;
	t->a->jobs[t->class->method]++;
	e = pool_submit(t->a->c.lane, &t->job);
	if (e == OK)
		return E_NOT_READY;
	t->a->jobs[t->class->method]--;
	t->waiting = waited;
	return e;
}

/* ---- the chain ------------------------------------------------------------------------------- */

/* auth-scheme 1*SP credentials (RFC 9110, 11.4). */
static enum auth_scheme split(struct str header, struct str *credential)
{
	struct str rest, scheme = str_cut(header, ' ', &rest);

	*credential = str_trim(rest.p != NULL ? rest : STR(""));
	if (header.p == NULL)
		return AUTH_SCHEME_NONE;
	if (str_ieq(scheme, STR("bearer")))
		return AUTH_SCHEME_BEARER;
	return str_ieq(scheme, STR("basic")) ? AUTH_SCHEME_BASIC : AUTH_SCHEME_OTHER;
}

static const struct authn_class *choose(struct attempt *t, enum auth_scheme scheme)
{
	for (size_t i = 0; i < sizeof chain / sizeof chain[0]; i++)
		if (chain[i]->presented(t, scheme))
			return chain[i];
	return NULL;
}

/* Nothing that a class knows: nobody at all, or something that can't be right. */
static enum err no_class(struct attempt *t, enum auth_scheme scheme)
{
	if (scheme != AUTH_SCHEME_NONE)
		return attempt_refuse(t, OBS_AUTH_MALFORMED);
	(void)attempt_refuse(t, OBS_AUTH_MISSING);
	return OK;
}

enum err authn_request(struct authn *a, struct request *r,
    void (*cb)(struct request *r, enum err e))
{
	struct attempt *t = arena_zalloc(&r->arena, sizeof *t);
	enum auth_scheme scheme;

	r->auth = (struct auth){ .method = AUTH_NONE };
	if (t == NULL)
		return E_NOMEM;
	*t = (struct attempt){ .a = a, .r = r, .cb = cb, .scopes = STR_NONE };
	if (r->known_count[HDR_AUTHORIZATION] > 1)
		return attempt_refuse(t, OBS_AUTH_MALFORMED);
	scheme = split(request_known(r, HDR_AUTHORIZATION), &t->credential);
	t->class = choose(t, scheme);
	if (t->class == NULL)
		return no_class(t, scheme);
	r->auth.method = t->class->method;
	if (scheme != AUTH_SCHEME_NONE && t->credential.n == 0)
		return attempt_refuse(t, OBS_AUTH_MALFORMED);
	return go_on(t, t->class->check(t));
}
