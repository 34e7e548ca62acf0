/* Bearer tokens of ours (CONTRACT 4, class 1). The cheap checks come first, because they may
 * refuse; a token is accepted only behind its signature. Bad signatures are remembered, and when
 * a worker has seen too many of them within a second, further unknown tokens are verified on the
 * control lane, so that a flood of forgeries costs sign-ins and not the traffic that is under
 * way. */
#include "authn/class.h"

#include "authn/authn.h"
#include "authn/token_cache.h"
#include "authz/principal_cache.h"
#include "base/clock.h"
#include "crypto/api_key.h"
#include "crypto/jws.h"
#include "crypto/jwt.h"
#include "crypto/keyring.h"
#include "iam/principal.h"

#define TOKEN_MAX 8192

static bool presented(struct attempt *t, enum auth_scheme scheme)
{
	return scheme == AUTH_SCHEME_BEARER && !api_key_looks_like(t->credential);
}

/* A verification on its way: the same on the worker and on the lane. */
struct verification {
	struct keyring *keys;
	const struct authn_config *config;
	struct str token;
	char *scratch;
	int64_t now;
	struct jws jws;
	struct jwt_access claims;
	char kid[44];
	int64_t until;
};

static bool id_none(struct id id)
{
	return id_eq(id, (struct id){ { 0 } });
}

/* Everything but the signature. E_NOT_FOUND: nothing is wrong but that its key is not known here. */
static enum err precheck(struct verification *v, const struct keyring_entry **key,
    enum obs_auth_reason *reason)
{
	enum err e;

	*reason = OBS_AUTH_MALFORMED;
	if (jws_parse(v->token, v->scratch, v->token.n, &v->jws) != OK ||
	    jwt_access_parse(&v->jws, &v->claims) != OK)
		return E_UNAUTHENTICATED;
	*reason = v->now >= v->claims.exp * CLOCK_SEC ? OBS_AUTH_EXPIRED : OBS_AUTH_UNKNOWN;
	e = jwt_access_check(&v->claims, v->config->issuer, v->config->audience, v->now, 0);
	if (e != OK)
		return e;
	*reason = OBS_AUTH_UNKNOWN;
	*key = keyring_find(v->keys, v->jws.kid);
	if (*key == NULL)
		return E_NOT_FOUND;
	memcpy(v->kid, (*key)->kid, sizeof v->kid);
	return (*key)->not_after == 0 || v->now < (*key)->not_after ? OK : E_UNAUTHENTICATED;
}

static enum err check_signature(struct verification *v, const struct keyring_entry *key,
    enum obs_auth_reason *reason)
{
	*reason = OBS_AUTH_SIGNATURE;
	v->until = v->claims.exp * CLOCK_SEC;
	if (key->not_after != 0 && key->not_after < v->until)
		v->until = key->not_after;
	return jws_verify(&v->jws, key->key);
}

/* The signature is good: remember the token, and who it speaks of. */
static void believe(struct attempt *t, const struct verification *v)
{
	t->who = (struct identity){ .principal = v->claims.sub, .has_session = !id_none(v->claims.sid),
		.session = v->claims.sid, .auth_time = v->claims.auth_time * CLOCK_SEC,
		.expires_at = v->until, .amr = v->claims.amr };
	(void)token_cache_add(authn_tokens(t->a), v->token, str_c(v->kid), &t->who, v->until);
}

/* ---- on the lane, under a flood ------------------------------------------------------------- */

static enum err verify_work(struct attempt *t)
{
	struct verification *v = t->data;
	const struct keyring_entry *key = keyring_find(v->keys, v->jws.kid);

	return check_signature(v, key, &t->reason);
}

static enum err verify_finish(struct attempt *t, enum err e)
{
	struct verification *v = t->data;

	keyring_unref(v->keys);
	if (e == OK)
		believe(t, v);
	else if (e == E_UNAUTHENTICATED)
		token_cache_add_bad(authn_tokens(t->a), v->token);
	return e;
}

static enum err verify_on_lane(struct attempt *t, const struct verification *v)
{
	struct verification *kept = attempt_alloc(t, sizeof *kept);
	enum err e;

	if (kept == NULL)
		return E_NOMEM;
	*kept = *v; /* its views lie in the request's arena and in the token's text */
	keyring_ref(kept->keys);
	t->data = kept;
	t->work = verify_work;
	t->finish = verify_finish;
	e = attempt_to_lane(t);
	if (e != E_NOT_READY)
		keyring_unref(kept->keys);
	return e;
}

/* ---- a key of which this replica has not heard yet ------------------------------------------- */

static enum err verify(struct attempt *t, bool may_catch_up);

static enum err catch_up_work(struct attempt *t)
{
	const struct authn_config *c = authn_config(t->a);

	c->catch_up(c->catch_up_ctx);
	return OK;
}

static enum err catch_up_finish(struct attempt *t, enum err e)
{
	(void)e;
	return verify(t, false);
}

/* Another replica may have rotated keys twice since the feed was read last: a key is known here as the
 * next one, but this one has been next for a moment only. */
static enum err catch_up(struct attempt *t)
{
	t->work = catch_up_work;
	t->finish = catch_up_finish;
	return attempt_to_lane(t);
}

/* ---- on the worker -------------------------------------------------------------------------- */

static enum err verify(struct attempt *t, bool may_catch_up)
{
	struct verification v = { .keys = authn_keys(t->a), .config = authn_config(t->a),
		.token = t->credential, .now = loop_wall(authn_config(t->a)->loop) };
	const struct keyring_entry *key;
	enum obs_auth_reason reason;
	enum err e;

	if (v.keys == NULL)
		return E_STATE_STALE;
	v.scratch = attempt_alloc(t, v.token.n + 1);
	if (v.scratch == NULL)
		return E_NOMEM;
	e = precheck(&v, &key, &reason);
	if (e == E_NOT_FOUND && may_catch_up && authn_may_catch_up(t->a))
		return catch_up(t);
	if (e != OK)
		return attempt_refuse(t, reason);
	if (token_cache_is_bad(authn_tokens(t->a), v.token))
		return attempt_refuse(t, OBS_AUTH_SIGNATURE);
	if (authn_flooded(t->a))
		return verify_on_lane(t, &v);
	if (check_signature(&v, key, &reason) != OK) {
		token_cache_add_bad(authn_tokens(t->a), v.token);
		authn_count_bad(t->a);
		return attempt_refuse(t, reason);
	}
	believe(t, &v);
	return OK;
}

/* The principal and its session are good as of now. The entry may have been pushed out
 * meanwhile. */
static void remember(struct attempt *t, struct principal *p, int64_t session_until)
{
	struct token *k = token_cache_find(authn_tokens(t->a), t->credential);

	if (k == NULL)
		return;
	principal_unref(k->principal);
	k->principal = principal_ref(p);
	k->epoch = principal_cache_epoch(authn_config(t->a)->principals);
	k->session_until = session_until;
}

static enum err check(struct attempt *t)
{
	const struct authn_config *c = authn_config(t->a);
	struct token *k = token_cache_find(authn_tokens(t->a), t->credential);
	int64_t now = loop_wall(c->loop);

	t->resolved = remember;
	if (k == NULL)
		return t->credential.n <= TOKEN_MAX ? verify(t, true) : attempt_refuse(t, OBS_AUTH_MALFORMED);
	if (now >= k->until) {
		token_cache_remove(authn_tokens(t->a), k);
		return attempt_refuse(t, OBS_AUTH_EXPIRED);
	}
	t->who = k->who;
	if (k->principal == NULL || k->epoch != principal_cache_epoch(c->principals) ||
	    now >= k->session_until)
		return OK;
	return attempt_accept(t, k->principal);
}

const struct authn_class class_access_token = { AUTH_ACCESS_TOKEN, presented, check };
