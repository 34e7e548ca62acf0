#include "api/signup.h"

#include "api/audit_note.h"
#include "api/commit.h"
#include "api/ctl.h"
#include "api/letters.h"
#include "api/links.h"
#include "api/new_password.h"
#include "iam/one_time.h"
#include "iam/user.h"
#include "iam/write.h"
#include "request/request.h"
#include "store/change.h"

/* What the address has already. */
struct standing {
	struct user user;
	bool exists, waits; /* waits: for its link */
	bool knows; /* the password given is the account's */
};

/* Every sign-up costs one verification, of a dummy where there is nothing to compare with. */
static enum err look(struct ctl *c, struct request *r, struct str password, struct str fold,
    struct standing *s, struct fail *f)
{
	enum err e = user_by_email(c->store, STORE_LINEAR, fold, &r->arena, &s->user, f);

	if (e != OK && e != E_NOT_FOUND)
		return e;
	fail_clear(f);
	s->exists = e == OK;
	s->waits = s->exists && user_awaits_link(&s->user) && !s->user.disabled;
	e = password_check(c, password, s->waits ? s->user.phc : STR_NONE, NULL, f);
	s->knows = e == OK;
	if (e == E_INVALID_CREDENTIALS) {
		fail_clear(f);
		e = OK;
	}
	return e;
}

static enum err add(struct ctl *c, struct write *w, const struct user *u, struct str fold,
    const struct standing *s, struct fail *f)
{
	if (!s->exists) {
		user_insert(w, u, fold);
		return links_add(c, w, ONE_TIME_VERIFY, u, fold, f);
	}
	write_change_id(w, CHANGE_PRINCIPAL, &u->id); /* of nobody: what making one costs */
	if (s->waits && s->knows)
		return links_add(c, w, ONE_TIME_VERIFY, &s->user, fold, f);
	if (!s->waits)
		return links_tell_taken(c, w, &s->user, fold, f);
	one_time_end(w, ONE_TIME_VERIFY, s->user.id);
	return links_add(c, w, ONE_TIME_RESET, &s->user, fold, f);
}

enum err signup_verified(struct ctl *c, struct request *r, const struct user *u,
    struct str password, struct str fold, struct fail *f)
{
	struct standing s = { .exists = false };
	struct write w;
	struct jsonw j;
	enum err e = look(c, r, password, fold, &s, f);

	if (e != OK)
		return e;
	write_init(&w, &r->arena, u->created_at);
	e = add(c, &w, u, fold, &s, f);
	if (e == OK)
		e = commit(c, r, &w, f);
	if (e == E_EMAIL_TAKEN || e == E_RATE_LIMITED) { /* by another request: its letter is under way */
		fail_clear(f);
		e = OK;
	}
	if (e != OK)
		return e;
	letters_poke(c);
	if (!s.exists)
		audit_event(c->audit, r, &u->id, u->email, OK);
	j = request_json(r, 202);
	jsonw_obj(&j);
	jsonw_obj_end(&j);
	return OK;
}
