/* Signing in by an OpenID provider, and linking what one is there to an account here. */
#include <stddef.h>

#include "api/audit_note.h"
#include "api/bodies.h"
#include "api/commit.h"
#include "api/cookie.h"
#include "api/ctl.h"
#include "api/form.h"
#include "api/handlers.h"
#include "api/identity_reply.h"
#include "api/letters.h"
#include "api/links.h"
#include "api/recent.h"
#include "api/return_to.h"
#include "api/sign_in.h"
#include "authn/oidc.h"
#include "authn/oidc_state.h"
#include "base/clock.h"
#include "base/config.h"
#include "base/secret.h"
#include "crypto/token.h"
#include "iam/email.h"
#include "iam/identity.h"
#include "iam/principal.h"
#include "iam/session.h"
#include "iam/throttle.h"
#include "iam/user.h"
#include "iam/write.h"

#define URL_MAX 8192
#define COOKIE_MAX 8192
#define AMR STR("fed")

static enum err need_oidc(const struct ctl *c, struct fail *f)
{
	return c->oidc != NULL ? OK : fail_set(f, E_NOT_FOUND, "no OpenID provider is configured here");
}

static struct oidc_client client_of(const struct config *config)
{
	const struct secret *s = &config->oidc_google_client_secret;

	return (struct oidc_client){ str_c(config->oidc_google_client_id),
		str_n((const char *)s->p, s->n), str_c(config->oidc_google_redirect_uri) };
}

/* A sign-in has a cookie of its own, so that two in one browser do not disturb each other. */
static struct str cookie_name(struct request *r, const char *state)
{
	return str_c(arena_printf(&r->arena, "oidc-%.8s", state));
}

/* ---- there ---------------------------------------------------------------------------------- */

struct oidc_begin {
	struct body_str return_to;
};
const struct body_field body_oidc_begin[] = {
	{ "return_to", BODY_T_STR, BODY_NULLABLE, offsetof(struct oidc_begin, return_to), 1,
	  OIDC_RETURN_TO_MAX },
	{ NULL },
};

static enum err set_state_cookie(struct ctl *c, struct request *r, const struct oidc_state *s)
{
	struct buf value;
	enum err e;

	buf_init(&value, COOKIE_MAX);
	e = oidc_state_seal(s, c->seal, &value);
	if (e == OK)
		e = cookie_set(r, cookie_name(r, s->state), buf_str(&value),
		    (int)(OIDC_STATE_LIFE / CLOCK_SEC));
	buf_release(&value);
	return e;
}

static void begin_reply(struct request *r, const struct oidc_state *s, struct str url)
{
	struct jsonw w = request_json(r, 200);

	jsonw_obj(&w);
	jsonw_kstr(&w, "authorization_url", url);
	if (s->return_to.p != NULL && !s->link)
		jsonw_kz(&w, "finish_token", s->finish);
	jsonw_obj_end(&w);
}

static enum err begin(struct ctl *c, struct request *r, struct oidc_state *s, struct fail *f)
{
	struct oidc_client client = client_of(c->config);
	struct buf url;
	enum err e;

	oidc_state_make(s);
	s->issuer = oidc_issuer(c->oidc);
	s->begun_at = clock_wall();
	buf_init(&url, URL_MAX);
	e = oidc_authorization_url(c->oidc, &client, s, &url, f);
	if (e == OK && (e = set_state_cookie(c, r, s)) != OK)
		fail_code(f, e);
	if (e == OK)
		begin_reply(r, s, buf_str(&url));
	buf_release(&url);
	oidc_state_wipe(s);
	return e;
}

static enum err read_begin(struct ctl *c, struct request *r, struct oidc_state *s, struct fail *f)
{
	struct oidc_begin b;
	enum err e = need_oidc(c, f);

	if (e == OK)
		e = body_read(r, body_oidc_begin, &b, sizeof b, f);
	if (e != OK)
		return e;
	if (b.return_to.v.p != NULL && !return_to_allowed(&c->config->oidc_return_to, b.return_to.v.p))
		return body_invalid(f, "return_to", "is not allowed by oidc.return_to");
	*s = (struct oidc_state){ .return_to = b.return_to.v };
	return OK;
}

enum err op_oidc_start(struct ctl *c, struct request *r, struct fail *f)
{
	struct oidc_state s;
	enum err e = read_begin(c, r, &s, f);

	return e == OK ? begin(c, r, &s, f) : e;
}

enum err op_oidc_link(struct ctl *c, struct request *r, struct fail *f)
{
	struct oidc_state s;
	enum err e = read_begin(c, r, &s, f);

	if (e == OK)
		e = need_recent_session(r, f);
	if (e != OK)
		return e;
	s.link = true;
	s.user = r->auth.principal->id;
	s.session = r->auth.session;
	return begin(c, r, &s, f);
}

/* ---- and back: what the browser brings ------------------------------------------------------- */

struct callback {
	struct str state;
	struct oidc_answer answer;
};

static enum err read_callback(struct request *r, struct callback *cb, struct fail *f)
{
	const struct {
		const char *name;
		struct str *to;
	} fields[] = {
		{ "state", &cb->state }, { "code", &cb->answer.code }, { "iss", &cb->answer.iss },
		{ "error", &cb->answer.error },
	};

	for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
		if (form_value(r, r->query, fields[i].name, fields[i].to) != OK)
			return fail_set(f, E_INVALID_PARAMETER, "%s is given twice, or malformed",
			    fields[i].name);
	return OK;
}

/* The state of this browser that the address names; its cookie has done its work. */
static enum err open_state(struct ctl *c, struct request *r, struct str state, struct oidc_state *s,
    struct fail *f)
{
	struct str name, cookie;

	if (state.n != OIDC_STATE_TOKEN - 1)
		return fail_code(f, E_OIDC_STATE);
	name = cookie_name(r, state.p);
	cookie = cookie_find(r, name);
	if (cookie.p == NULL || oidc_state_open(cookie, c->seal, clock_wall(), &r->arena, s) != OK ||
	    !secret_eq(state, str_c(s->state)) || !str_eq(s->issuer, oidc_issuer(c->oidc)))
		return fail_code(f, E_OIDC_STATE);
	if (cookie_set(r, name, STR(""), 0) != OK)
		return fail_code(f, E_NOMEM);
	return OK;
}

/* Before anything is asked of the provider, so that of any number of the same callback, on any number of
 * replicas, one goes on. */
static enum err use_state(struct ctl *c, struct request *r, const struct oidc_state *s, struct fail *f)
{
	struct write w;

	write_init(&w, &r->arena, clock_wall());
	oidc_state_use(&w, str_c(s->state), s->begun_at + OIDC_STATE_LIFE + 2 * OIDC_STATE_SKEW);
	return w.err != OK ? fail_code(f, w.err) : ctl_write(c, w.st, w.n, f);
}

static enum err ask(struct ctl *c, struct request *r, const struct oidc_state *s,
    const struct callback *cb, struct oidc_person *p, struct fail *f)
{
	struct oidc_client client = client_of(c->config);
	enum err e = use_state(c, r, s, f);

	if (e == OK)
		e = oidc_check_answer(c->oidc, &cb->answer, f);
	return e == OK ? oidc_redeem(c->oidc, &client, s, cb->answer.code, clock_wall(), &r->arena, p, f) : e;
}

/* The application learns how it went in the fragment, which no server and no Referer gets to see. */
static enum err send_back(struct request *r, struct str return_to, const char *key, struct str value,
    struct fail *f)
{
	char *to = arena_printf(&r->arena, "%.*s#%s=%.*s", STR_ARG(return_to), key, STR_ARG(value));

	if (to == NULL || reply_header(r, STR("location"), str_c(to)) != OK)
		return fail_code(f, E_NOMEM);
	r->reply.status = 302;
	return OK;
}

/* ---- who it is here -------------------------------------------------------------------------- */

/* The account that a sign-in leads to, and what of it is new. */
struct account {
	struct user user;
	struct user_identity identity;
	bool created;
};

/* For the name of a new account. */
static struct str display_name(struct str name)
{
	return name.p != NULL && name.n > 0 && name.n <= USER_NAME_MAX && str_utf8(name) ? name : STR_NONE;
}

static void add_user(struct write *w, const struct oidc_person *p, struct str fold, struct account *out)
{
	out->user = (struct user){ .id = id_new(w->now), .email = p->email,
		.display_name = display_name(p->name), .email_verified_at = p->email_verified ? w->now : 0,
		.version = 1, .created_at = w->now, .updated_at = w->now };
	out->identity.user = out->user.id;
	out->created = true;
	user_insert(w, &out->user, fold);
	identity_insert(w, &out->identity, STR_NONE);
}

/* An account with the address: it is this person's only when both sides have made sure of that, and of
 * the same mailbox. */
static enum err adopt(struct ctl *c, struct write *w, const struct oidc_person *p, struct str fold,
    struct account *out, struct fail *f)
{
	if (!p->email_verified || out->user.email_verified_at == 0 || !email_is_same(p->email, out->user.email))
		return fail_code(f, E_LINK_REQUIRED);
	out->identity.user = out->user.id;
	identity_insert(w, &out->identity, fold);
	links_identity_linked(c, w, &out->user);
	return OK;
}

static enum err newcomer(struct ctl *c, struct request *r, struct write *w, const struct oidc_person *p,
    struct account *out, struct fail *f)
{
	int mode = c->config->auth_signup;
	struct str fold;
	enum err e;

	if (p->email.p == NULL || !email_is_valid(p->email))
		return fail_set(f, E_EMAIL_UNVERIFIED, "the OpenID provider tells no e-mail address");
	if (!p->email_verified && mode != SIGNUP_OPEN)
		return fail_set(f, E_EMAIL_UNVERIFIED, "the OpenID provider has not verified the e-mail address");
	e = email_fold(p->email, &r->arena, &fold);
	if (e != OK)
		return fail_code(f, e);
	out->identity = (struct user_identity){ .id = id_new(w->now), .issuer = oidc_issuer(c->oidc),
		.subject = p->subject, .email = p->email, .last_used_at = w->now };
	e = user_by_email(c->store, STORE_LINEAR, fold, &r->arena, &out->user, f);
	if (e == OK)
		return adopt(c, w, p, fold, out, f);
	if (e != E_NOT_FOUND)
		return e;
	fail_clear(f);
	if (mode == SIGNUP_OFF)
		return fail_code(f, E_SIGNUP_OFF);
	add_user(w, p, fold, out);
	return OK;
}

static enum err known(struct ctl *c, struct request *r, struct write *w, const struct oidc_person *p,
    struct account *out, struct fail *f)
{
	enum err e = user_by_id(c->store, STORE_LINEAR, out->identity.user, &r->arena, &out->user, f);

	if (e == OK)
		identity_use(w, out->identity.id, out->user.id, p->email);
	return e;
}

static enum err find_account(struct ctl *c, struct request *r, struct write *w,
    const struct oidc_person *p, struct account *out, struct fail *f)
{
	enum err e = identity_find(c->store, oidc_issuer(c->oidc), p->subject, &r->arena, &out->identity, f);

	if (e == E_NOT_FOUND) {
		fail_clear(f);
		e = newcomer(c, r, w, p, out, f);
	} else if (e == OK) {
		e = known(c, r, w, p, out, f);
	}
	if (e != OK)
		return e;
	if (out->user.disabled)
		return fail_set(f, E_INVALID_CREDENTIALS, "this account cannot sign in");
	if (c->config->auth_signup == SIGNUP_VERIFY && user_awaits_link(&out->user))
		return fail_code(f, E_EMAIL_UNVERIFIED);
	return OK;
}

/* ---- what comes of it ------------------------------------------------------------------------ */

static enum err hand_off(struct ctl *c, struct request *r, struct write *w, const struct oidc_state *s,
    const struct account *a, struct fail *f)
{
	char code[TOKEN_LEN];
	enum err e = oidc_handoff_add(w, a->user.id, a->identity.id, str_c(s->finish), code);

	if (e != OK)
		return fail_code(f, e);
	e = commit(c, r, w, f);
	if (e == OK)
		e = send_back(r, s->return_to, "code", str_c(code), f);
	if (e == OK && a->created)
		audit_event(c->audit, r, &a->user.id, a->user.email, OK);
	secret_wipe(code, sizeof code);
	return e;
}

static enum err sign_in_once(struct ctl *c, struct request *r, const struct oidc_state *s,
    const struct oidc_person *p, struct fail *f)
{
	struct account a = { .created = false };
	struct write w;
	enum err e;

	write_init(&w, &r->arena, clock_wall());
	e = find_account(c, r, &w, p, &a, f);
	if (e != OK)
		return e;
	e = s->return_to.p != NULL ? hand_off(c, r, &w, s, &a, f) :
	    sign_in(c, r, &w, &a.user, STR_NONE, AMR, f);
	letters_poke(c);
	return e;
}

/* Somebody may have made the account, or the link, a moment ago: the person's other window. */
static enum err sign_in_person(struct ctl *c, struct request *r, const struct oidc_state *s,
    const struct oidc_person *p, struct fail *f)
{
	enum err e = sign_in_once(c, r, s, p, f);

	if (e != E_EMAIL_TAKEN && e != E_IDENTITY_TAKEN)
		return e;
	fail_clear(f);
	return sign_in_once(c, r, s, p, f);
}

static enum err link_reply(struct request *r, const struct oidc_state *s, const struct user_identity *i,
    struct fail *f)
{
	char id[ID_TEXT_LEN];
	struct jsonw w;

	if (s->return_to.p != NULL)
		return send_back(r, s->return_to, "linked", str_c(id_text(i->id, id)), f);
	w = request_json(r, 200);
	identity_write(&w, i);
	return OK;
}

static enum err link_new(struct ctl *c, struct request *r, const struct oidc_state *s,
    struct user_identity *i, struct fail *f)
{
	struct write w;
	struct user u;
	enum err e = user_by_id(c->store, STORE_LINEAR, s->user, &r->arena, &u, f);

	if (e != OK)
		return e;
	write_init(&w, &r->arena, clock_wall());
	i->id = id_new(w.now);
	i->created_at = w.now;
	session_guard_live(&w, s->session, s->user);
	identity_insert(&w, i, STR_NONE);
	links_identity_linked(c, &w, &u);
	e = commit(c, r, &w, f);
	letters_poke(c);
	return e;
}

static enum err link_person(struct ctl *c, struct request *r, const struct oidc_state *s,
    const struct oidc_person *p, struct fail *f)
{
	struct user_identity i;
	enum err e = identity_find(c->store, oidc_issuer(c->oidc), p->subject, &r->arena, &i, f);

	if (e == E_NOT_FOUND) {
		fail_clear(f);
		i = (struct user_identity){ .user = s->user, .issuer = oidc_issuer(c->oidc),
			.subject = p->subject, .email = p->email };
		e = link_new(c, r, s, &i, f);
	} else if (e == OK && !id_eq(i.user, s->user)) {
		e = fail_code(f, E_IDENTITY_TAKEN);
	}
	audit_event(c->audit, r, &s->user, STR_NONE, e);
	return e == OK ? link_reply(r, s, &i, f) : e;
}

enum err op_oidc_callback(struct ctl *c, struct request *r, struct fail *f)
{
	struct callback cb = { .state = STR_NONE };
	struct oidc_person p;
	struct oidc_state s;
	enum err e = need_oidc(c, f);

	(void)reply_header(r, STR("referrer-policy"), STR("no-referrer"));
	if (e == OK)
		e = read_callback(r, &cb, f);
	if (e == OK)
		e = open_state(c, r, cb.state, &s, f);
	if (e != OK)
		return e;
	e = ask(c, r, &s, &cb, &p, f);
	if (e == OK)
		e = s.link ? link_person(c, r, &s, &p, f) : sign_in_person(c, r, &s, &p, f);
	if (e != OK && s.return_to.p != NULL) {
		fail_clear(f);
		e = send_back(r, s.return_to, "error", str_c(err_code(e)), f);
	}
	oidc_state_wipe(&s);
	return e;
}

/* ---- picked up by the application ------------------------------------------------------------ */

struct oidc_finish {
	struct body_str code, finish_token;
};
const struct body_field body_oidc_finish[] = {
	{ "code", BODY_T_STR, BODY_REQUIRED | BODY_SECRET, offsetof(struct oidc_finish, code), 1, 128 },
	{ "finish_token", BODY_T_STR, BODY_REQUIRED | BODY_SECRET,
	  offsetof(struct oidc_finish, finish_token), 1, 128 },
	{ NULL },
};

static enum err find_handoff(struct ctl *c, struct request *r, struct oidc_handoff *h, struct user *u,
    struct fail *f)
{
	struct oidc_finish b;
	enum err e = need_oidc(c, f);

	if (e == OK)
		e = body_read(r, body_oidc_finish, &b, sizeof b, f);
	if (e == OK)
		e = oidc_handoff_find(c->store, b.code.v, b.finish_token.v, clock_wall(), h, f);
	if (e != OK)
		return e;
	e = user_by_id(c->store, STORE_LINEAR, h->user, &r->arena, u, f);
	if (e != E_NOT_FOUND)
		return e;
	fail_clear(f);
	return fail_code(f, E_TOKEN_INVALID);
}

enum err op_oidc_finish(struct ctl *c, struct request *r, struct fail *f)
{
	struct throttle_who who = throttle_who(r, STR_NONE);
	struct oidc_handoff h;
	struct write w;
	struct user u;
	enum err e = find_handoff(c, r, &h, &u, f);

	if (e != OK)
		return throttle_wrong(c->throttle, THROTTLE_LINK, &who, e, f);
	write_init(&w, &r->arena, clock_wall());
	oidc_handoff_use(&w, &h);
	identity_use(&w, h.identity, h.user, STR_NONE);
	return sign_in(c, r, &w, &u, STR_NONE, AMR, f);
}
