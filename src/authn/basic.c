/* Basic credentials (RFC 7617; CONTRACT 4, class 4): a service account's id and secret, or a
 * user's e-mail and password. What a service account has proved is remembered; a password is
 * verified each time, since nothing that could stand for one is kept. Over plaintext refused,
 * unless allowed. */
#include <stdatomic.h>

#include "authn/machine.h"
#include "base/buf.h"
#include "base/hex.h"
#include "base/secret.h"
#include "crypto/hasher.h"
#include "crypto/jwt.h"
#include "crypto/token.h"
#include "iam/credential.h"
#include "iam/email.h"
#include "iam/mfa.h"
#include "iam/throttle.h"
#include "iam/user.h"

#define PLAIN_MAX (EMAIL_MAX + 1 + PASSWORD_BYTES) /* of a Basic credential, decoded */

static bool presented(struct attempt *t, enum auth_scheme scheme)
{
	(void)t;
	return scheme == AUTH_SCHEME_BASIC;
}

/* ---- service accounts ----------------------------------------------------------------------- */

static enum err ask(struct store *s, struct machine *m, int64_t now)
{
	return credential_check_secret(s, m->key.id, m->key.hash, now, &m->proof, NULL);
}

static enum err check_account(struct attempt *t, struct id id, struct str secret)
{
	struct machine *m = attempt_alloc(t, sizeof *m);

	if (m == NULL)
		return E_NOMEM;
	m->key.id = id;
	m->amr = JWT_AMR_SECRET;
	m->ask = ask;
	if (token_hash(CREDENTIAL_PURPOSE, secret, m->key.hash) != OK)
		return attempt_refuse(t, OBS_AUTH_MALFORMED);
	return machine_check(t, m);
}

/* ---- users ---------------------------------------------------------------------------------- */

struct login {
	struct store *store;
	struct hasher *hasher;
	struct throttle *throttle;
	struct throttle_who who;
	int retry_after;
	int64_t now;
	bool verified_only;
	struct id user;
	size_t email, password; /* lengths; they lie in `plain` with a colon between them */
	char plain[PLAIN_MAX];
};

/* The account of that name, or one that nobody can sign in to: the time must not show the
 * difference. */
static enum err find_user(const struct login *l, struct str name, struct arena *a, struct user *u)
{
	enum err e = user_by_email(l->store, STORE_LINEAR, name, a, u, NULL);

	if (e != E_NOT_FOUND)
		return e;
	*u = (struct user){ .disabled = true };
	return OK;
}

static enum err verify_password(const struct login *l, struct str phc)
{
	struct str password = { l->plain + l->email + 1, l->password };
	bool weaker, usable;
	struct buf plain;
	enum err e;

	buf_init_secret(&plain, PASSWORD_BYTES);
	usable = password_normalise(password, 1, PASSWORD_CHARS, &plain, NULL) == OK;
	e = hasher_verify(l->hasher, usable ? buf_str(&plain) : STR("-"), usable ? phc : STR_NONE,
	    &weaker);
	buf_release(&plain);
	return e == E_INVALID_CREDENTIALS ? E_UNAUTHENTICATED : e;
}

/* There is no second factor in Basic: who has one cannot use it. */
static enum err refuse_second_factor(struct attempt *t, struct id user, struct arena *a)
{
	struct login *l = t->data;
	struct mfa m;
	enum err e = mfa_read(l->store, user, a, &m, NULL);

	if (e != OK || !m.confirmed)
		return e;
	t->reason = OBS_AUTH_REFUSED;
	return E_UNAUTHENTICATED;
}

static enum err prove(struct attempt *t, struct str name, struct arena *a)
{
	struct login *l = t->data;
	struct user u;
	enum err e = find_user(l, name, a, &u);

	if (e == OK)
		e = verify_password(l, u.phc);
	if (e == OK && (u.disabled || (l->verified_only && user_awaits_link(&u)))) {
		t->reason = OBS_AUTH_DISABLED;
		e = E_UNAUTHENTICATED;
	}
	if (e == OK)
		e = refuse_second_factor(t, u.id, a);
	if (e == OK)
		l->user = u.id;
	return e;
}

/* As a sign-in does, with the same counts: a password is guessed here as well as there. */
static enum err try_password(struct attempt *t, struct arena *a)
{
	struct login *l = t->data;
	struct throttle_try y;
	struct fail f = { 0 };
	enum err e = email_fold(str_n(l->plain, l->email), a, &l->who.account);

	if (e == E_INVALID_FIELD)
		l->who.account = str_n(l->plain, l->email);
	else if (e != OK)
		return e;
	e = throttle_begin(l->throttle, THROTTLE_SIGNIN, &l->who, &y, &f);
	l->retry_after = f.retry_after;
	if (e != OK)
		return e;
	e = prove(t, l->who.account, a);
	if (e != OK)
		return throttle_settle(&y, e, NULL);
	throttle_passed(&y);
	return OK;
}

static enum err login_work(struct attempt *t)
{
	struct login *l = t->data;
	struct arena a;
	enum err e;

	arena_init(&a, 1 << 20);
	e = try_password(t, &a);
	secret_wipe(l->plain, sizeof l->plain);
	arena_release(&a);
	return e;
}

static enum err login_finish(struct attempt *t, enum err e)
{
	const struct login *l = t->data;

	t->r->retry_after = l->retry_after;
	if (e == E_UNAUTHENTICATED)
		t->r->not_before = l->who.mono + throttle_floor(l->throttle);
	if (e == OK)
		t->who = (struct identity){ .principal = l->user, .auth_time = l->now,
			.amr = JWT_AMR_PWD };
	return e;
}

static enum err check_user(struct attempt *t, struct login *l)
{
	const struct authn_config *c = authn_config(t->a);

	l->store = c->store;
	l->hasher = c->hasher;
	l->throttle = c->throttle;
	l->who = throttle_who(t->r, STR_NONE);
	l->now = loop_wall(c->loop);
	l->verified_only = c->verified_only != NULL &&
	    atomic_load_explicit(c->verified_only, memory_order_relaxed);
	t->data = l;
	t->work = login_work;
	t->finish = login_finish;
	return attempt_to_lane(t);
}

/* ---- both ----------------------------------------------------------------------------------- */

static enum err check_plain(struct attempt *t, struct login *l, size_t n)
{
	struct str password, name = str_cut(str_n(l->plain, n), ':', &password);
	struct id id;

	if (password.p == NULL || name.n == 0 || password.n == 0)
		return attempt_refuse(t, OBS_AUTH_MALFORMED);
	if (id_parse(name, &id))
		return check_account(t, id, password);
	l->email = name.n;
	l->password = password.n;
	return check_user(t, l);
}

static bool allowed(const struct attempt *t)
{
	const _Atomic bool *plain = authn_config(t->a)->basic_without_tls;

	return t->r->tls || (plain != NULL && atomic_load_explicit(plain, memory_order_relaxed));
}

static enum err check(struct attempt *t)
{
	struct login *l;
	size_t n;
	enum err e;

	if (!allowed(t))
		return attempt_refuse(t, OBS_AUTH_REFUSED);
	l = attempt_alloc(t, sizeof *l);
	if (l == NULL)
		return E_NOMEM;
	e = b64_decode(t->credential, l->plain, sizeof l->plain, &n) ? check_plain(t, l, n) :
	    attempt_refuse(t, OBS_AUTH_MALFORMED);
	if (e != E_NOT_READY || t->data != l) /* else the lane has it */
		secret_wipe(l->plain, sizeof l->plain);
	return e;
}

const struct authn_class class_basic = { AUTH_BASIC, presented, check };
