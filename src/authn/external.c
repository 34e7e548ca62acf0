/* Bearer tokens of other issuers (CONTRACT 4, class 2). The token says whose it is; that issuer's rules,
 * algorithms and keys alone are then looked at, so a kid of another means nothing. As with our own, what
 * may refuse comes before the signature, and a token is accepted only behind it.
 *
 * What is remembered of a token holds as long as the issuer's keys are the same. Who its subject is here
 * is remembered apart, with the other proofs, which go when a credential does. Keys that are not known yet
 * are waited for, where provider.h finds a fetch worth it; without any key nothing is accepted. */
#include <stdatomic.h>

#include "authn/authn.h"
#include "authn/issuer.h"
#include "authn/machine.h"
#include "authn/provider.h"
#include "authn/token_cache.h"
#include "authz/principal_cache.h"
#include "base/clock.h"
#include "crypto/api_key.h"
#include "crypto/digest.h"
#include "crypto/jws.h"
#include "crypto/jwt.h"
#include "iam/identity.h"
#include "iam/mfa.h"
#include "iam/principal.h"
#include "iam/user.h"

#define TOKEN_MAX 8192

struct external {
	struct machine m; /* first: t->data while the proof is looked up */
	struct attempt *t;
	const struct issuer *issuer;
	struct jws jws;
	struct jwt_external claims;
	struct provider_doc *doc; /* while the lane verifies with it */
	uint64_t key_version;     /* of the document that verified */
	struct provider_wait wait;
	struct loop_msg msg;
	bool waited;
	bool verified_only; /* as the configuration said when it was asked */
};

/* ---- whose it is ----------------------------------------------------------------------------- */

static const struct issuer *find_issuer(const struct authn_config *c, struct str iss)
{
	for (size_t i = 0; i < c->nissuers; i++)
		if (str_eq(c->issuers[i].issuer, iss))
			return &c->issuers[i];
	return NULL;
}

/* The token in its parts; false when it is none, or of none of the issuers. */
static bool take_apart(struct attempt *t)
{
	struct external *x = attempt_alloc(t, sizeof *x);
	size_t n = t->credential.n + 1;
	char *decoded = attempt_alloc(t, n), *copy = attempt_alloc(t, n);
	struct str iss;

	if (x == NULL || decoded == NULL || copy == NULL ||
	    jws_parse(t->credential, decoded, n, &x->jws) != OK ||
	    jwt_external_issuer(&x->jws, copy, n, &iss) != OK)
		return false;
	x->issuer = find_issuer(authn_config(t->a), iss);
	x->t = t;
	t->data = x;
	return x->issuer != NULL;
}

static bool presented(struct attempt *t, enum auth_scheme scheme)
{
	const struct token *known;

	if (authn_config(t->a)->nissuers == 0 || scheme != AUTH_SCHEME_BEARER ||
	    api_key_looks_like(t->credential) || t->credential.n > TOKEN_MAX)
		return false;
	known = token_cache_find(authn_tokens(t->a), t->credential);
	return known != NULL ? known->issuer != NULL : take_apart(t);
}

/* ---- who its subject is ---------------------------------------------------------------------- */

/* There is no second factor in a token: who has one here cannot use it. */
static enum err admit(struct store *s, struct id user, bool verified_only, struct arena *a)
{
	struct user u;
	struct mfa mfa;
	enum err e = user_by_id(s, STORE_LINEAR, user, a, &u, NULL);

	if (e == OK)
		e = mfa_read(s, user, a, &mfa, NULL);
	if (e == E_NOT_FOUND || (e == OK && (mfa.confirmed || (verified_only && user_awaits_link(&u)))))
		return E_UNAUTHENTICATED;
	return e;
}

/* E_NOT_FOUND: it is nobody's. */
static enum err ask_user(struct store *s, struct machine *m, int64_t now, struct arena *a)
{
	const struct external *x = (const struct external *)m;
	struct user_identity i;
	enum err e = identity_find(s, m->subjects[0], m->subjects[1], a, &i, NULL);

	if (e == OK)
		e = admit(s, i.user, x->verified_only, a);
	if (e != OK)
		return e;
	identity_note_use(s, &i, now);
	m->user = true;
	m->proof = (struct credential_proof){ .credential = i.id, .service_account = i.user };
	return OK;
}

/* The service account that lists the subject, or the user whose identity it is; not both, for it must
 * not be a matter of order who somebody is. */
static enum err ask(struct store *s, struct machine *m, int64_t now)
{
	struct credential_proof account;
	enum err e = credential_check_external(s, m->subjects[0], m->subjects[1], now, &account, NULL), u;
	struct arena a;

	if (e != OK && e != E_UNAUTHENTICATED)
		return e;
	arena_init(&a, 1 << 20);
	u = ask_user(s, m, now, &a);
	arena_release(&a);
	if (e != OK)
		return u == E_NOT_FOUND ? E_UNAUTHENTICATED : u;
	if (u != E_NOT_FOUND)
		return u == OK ? E_UNAUTHENTICATED : u;
	m->proof = account;
	return OK;
}

/* Issuer and subject in one hash, so that no other pair has the same. */
static enum err hash_subject(struct attempt *t, struct str issuer, struct str subject,
    unsigned char out[32])
{
	char *text = arena_printf(&t->r->arena, "%zu:%.*s:%.*s", issuer.n, STR_ARG(issuer),
	    STR_ARG(subject));

	if (text == NULL)
		return E_NOMEM;
	digest_sha256(str_c(text), out);
	return OK;
}

/* Subject and scopes lie in the request's arena. */
static enum err prove(struct attempt *t, struct external *x, int64_t until)
{
	const struct authn_config *c = authn_config(t->a);
	struct machine *m = &x->m;

	m->subjects[0] = x->issuer->issuer;
	m->subjects[1] = x->claims.subject;
	m->nsubjects = 2;
	m->amr = JWT_AMR_FEDERATED;
	m->until = until;
	m->ask = ask;
	t->epoch = principal_cache_epoch(c->principals);
	x->verified_only = c->verified_only != NULL &&
	    atomic_load_explicit(c->verified_only, memory_order_relaxed);
	t->scopes = x->claims.scopes;
	if (hash_subject(t, m->subjects[0], m->subjects[1], m->key.hash) != OK)
		return E_NOMEM;
	return machine_check(t, m);
}

/* ---- is it good ------------------------------------------------------------------------------ */

/* Everything but the signature. */
static enum err precheck(struct attempt *t, struct external *x)
{
	const struct authn_config *c = authn_config(t->a);
	int64_t now = loop_wall(c->loop);

	if (jwt_external_parse(&x->jws, &x->issuer->rules, &x->claims) != OK)
		return attempt_refuse(t, OBS_AUTH_MALFORMED);
	if (jwt_external_check(&x->claims, now, c->leeway_us) != OK)
		return attempt_refuse(t, now >= x->claims.exp * CLOCK_SEC ? OBS_AUTH_EXPIRED :
		    OBS_AUTH_UNKNOWN);
	if (token_cache_is_bad(authn_tokens(t->a), t->credential))
		return attempt_refuse(t, OBS_AUTH_SIGNATURE);
	return OK;
}

static const struct jws_key *key_of(const struct external *x, const struct provider_doc *doc)
{
	const struct jws_key *key = jwks_find(doc->keys, x->jws.kid, x->jws.alg);

	return key != NULL && (x->issuer->algs & 1u << jws_key_alg(key)) != 0 ? key : NULL;
}

static enum err believe(struct attempt *t, struct external *x)
{
	int64_t until = x->claims.exp * CLOCK_SEC;

	(void)token_cache_add_external(authn_tokens(t->a), t->credential, x->issuer, x->key_version,
	    x->claims.subject, x->claims.scopes, until);
	return prove(t, x, until);
}

static enum err verify_work(struct attempt *t)
{
	struct external *x = t->data;

	t->reason = OBS_AUTH_SIGNATURE;
	return jws_verify(&x->jws, key_of(x, x->doc));
}

static enum err verify_finish(struct attempt *t, enum err e)
{
	struct external *x = t->data;

	provider_doc_unref(x->doc);
	if (e == E_UNAUTHENTICATED)
		token_cache_add_bad(authn_tokens(t->a), t->credential);
	return e == OK ? believe(t, x) : e;
}

/* Under a flood of bad signatures the control lane checks the unknown ones. */
static enum err verify_on_lane(struct attempt *t, struct external *x, struct provider_doc *doc_taken)
{
	enum err e;

	x->doc = doc_taken;
	t->work = verify_work;
	t->finish = verify_finish;
	e = attempt_to_lane(t);
	if (e != E_NOT_READY)
		provider_doc_unref(x->doc);
	return e;
}

static enum err verify(struct attempt *t, struct external *x, struct provider_doc *doc_taken)
{
	enum err e;

	x->key_version = doc_taken->version;
	if (authn_flooded(t->a))
		return verify_on_lane(t, x, doc_taken);
	e = jws_verify(&x->jws, key_of(x, doc_taken));
	provider_doc_unref(doc_taken);
	if (e == OK)
		return believe(t, x);
	token_cache_add_bad(authn_tokens(t->a), t->credential);
	authn_count_bad(t->a);
	return attempt_refuse(t, OBS_AUTH_SIGNATURE);
}

/* ---- its key --------------------------------------------------------------------------------- */

static enum err find_key(struct attempt *t, struct external *x);

/* On the worker, when a fetch has ended. */
static void fetched_msg(struct loop_msg *m)
{
	struct external *x = (struct external *)((char *)m - offsetof(struct external, msg));

	attempt_woken(x->t, find_key(x->t, x));
}

/* On the thread that fetches. */
static void fetched(struct provider_wait *w)
{
	struct external *x = (struct external *)((char *)w - offsetof(struct external, wait));

	loop_post(authn_config(x->t->a)->loop, &x->msg);
}

/* Once for a request; then, or when no fetch is worth it, the key is one that does not exist. seen: the
 * document that has it not; 0: there is none. */
static enum err wait_for_keys(struct attempt *t, struct external *x, uint64_t seen)
{
	enum err e = x->waited ? E_UNAUTHENTICATED : attempt_wait(t);

	if (e == E_NOT_READY) {
		x->waited = true;
		x->msg.cb = fetched_msg;
		x->wait.done = fetched;
		switch (provider_refetch(x->issuer->provider, seen, &x->wait)) {
		case PROVIDER_WAIT:
			return E_NOT_READY;
		case PROVIDER_NEWER:
			attempt_not_waiting(t);
			return find_key(t, x);
		case PROVIDER_NOT_NOW:
			attempt_not_waiting(t);
			e = E_UNAUTHENTICATED;
		}
	}
	if (e == E_UNAUTHENTICATED)
		return seen != 0 ? attempt_refuse(t, OBS_AUTH_UNKNOWN) : E_PROVIDER_UNAVAILABLE;
	return e;
}

static enum err find_key(struct attempt *t, struct external *x)
{
	struct provider_doc *doc = provider_doc(x->issuer->provider, clock_mono());
	uint64_t seen = doc != NULL ? doc->serial : 0; /* of a document: from 1 */

	if (doc != NULL && key_of(x, doc) != NULL)
		return verify(t, x, doc);
	provider_doc_unref(doc);
	return wait_for_keys(t, x, seen);
}

static enum err check_new(struct attempt *t)
{
	struct external *x = t->data;
	enum err e = precheck(t, x);

	return e == OK ? find_key(t, x) : e;
}

/* ---- a token that was seen before ------------------------------------------------------------ */

/* The principal is good as of now, but whose the subject is only as of when that was asked: a change
 * since then may have been about it. The entry may have been pushed out meanwhile. */
static void remember(struct attempt *t, struct principal *p, int64_t session_until)
{
	struct token *k = token_cache_find(authn_tokens(t->a), t->credential);

	if (k == NULL || k->issuer == NULL)
		return;
	principal_unref(k->principal);
	k->principal = principal_ref(p);
	k->epoch = t->epoch;
	k->who = t->who;
	k->session_until = t->who.expires_at < session_until ? t->who.expires_at : session_until;
}

/* Whether the keys are still those that it was verified with. */
static bool same_keys(const struct token *k)
{
	struct provider_doc *doc = provider_doc(k->issuer->provider, clock_mono());
	bool same = doc != NULL && doc->version == k->key_version;

	provider_doc_unref(doc);
	return same;
}

static enum err check_subject(struct attempt *t, const struct token *k)
{
	struct external *x = attempt_alloc(t, sizeof *x);

	if (x == NULL)
		return E_NOMEM;
	x->issuer = k->issuer;
	x->claims.subject = arena_str(&t->r->arena, k->subject);
	x->claims.scopes = t->scopes;
	return x->claims.subject.p != NULL ? prove(t, x, k->until) : E_NOMEM;
}

static enum err check_known(struct attempt *t, struct token *k)
{
	const struct authn_config *c = authn_config(t->a);
	int64_t now = loop_wall(c->loop);

	if (now >= k->until) {
		token_cache_remove(authn_tokens(t->a), k);
		return attempt_refuse(t, OBS_AUTH_EXPIRED);
	}
	if (!same_keys(k)) {
		token_cache_remove(authn_tokens(t->a), k);
		token_cache_forget_bad(authn_tokens(t->a));
		return take_apart(t) ? check_new(t) : E_NOMEM;
	}
	t->scopes = k->scopes.p != NULL ? arena_str(&t->r->arena, k->scopes) : STR_NONE;
	if (k->scopes.p != NULL && t->scopes.p == NULL)
		return E_NOMEM;
	if (k->principal == NULL || k->epoch != principal_cache_epoch(c->principals) ||
	    now >= k->session_until)
		return check_subject(t, k);
	t->who = k->who;
	return attempt_accept(t, k->principal);
}

static enum err check(struct attempt *t)
{
	struct token *k = token_cache_find(authn_tokens(t->a), t->credential);

	t->resolved = remember;
	return k != NULL ? check_known(t, k) : check_new(t);
}

const struct authn_class class_external = { AUTH_EXTERNAL_JWT, presented, check };
