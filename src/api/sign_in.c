#include "api/sign_in.h"

#include <jansson.h>

#include "api/audit_note.h"
#include "api/commit.h"
#include "api/ctl.h"
#include "api/owner.h"
#include "api/token_set.h"
#include "base/clock.h"
#include "base/secret.h"
#include "crypto/jwt.h"
#include "iam/audit.h"
#include "iam/mfa.h"
#include "iam/session.h"
#include "iam/throttle.h"
#include "iam/user.h"
#include "iam/write.h"
#include "request/request.h"

static void describe_client(struct request *r, struct session *s)
{
	struct str agent = request_known(r, HDR_USER_AGENT);

	s->ip = request_source(r);
	if (agent.p == NULL)
		return;
	agent.n = agent.n < 256 ? agent.n : 256;
	s->user_agent = str_utf8(agent) ? agent : STR_NONE;
}

/* One sign-in in 256 deletes sessions that have been over for a month, another one counts that are forgotten:
 * no timer, and the work grows with what makes it. A failure leaves them for the next. */
static void sweep(struct ctl *c, struct id session, int64_t now)
{
	if (session.b[15] == 0)
		(void)session_trim(c->store, now, now - 30 * 24 * 3600 * CLOCK_SEC, 4096, NULL);
	if (session.b[15] == 1)
		throttle_trim(c->throttle, now);
}

static enum err open_session(struct ctl *c, struct request *r, struct write *w, const struct user *u,
    struct str phc, struct str amr, struct fail *f)
{
	struct session_limits limits = session_limits_of(c->config);
	struct session s = { .id = id_new(w->now), .principal = u->id, .amr = amr,
		.auth_time = w->now, .email = u->email };
	char refresh[REFRESH_TOKEN_LEN];
	enum err e;

	describe_client(r, &s);
	session_insert(w, c->seal, &limits, phc, &s);
	owner_signs_in(c, r, w, u->email);
	e = commit(c, r, w, f);
	if (e != OK)
		return e;
	refresh_token_make(c->seal, s.id, 0, refresh);
	audit_event(c->audit, r, &u->id, u->email, OK);
	sweep(c, s.id, w->now);
	e = token_set_reply(c, r, &s, refresh, w->now, f);
	secret_wipe(refresh, sizeof refresh);
	return e;
}

static enum err challenge(struct ctl *c, struct request *r, struct write *w, const struct user *u,
    struct str phc, struct str amr, struct fail *f)
{
	char token[TOKEN_LEN];
	enum err e;

	mfa_challenge_add(w, u->id, phc, amr, token);
	e = commit(c, r, w, f);
	if (e == OK) {
		audit_event(c->audit, r, &u->id, u->email, E_MFA_REQUIRED);
		e = fail_code(f, E_MFA_REQUIRED);
		fail_details_take(f, json_pack("{s:s,s:[s,s]}", "mfa_token", token, "methods", "totp",
		    "recovery_code"));
	}
	secret_wipe(token, sizeof token);
	return e;
}

enum err sign_in(struct ctl *c, struct request *r, struct write *w, const struct user *u,
    struct str phc, struct str amr, struct fail *f)
{
	struct mfa m;
	enum err e = OK;

	if ((jwt_amr_parse(amr) & (JWT_AMR_OTP | JWT_AMR_RECOVERY)) != 0)
		return open_session(c, r, w, u, phc, amr, f);
	e = mfa_read(c->store, u->id, &r->arena, &m, f);
	if (e != OK)
		return e;
	return m.confirmed ? challenge(c, r, w, u, phc, amr, f) :
	    open_session(c, r, w, u, phc, amr, f);
}
