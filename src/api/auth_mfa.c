/* The second factor: enrolling an authenticator, answering with it, taking it away. */
#include <stddef.h>

#include "api/audit_note.h"
#include "api/bodies.h"
#include "api/commit.h"
#include "api/ctl.h"
#include "api/etag.h"
#include "api/handlers.h"
#include "api/letters.h"
#include "api/links.h"
#include "api/recent.h"
#include "api/sign_in.h"
#include "api/takeover.h"
#include "base/clock.h"
#include "base/rnd.h"
#include "base/secret.h"
#include "crypto/jwt.h"
#include "crypto/qr.h"
#include "iam/email.h"
#include "iam/mfa.h"
#include "iam/principal.h"
#include "iam/throttle.h"
#include "iam/session.h"
#include "iam/user.h"
#include "iam/write.h"

#define URI_MAX 2048
#define SVG_MAX (256u << 10)

static enum err read_own(struct ctl *c, struct request *r, struct mfa *m, struct fail *f)
{
	return mfa_read(c->store, r->auth.principal->id, &r->arena, m, f);
}

/* The envelope of an error of those who set none. */
static enum err told(struct fail *f, enum err e)
{
	return e == OK || (f->err != OK && f->err == e) ? e : fail_code(f, e);
}

/* ---- enrolment ------------------------------------------------------------------------------ */

/* The issuer as people know it: without the scheme of its URL. */
static struct str issuer_name(struct str issuer)
{
	struct str rest, scheme = str_cut(issuer, ':', &rest);

	(void)scheme;
	return rest.p != NULL && str_starts(rest, STR("//")) ? str_skip(rest, 2) : issuer;
}

static enum err enroll_reply(struct ctl *c, struct request *r,
    const unsigned char secret[TOTP_SECRET])
{
	char text[TOTP_SECRET_TEXT];
	struct buf uri, svg;
	struct jsonw w;
	enum err e;

	buf_init_secret(&uri, URI_MAX);
	buf_init_secret(&svg, SVG_MAX);
	e = totp_uri(secret, issuer_name(c->issuer), r->auth.principal->name, &uri);
	if (e == OK)
		e = qr_svg(buf_str(&uri), &svg);
	if (e == OK) {
		totp_secret_text(secret, text);
		w = request_json(r, 200);
		jsonw_obj(&w);
		jsonw_kz(&w, "secret", text);
		jsonw_kstr(&w, "otpauth_uri", buf_str(&uri));
		jsonw_kstr(&w, "qr_svg", buf_str(&svg));
		jsonw_obj_end(&w);
		secret_wipe(text, sizeof text);
	}
	buf_release(&svg);
	buf_release(&uri);
	return e;
}

/* Only in a session, which must still live when this commits: what was let in before there was a second
 * factor, and is late, must not change it. */
static enum err need_session(struct request *r, struct write *w, struct fail *f)
{
	enum err e = need_recent_session(r, f);

	if (e == OK)
		session_guard_live(w, r->auth.session, r->auth.principal->id);
	return e;
}

enum err op_mfa_enroll(struct ctl *c, struct request *r, struct fail *f)
{
	unsigned char secret[TOTP_SECRET];
	struct write w;
	struct mfa m;
	enum err e = body_none(r, f);

	write_init(&w, &r->arena, clock_wall());
	if (e == OK)
		e = read_own(c, r, &m, f);
	if (e == OK && m.confirmed)
		e = need_session(r, &w, f);
	if (e != OK)
		return e;
	rnd_bytes(secret, sizeof secret);
	e = told(f, mfa_enroll(&w, c->seal, m.user, secret));
	if (e == OK)
		e = commit(c, r, &w, f);
	if (e == OK) /* after the commit, so that the audit record cannot hold it */
		e = told(f, enroll_reply(c, r, secret));
	secret_wipe(secret, sizeof secret);
	return e;
}

/* Commits the write with ten new recovery codes and replies with them. */
static enum err commit_recovery_codes(struct ctl *c, struct request *r, struct write *w,
    struct fail *f)
{
	char codes[RECOVERY_CODES][RECOVERY_CODE_LEN];
	struct jsonw j;
	enum err e = told(f, mfa_recovery_codes(w, c->seal, r->auth.principal->id, codes));

	if (e == OK)
		e = commit(c, r, w, f);
	if (e == OK) {
		j = request_json(r, 200);
		jsonw_obj(&j);
		jsonw_key(&j, "recovery_codes");
		jsonw_arr(&j);
		for (int i = 0; i < RECOVERY_CODES; i++)
			jsonw_str(&j, str_c(codes[i]));
		jsonw_arr_end(&j);
		jsonw_obj_end(&j);
	}
	secret_wipe(codes, sizeof codes);
	return e;
}

struct mfa_code {
	struct body_str code;
};
const struct body_field body_mfa_code[] = {
	{ "code", BODY_T_STR, BODY_REQUIRED | BODY_SECRET, offsetof(struct mfa_code, code), 1, 32 },
	{ NULL },
};

/* The other sessions end: whoever has opened them by a password alone may not be the one that enrolls. */
enum err op_mfa_confirm(struct ctl *c, struct request *r, struct fail *f)
{
	struct mfa_code b;
	struct write w;
	struct mfa m;
	enum err e = body_read(r, body_mfa_code, &b, sizeof b, f);

	write_init(&w, &r->arena, clock_wall());
	if (e == OK)
		e = read_own(c, r, &m, f);
	if (e == OK && m.confirmed)
		e = need_session(r, &w, f);
	if (e != OK)
		return e;
	if (!m.pending)
		return fail_set(f, E_CONFLICT, "no authenticator waits for its first code");
	e = told(f, mfa_confirm(&w, c->seal, &m, b.code.v));
	if (e != OK)
		return e;
	user_end_all(&w, m.user, r->auth.has_session ? &r->auth.session : NULL, SESSION_MFA);
	return commit_recovery_codes(c, r, &w, f);
}

enum err op_mfa_recovery_codes(struct ctl *c, struct request *r, struct fail *f)
{
	struct write w;
	enum err e = body_none(r, f);

	write_init(&w, &r->arena, clock_wall());
	if (e == OK)
		e = need_session(r, &w, f);
	return e == OK ? commit_recovery_codes(c, r, &w, f) : e;
}

/* ---- answering ------------------------------------------------------------------------------ */

/* Counted before it is looked at, and for good: giving up in between is no free try. */
static enum err count(struct ctl *c, struct write *w, struct fail *f)
{
	enum err e = w->err != OK ? fail_code(f, w->err) : ctl_write(c, w->st, w->n, f);

	if (e == E_RATE_LIMITED)
		f->retry_after = MFA_WINDOW_MIN * 60;
	return e;
}

struct mfa_verify {
	struct body_str mfa_token, code, recovery_code;
};
const struct body_field body_mfa_verify[] = {
	{ "mfa_token", BODY_T_STR, BODY_REQUIRED | BODY_SECRET, offsetof(struct mfa_verify, mfa_token),
	  1, 128 },
	{ "code", BODY_T_STR, BODY_SECRET, offsetof(struct mfa_verify, code), 1, 32 },
	{ "recovery_code", BODY_T_STR, BODY_SECRET, offsetof(struct mfa_verify, recovery_code), 1, 64 },
	{ NULL },
};

/* Adds what the answer uses up to the write. */
static enum err use_answer(struct ctl *c, struct request *r, struct write *w,
    const struct mfa_verify *b, struct id user, struct fail *f)
{
	struct mfa m;
	enum err e;

	if (b->recovery_code.set)
		return told(f, mfa_use_recovery_code(w, c->seal, user, b->recovery_code.v));
	e = mfa_read(c->store, user, &r->arena, &m, f);
	return e == OK ? told(f, mfa_use_code(w, c->seal, &m, b->code.v)) : e;
}

static enum err answer(struct ctl *c, struct request *r, const struct mfa_verify *b,
    const struct mfa_challenge *ch, const struct user *u, struct fail *f)
{
	unsigned factor = b->recovery_code.set ? JWT_AMR_RECOVERY : JWT_AMR_OTP;
	char amr[JWT_AMR_TEXT];
	struct write w;
	enum err e;

	write_init(&w, &r->arena, clock_wall());
	mfa_challenge_use(&w, ch);
	e = use_answer(c, r, &w, b, u->id, f);
	if (e == OK)
		e = sign_in(c, r, &w, u, STR_NONE, jwt_amr_text(jwt_amr_parse(ch->amr) | factor, amr), f);
	if (e == E_MFA_INVALID)
		audit_event(c->audit, r, &u->id, u->email, e);
	return e;
}

static enum err count_and_answer(struct ctl *c, struct request *r, const struct mfa_verify *b,
    const struct mfa_challenge *ch, const struct user *u, struct fail *f)
{
	struct write w;
	enum err e;

	write_init(&w, &r->arena, clock_wall());
	mfa_challenge_count(&w, ch);
	e = count(c, &w, f);
	return e == OK ? answer(c, r, b, ch, u, f) : e;
}

/* A challenge is known to whoever gave the first factor: that may be a stranger with a stolen one, so
 * answers are slowed down like passwords. */
static enum err try_answer(struct ctl *c, struct request *r, const struct mfa_verify *b,
    const struct mfa_challenge *ch, struct fail *f)
{
	struct throttle_who who;
	struct throttle_try y;
	struct str fold;
	struct user u;
	enum err e = user_by_id(c->store, STORE_LINEAR, ch->user, &r->arena, &u, f);

	if (e == OK)
		e = told(f, email_fold(u.email, &r->arena, &fold));
	if (e != OK)
		return e;
	who = throttle_who(r, fold);
	e = throttle_begin(c->throttle, THROTTLE_MFA, &who, &y, f);
	return e == OK ? throttle_settle(&y, count_and_answer(c, r, b, ch, &u, f), f) : e;
}

enum err op_mfa_verify(struct ctl *c, struct request *r, struct fail *f)
{
	struct throttle_who who;
	struct mfa_challenge ch;
	struct mfa_verify b;
	enum err e = body_read(r, body_mfa_verify, &b, sizeof b, f);

	if (e == OK && b.code.set == b.recovery_code.set)
		e = body_invalid(f, "code", "or recovery_code must be given, and not both");
	if (e != OK)
		return e;
	e = mfa_challenge_find(c->store, b.mfa_token.v, clock_wall(), &r->arena, &ch, f);
	if (e == OK)
		return try_answer(c, r, &b, &ch, f);
	who = throttle_who(r, STR_NONE);
	return throttle_wrong(c->throttle, THROTTLE_MFA, &who, e, f);
}

/* ---- taking it away ------------------------------------------------------------------------- */

static enum err count_own(struct ctl *c, struct request *r, struct fail *f)
{
	struct write w;

	write_init(&w, &r->arena, clock_wall());
	mfa_count(&w, r->auth.principal->id);
	return count(c, &w, f);
}

/* Whoever loses a second factor is told by mail: it may have been somebody else's doing. */
static enum err remove_and_tell(struct ctl *c, struct request *r, struct write *w,
    const struct user *u, struct fail *f)
{
	enum err e;

	mfa_delete(w, u->id);
	links_mfa_removed(c, w, u);
	e = commit(c, r, w, f);
	if (e == OK)
		letters_poke(c);
	return e;
}

enum err op_mfa_delete(struct ctl *c, struct request *r, struct fail *f)
{
	struct mfa_code b;
	struct write w;
	struct mfa m;
	struct user u;
	enum err e = body_read(r, body_mfa_code, &b, sizeof b, f);

	if (e == OK)
		e = need_recent_signin(r, f);
	if (e == OK)
		e = read_own(c, r, &m, f);
	if (e == OK && !m.confirmed)
		e = fail_set(f, E_NOT_FOUND, "there is no authenticator");
	if (e == OK)
		e = user_by_id(c->store, STORE_LINEAR, m.user, &r->arena, &u, f);
	if (e == OK)
		e = count_own(c, r, f);
	if (e != OK)
		return e;
	write_init(&w, &r->arena, clock_wall());
	e = told(f, mfa_use_code(&w, c->seal, &m, b.code.v));
	if (e != OK)
		return e;
	return remove_and_tell(c, r, &w, &u, f);
}

/* For a user that has lost authenticator and recovery codes. Whoever does it could sign in with the
 * password alone from then on. What was lost may have been the device, with a session on it, so all of
 * them end. */
static enum err remove_once(struct ctl *c, struct request *r, const struct user *u, struct fail *f)
{
	struct write w;
	enum err e;

	write_init(&w, &r->arena, clock_wall());
	e = refuse_takeover(c, r, u->id, &w, f);
	if (e != OK)
		return e;
	user_end_all(&w, u->id, NULL, SESSION_ADMIN);
	return remove_and_tell(c, r, &w, u, f);
}

enum err op_user_mfa_delete(struct ctl *c, struct request *r, struct fail *f)
{
	unsigned tries = 0;
	struct user u;
	enum err e = user_of_path(c, r, &u, f);

	if (e != OK)
		return e;
	do {
		e = remove_once(c, r, &u, f);
	} while (etag_again(r, e, &tries, f));
	return e;
}
