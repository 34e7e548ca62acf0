/* Signing up, in, on and out. */
#include <stddef.h>

#include "api/audit_note.h"
#include "api/bodies.h"
#include "api/commit.h"
#include "api/ctl.h"
#include "api/handlers.h"
#include "api/new_password.h"
#include "api/sign_in.h"
#include "api/signup.h"
#include "api/token_set.h"
#include "api/user_reply.h"
#include "base/clock.h"
#include "base/config.h"
#include "base/secret.h"
#include "iam/email.h"
#include "iam/principal.h"
#include "iam/session.h"
#include "iam/throttle.h"
#include "iam/user.h"
#include "iam/write.h"
#include "store/change.h"

#define SYNC_TIMEOUT (5 * CLOCK_SEC)

/* ---- sign-up -------------------------------------------------------------------------------- */

struct signup {
	struct body_str email, password, display_name;
};
const struct body_field body_signup[] = {
	{ "email", BODY_T_STR, BODY_REQUIRED, offsetof(struct signup, email), 3, EMAIL_MAX,
	  .check = email_is_valid, .rule = "must be an e-mail address" },
	{ "password", BODY_T_STR, BODY_REQUIRED | BODY_SECRET, offsetof(struct signup, password), 1,
	  PASSWORD_GIVEN },
	{ "display_name", BODY_T_STR, BODY_NULLABLE, offsetof(struct signup, display_name), 0,
	  USER_NAME_MAX },
	{ NULL },
};

/* Each sign-up costs the address, whatever comes of it: it costs us a hash. */
static enum err admit(struct ctl *c, struct request *r, struct fail *f)
{
	struct throttle_who who = throttle_who(r, STR_NONE);
	enum err e = throttle_look(c->throttle, THROTTLE_SIGNUP, &who, f);

	if (e != OK)
		return e;
	throttle_count(c->throttle, THROTTLE_SIGNUP, &who);
	if (c->config->auth_signup == SIGNUP_VERIFY)
		r->not_before = who.mono + throttle_floor(c->throttle);
	return OK;
}

enum err op_auth_signup(struct ctl *c, struct request *r, struct fail *f)
{
	char phc[PASSWORD_PHC_LEN];
	int64_t now = clock_wall();
	struct user u = { .id = id_new(now), .version = 1, .created_at = now, .updated_at = now };
	struct signup b;
	struct str fold;
	struct write w;
	struct jsonw j;
	int mode = c->config->auth_signup;
	enum err e = mode == SIGNUP_OFF ? fail_code(f, E_SIGNUP_OFF) : OK;

	if (e == OK)
		e = body_read(r, body_signup, &b, sizeof b, f);
	if (e != OK)
		return e;
	e = email_fold(b.email.v, &r->arena, &fold);
	if (e != OK)
		return fail_code(f, e);
	e = admit(c, r, f);
	if (e != OK)
		return e;
	e = new_password_hash(c, b.password.v, b.email.v, b.display_name.v, phc, f);
	if (e != OK)
		return e;
	u.email = b.email.v;
	u.display_name = b.display_name.v;
	u.phc = str_c(phc);
	if (mode == SIGNUP_VERIFY)
		return signup_verified(c, r, &u, b.password.v, fold, f);
	write_init(&w, &r->arena, now);
	user_insert(&w, &u, fold);
	e = commit(c, r, &w, f);
	if (e != OK)
		return e;
	audit_event(c->audit, r, &u.id, u.email, OK);
	j = request_json(r, 201);
	jsonw_obj(&j);
	jsonw_key(&j, "user");
	user_write(&j, &u);
	jsonw_obj_end(&j);
	return OK;
}

/* ---- sign-in -------------------------------------------------------------------------------- */

struct signin {
	struct body_str email, password;
};
const struct body_field body_signin[] = {
	{ "email", BODY_T_STR, BODY_REQUIRED, offsetof(struct signin, email), 1, EMAIL_MAX },
	{ "password", BODY_T_STR, BODY_REQUIRED | BODY_SECRET, offsetof(struct signin, password), 1,
	  PASSWORD_GIVEN },
	{ NULL },
};

/* The name of the account: the folded address, or, for what is none, the text as it is. */
static enum err account_name(struct request *r, struct str email, struct str *name, struct fail *f)
{
	enum err e = email_fold(email, &r->arena, name);

	if (e == E_INVALID_FIELD) {
		*name = email;
		return OK;
	}
	return e == OK ? OK : fail_code(f, e);
}

/* The account, or one without a password that nobody can sign in to: what follows must not show the
 * difference. */
static enum err find_account(struct ctl *c, struct request *r, struct str name, struct user *u,
    struct fail *f)
{
	enum err e = user_by_email(c->store, STORE_LINEAR, name, &r->arena, u, f);

	if (e != E_NOT_FOUND)
		return e;
	fail_clear(f);
	*u = (struct user){ .disabled = true };
	return OK;
}

static enum err check_and_sign_in(struct ctl *c, struct request *r, struct str name,
    struct str password, struct fail *f)
{
	char phc[PASSWORD_PHC_LEN];
	bool weaker = false;
	struct write w;
	struct user u;
	enum err e = find_account(c, r, name, &u, f);

	if (e == OK)
		e = password_check(c, password, u.phc, &weaker, f);
	if (e != OK)
		return e;
	if (u.disabled || (c->config->auth_signup == SIGNUP_VERIFY && user_awaits_link(&u)))
		return fail_code(f, E_INVALID_CREDENTIALS);
	write_init(&w, &r->arena, clock_wall());
	if (weaker && rehash_password(c, password, phc) == OK) { /* else no time for it: it stays */
		user_rehash_password(&w, u.id, u.phc, str_c(phc));
		u.phc = str_c(phc);
	}
	return sign_in(c, r, &w, &u, u.phc, STR("pwd"), f);
}

enum err op_auth_signin(struct ctl *c, struct request *r, struct fail *f)
{
	struct throttle_who who;
	struct throttle_try y;
	struct signin b;
	struct str name;
	enum err e = body_read(r, body_signin, &b, sizeof b, f);

	if (e == OK)
		e = account_name(r, b.email.v, &name, f);
	if (e != OK)
		return e;
	who = throttle_who(r, name);
	e = throttle_begin(c->throttle, THROTTLE_SIGNIN, &who, &y, f);
	if (e != OK)
		return e;
	e = throttle_settle(&y, check_and_sign_in(c, r, name, b.password.v, f), f);
	if (e == E_INVALID_CREDENTIALS)
		r->not_before = who.mono + throttle_floor(c->throttle);
	return e;
}

/* ---- refresh -------------------------------------------------------------------------------- */

struct refresh {
	struct body_str refresh_token;
};
const struct body_field body_refresh[] = {
	{ "refresh_token", BODY_T_STR, BODY_REQUIRED | BODY_SECRET,
	  offsetof(struct refresh, refresh_token), 1, 512 },
	{ NULL },
};

enum err op_auth_refresh(struct ctl *c, struct request *r, struct fail *f)
{
	struct session_limits limits = session_limits_of(c->config);
	char token[REFRESH_TOKEN_LEN];
	int64_t now = clock_wall();
	struct refresh b;
	struct session s;
	bool ended = false;
	enum err e = body_read(r, body_refresh, &b, sizeof b, f);

	if (e != OK)
		return e;
	e = session_rotate(c->store, c->seal, &limits, b.refresh_token.v, now, &r->arena, &s, token,
	    &ended, f);
	if (ended) {
		audit_event(c->audit, r, &s.principal, s.email, e);
		if (feed_sync(c->feed, SYNC_TIMEOUT) != OK)
			return fail_set(f, E_STATE_STALE, "the session has ended, but not yet everywhere");
	}
	if (e != OK)
		return e;
	e = token_set_reply(c, r, &s, token, now, f);
	secret_wipe(token, sizeof token);
	return e;
}

/* ---- sign-out ------------------------------------------------------------------------------- */

struct signout {
	struct body_bool everywhere;
};
const struct body_field body_signout[] = {
	{ "everywhere", BODY_T_BOOL, 0, offsetof(struct signout, everywhere) },
	{ NULL },
};

enum err op_auth_signout(struct ctl *c, struct request *r, struct fail *f)
{
	struct id user = r->auth.principal->id;
	struct signout b;
	struct write w;
	enum err e = body_read(r, body_signout, &b, sizeof b, f);

	if (e != OK || (!b.everywhere.v && !r->auth.has_session))
		return e;
	write_init(&w, &r->arena, clock_wall());
	if (b.everywhere.v)
		user_end_all(&w, user, NULL, SESSION_SIGNOUT);
	else
		session_end(&w, r->auth.session, user, SESSION_SIGNOUT);
	e = commit(c, r, &w, f);
	if (e != E_NOT_FOUND) /* that: it ended a moment ago */
		return e;
	fail_clear(f);
	return OK;
}
