/* What people do with links in mail: confirm an address, ask for a new password, set it. */
#include <stddef.h>

#include "api/audit_note.h"
#include "api/bodies.h"
#include "api/commit.h"
#include "api/ctl.h"
#include "api/handlers.h"
#include "api/letters.h"
#include "api/links.h"
#include "api/new_password.h"
#include "api/owner.h"
#include "base/clock.h"
#include "iam/email.h"
#include "iam/one_time.h"
#include "iam/throttle.h"
#include "iam/user.h"
#include "iam/write.h"

/* A token that is good is never kept waiting; whoever tries many that are not is told to. */
static enum err slowed(struct ctl *c, struct request *r, enum err e, struct fail *f)
{
	struct throttle_who who = throttle_who(r, STR_NONE);

	return throttle_wrong(c->throttle, THROTTLE_LINK, &who, e, f);
}

/* A link that is good and the account that it is for. E_TOKEN_INVALID. */
static enum err find(struct ctl *c, struct request *r, enum one_time_kind kind, struct str token,
    struct one_time *link, struct user *u, struct fail *f)
{
	enum err e = one_time_find(c->store, kind, token, clock_wall(), link, f);

	if (e == OK)
		e = user_by_id(c->store, STORE_LINEAR, link->user, &r->arena, u, f);
	if (e != E_NOT_FOUND)
		return e;
	fail_clear(f);
	return fail_code(f, E_TOKEN_INVALID);
}

/* ---- verify --------------------------------------------------------------------------------- */

struct verify {
	struct body_str token;
};
const struct body_field body_verify[] = {
	{ "token", BODY_T_STR, BODY_REQUIRED | BODY_SECRET, offsetof(struct verify, token), 1, 128 },
	{ NULL },
};

enum err op_auth_verify(struct ctl *c, struct request *r, struct fail *f)
{
	struct one_time link;
	struct verify b;
	struct user u;
	struct write w;
	enum err e = body_read(r, body_verify, &b, sizeof b, f);

	if (e == OK)
		e = find(c, r, ONE_TIME_VERIFY, b.token.v, &link, &u, f);
	if (e != OK)
		return slowed(c, r, e, f);
	write_init(&w, &r->arena, clock_wall());
	one_time_use(&w, &link);
	user_verify_email(&w, &u); /* whoever reads its mail has shown that it is theirs */
	e = commit(c, r, &w, f);
	if (e == OK)
		audit_event(c->audit, r, &link.user, STR_NONE, OK);
	return e;
}

/* ---- forgot --------------------------------------------------------------------------------- */

struct forgot {
	struct body_str email;
};
const struct body_field body_forgot[] = {
	{ "email", BODY_T_STR, BODY_REQUIRED, offsetof(struct forgot, email), 1, EMAIL_MAX },
	{ NULL },
};

static enum err accepted(struct request *r)
{
	struct jsonw j = request_json(r, 202);

	jsonw_obj(&j);
	jsonw_obj_end(&j);
	return OK;
}

/* Each counts, for each may send mail. */
static enum err admit(struct ctl *c, struct request *r, struct fail *f)
{
	struct throttle_who who = throttle_who(r, STR_NONE);
	enum err e = throttle_look(c->throttle, THROTTLE_FORGOT, &who, f);

	if (e != OK)
		return e;
	throttle_count(c->throttle, THROTTLE_FORGOT, &who);
	r->not_before = who.mono + throttle_floor(c->throttle);
	return OK;
}

enum err op_auth_forgot(struct ctl *c, struct request *r, struct fail *f)
{
	struct forgot b;
	struct user u;
	struct str fold;
	struct write w;
	bool known;
	enum err e = body_read(r, body_forgot, &b, sizeof b, f);

	if (e != OK)
		return e;
	e = email_fold(b.email.v, &r->arena, &fold);
	if (e == E_INVALID_FIELD)
		return accepted(r); /* that this is no address is known to whoever sent it */
	if (e != OK)
		return fail_code(f, e);
	e = admit(c, r, f);
	if (e == OK)
		e = user_by_email(c->store, STORE_LINEAR, fold, &r->arena, &u, f);
	if (e != OK && e != E_NOT_FOUND)
		return e;
	known = e == OK && !u.disabled;
	fail_clear(f);
	write_init(&w, &r->arena, clock_wall());
	e = links_add(c, &w, ONE_TIME_RESET, known ? &u : NULL, fold, f);
	if (e == OK)
		e = commit(c, r, &w, f);
	if (e == E_RATE_LIMITED) { /* another request has sent the letter this very moment */
		fail_clear(f);
		return accepted(r);
	}
	if (e != OK)
		return e;
	letters_poke(c);
	return accepted(r);
}

/* ---- reset ---------------------------------------------------------------------------------- */

struct reset {
	struct body_str token, new_password;
};
const struct body_field body_reset[] = {
	{ "token", BODY_T_STR, BODY_REQUIRED | BODY_SECRET, offsetof(struct reset, token), 1, 128 },
	{ "new_password", BODY_T_STR, BODY_REQUIRED | BODY_SECRET, offsetof(struct reset, new_password), 1,
	  PASSWORD_GIVEN },
	{ NULL },
};

/* The link is used, or it is not and nothing happens: its guard comes first in the batch. */
static enum err set_password(struct ctl *c, struct request *r, const struct one_time *link,
    const struct user *u, struct str phc, struct fail *f)
{
	struct write w;
	enum err e;

	write_init(&w, &r->arena, clock_wall());
	one_time_use(&w, link);
	user_set_password(&w, u->id, STR_NONE, phc, NULL);
	one_time_end_all(&w, u->id);
	owner_sets_password(c, r, &w, u->email);
	links_password_changed(c, &w, u);
	user_verify_email(&w, u);
	e = commit(c, r, &w, f);
	if (e != OK)
		return e;
	letters_poke(c);
	audit_event(c->audit, r, &u->id, u->email, OK);
	return OK;
}

enum err op_auth_reset(struct ctl *c, struct request *r, struct fail *f)
{
	char phc[PASSWORD_PHC_LEN];
	struct one_time link;
	struct reset b;
	struct user u;
	enum err e = body_read(r, body_reset, &b, sizeof b, f);

	if (e == OK)
		e = find(c, r, ONE_TIME_RESET, b.token.v, &link, &u, f);
	if (e != OK)
		return slowed(c, r, e, f);
	e = new_password_hash(c, b.new_password.v, u.email, u.display_name, phc, f);
	return e == OK ? set_password(c, r, &link, &u, str_c(phc), f) : e;
}
