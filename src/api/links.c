#include "api/links.h"

#include "api/ctl.h"
#include "api/letters.h"
#include "base/secret.h"
#include "iam/throttle.h"
#include "iam/user.h"
#include "iam/write.h"
#include "mail/letter.h"

static const enum mail_kind letter_of[] = {
	[ONE_TIME_VERIFY] = MAIL_VERIFY,
	[ONE_TIME_RESET] = MAIL_RESET,
};

/* A token that nobody has, of a user that is not there: what a link costs, without the link. It goes
 * the way of all expired ones. */
static void add_sham(struct write *w, struct str fold)
{
	char token[TOKEN_LEN];

	one_time_add(w, ONE_TIME_RESET, id_new(w->now), fold, token);
	secret_wipe(token, sizeof token);
}

/* What is counted is the address that somebody gave, whether there is a user or not. */
static enum err add(struct ctl *c, struct write *w, enum one_time_kind kind, enum mail_kind mail,
    const struct user *u, struct str fold, struct fail *f)
{
	struct letter l = { .kind = mail, .valid_us = one_time_life(kind) };
	struct throttle_letter turn;
	char token[TOKEN_LEN];
	struct write letter;
	bool send;
	enum err e = throttle_letter_read(c->throttle, mail_kind_name(letter_of[kind]), fold, w->now,
	    &turn, f);

	if (e != OK)
		return e;
	if (turn.due)
		throttle_letter_add(c->throttle, w, &turn);
	send = turn.due && u != NULL;
	write_init(&letter, w->a, w->now); /* written in any case */
	one_time_add(send ? w : &letter, kind, u != NULL ? u->id : id_new(w->now), fold, token);
	l.to = u != NULL ? u->email : fold;
	l.name = u != NULL ? u->display_name : STR_NONE;
	l.token = mail == letter_of[kind] ? str_c(token) : STR_NONE;
	e = letters_add(c, send ? w : &letter, &l, f);
	secret_wipe(token, sizeof token);
	if (e == E_INVALID_FIELD || e == E_LIMIT) {
		fail_clear(f);
		e = OK;
	}
	if (!send)
		add_sham(w, fold);
	return e;
}

enum err links_add(struct ctl *c, struct write *w, enum one_time_kind kind, const struct user *u,
    struct str fold, struct fail *f)
{
	return add(c, w, kind, letter_of[kind], u, fold, f);
}

enum err links_tell_taken(struct ctl *c, struct write *w, const struct user *u, struct str fold,
    struct fail *f)
{
	/* a token that is never sent: it costs what the others do, and says when this was last told */
	return add(c, w, ONE_TIME_VERIFY, MAIL_EMAIL_TAKEN, u->disabled ? NULL : u, fold, f);
}

static void tell(struct ctl *c, struct write *w, enum mail_kind kind, const struct user *u)
{
	struct letter l = { .kind = kind, .to = u->email, .name = u->display_name };
	struct fail f = { 0 };

	if (letters_add(c, w, &l, &f) != OK)
		fail_clear(&f);
}

void links_password_changed(struct ctl *c, struct write *w, const struct user *u)
{
	tell(c, w, MAIL_PASSWORD_CHANGED, u);
}

void links_mfa_removed(struct ctl *c, struct write *w, const struct user *u)
{
	tell(c, w, MAIL_MFA_REMOVED, u);
}

void links_identity_linked(struct ctl *c, struct write *w, const struct user *u)
{
	tell(c, w, MAIL_IDENTITY_LINKED, u);
}

void links_identity_unlinked(struct ctl *c, struct write *w, const struct user *u)
{
	tell(c, w, MAIL_IDENTITY_UNLINKED, u);
}
