#include "authn/oidc.h"

#include <jansson.h>
#include <stdatomic.h>

#include "authn/fetch.h"
#include "authn/oidc_state.h"
#include "authn/provider.h"
#include "base/heap.h"
#include "base/hex.h"
#include "base/log.h"
#include "base/secret.h"
#include "crypto/jws.h"

#define ANSWER_MAX (64u << 10)
#define FORM_MAX (16u << 10)
#define ID_TOKEN_MAX (16u << 10)
#define SECRET_MAX 1024
#define SCOPE "openid email profile"

struct oidc {
	struct provider *provider;
	char *ca;
	int most;
	atomic_int inside; /* threads that may wait for the provider */
};

enum err oidc_new(const struct oidc_config *c, struct oidc **out)
{
	struct oidc *o = heap_zalloc(sizeof *o);

	if (o == NULL)
		return E_NOMEM;
	o->provider = c->provider;
	o->most = c->most > 0 ? c->most : 1;
	o->ca = c->ca != NULL ? heap_strdup(c->ca) : NULL;
	if (c->ca != NULL && o->ca == NULL) {
		oidc_free(o);
		return E_NOMEM;
	}
	*out = o;
	return OK;
}

void oidc_free(struct oidc *o)
{
	if (o == NULL)
		return;
	heap_free(o->ca);
	heap_free(o);
}

struct str oidc_issuer(const struct oidc *o)
{
	return provider_issuer(o->provider);
}

/* ---- the provider ---------------------------------------------------------------------------- */

static enum err enter(struct oidc *o, struct fail *f)
{
	if (atomic_fetch_add(&o->inside, 1) < o->most)
		return OK;
	atomic_fetch_sub(&o->inside, 1);
	return fail_set(f, E_OVERLOADED, "too many sign-ins wait for the OpenID provider");
}

static void leave(struct oidc *o)
{
	atomic_fetch_sub(&o->inside, 1);
}

/* What is logged names no code, token, state or verifier. */
static void note(const struct oidc *o, const char *msg, const char *why)
{
	log_warn(msg, LOG_S("issuer", oidc_issuer(o)), LOG_Z("reason", why));
}

static enum err unfit(const struct oidc *o, struct fail *f)
{
	note(o, "the provider cannot be used", "its metadata offers no code flow with S256");
	return fail_code(f, E_PROVIDER_UNAVAILABLE);
}

/* Waits only when there is nothing yet. */
static enum err metadata(struct oidc *o, struct provider_doc **out, struct fail *f)
{
	enum err e = OK;

	*out = provider_doc(o->provider, clock_mono());
	if (*out == NULL) {
		e = enter(o, f);
		if (e != OK)
			return e;
		e = provider_need(o->provider, out, f);
		leave(o);
	}
	if (e == OK && (!(*out)->meta.code_flow || (*out)->meta.authorization_endpoint == NULL ||
	    (*out)->meta.token_endpoint == NULL)) {
		provider_doc_unref(*out);
		e = unfit(o, f);
	}
	return e;
}

/* ---- forms ----------------------------------------------------------------------------------- */

/* application/x-www-form-urlencoded, with what RFC 3986, 2.3 calls unreserved as it is. */
static void add_encoded(struct buf *b, struct str s)
{
	static const char digits[] = "0123456789ABCDEF";

	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		    (c != '\0' && strchr("-._~", c) != NULL)) {
			buf_addc(b, (char)c);
		} else {
			buf_addc(b, '%');
			buf_addc(b, digits[c >> 4]);
			buf_addc(b, digits[c & 15]);
		}
	}
}

static void add_field(struct buf *b, const char *name, struct str value)
{
	if (b->n > 0 && b->p[b->n - 1] != '?')
		buf_addc(b, '&');
	buf_addz(b, name);
	buf_addc(b, '=');
	add_encoded(b, value);
}

/* ---- there ----------------------------------------------------------------------------------- */

enum err oidc_authorization_url(struct oidc *o, const struct oidc_client *c, const struct oidc_state *s,
    struct buf *out, struct fail *f)
{
	char challenge[OIDC_STATE_TOKEN];
	struct provider_doc *d;
	enum err e = metadata(o, &d, f);

	if (e != OK)
		return e;
	oidc_state_challenge(s, challenge);
	buf_addz(out, d->meta.authorization_endpoint);
	if (strchr(d->meta.authorization_endpoint, '?') == NULL)
		buf_addc(out, '?');
	add_field(out, "response_type", STR("code"));
	add_field(out, "client_id", c->id);
	add_field(out, "redirect_uri", c->redirect_uri);
	add_field(out, "scope", STR(SCOPE));
	add_field(out, "state", str_c(s->state));
	add_field(out, "nonce", str_c(s->nonce));
	add_field(out, "code_challenge", str_c(challenge));
	add_field(out, "code_challenge_method", STR("S256"));
	provider_doc_unref(d);
	e = buf_err(out);
	return e == OK ? OK : fail_code(f, e);
}

/* ---- and back -------------------------------------------------------------------------------- */

static enum err invalid(const struct oidc *o, const char *why, struct fail *f)
{
	note(o, "an answer of the provider does not hold", why);
	return fail_code(f, E_OIDC_INVALID);
}

/* RFC 6749, 4.1.2.1 and 5.2: printable ASCII without quote and backslash. */
static bool is_error_code(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < 0x20 || s.p[i] > 0x7e || s.p[i] == '"' || s.p[i] == '\\')
			return false;
	return s.n > 0 && s.n <= 64;
}

static enum err refused(struct str error, struct fail *f)
{
	fail_code(f, E_OIDC_REFUSED);
	if (f != NULL && is_error_code(error))
		fail_details_take(f, json_pack("{s:s%}", "error", error.p, error.n));
	return E_OIDC_REFUSED;
}

enum err oidc_check_answer(struct oidc *o, const struct oidc_answer *answer, struct fail *f)
{
	struct provider_doc *d;
	bool announced;
	enum err e = metadata(o, &d, f);

	if (e != OK)
		return e;
	announced = d->meta.iss_in_response;
	provider_doc_unref(d);
	if (answer->iss.p != NULL ? !str_eq(answer->iss, oidc_issuer(o)) : announced)
		return invalid(o, "iss in the address of the callback", f);
	if (answer->error.p != NULL)
		return refused(answer->error, f);
	return answer->code.p != NULL && answer->code.n > 0 ? OK : invalid(o, "no code", f);
}

/* ---- the token endpoint ---------------------------------------------------------------------- */

/* What the provider gave for the code; in json. */
struct tokens {
	json_t *json;
	struct str id_token, access_token;
};

static struct str member(const json_t *json, const char *name)
{
	const json_t *v = json_object_get(json, name);

	return json_is_string(v) ? str_n(json_string_value(v), json_string_length(v)) : STR_NONE;
}

static void tokens_release(struct tokens *t)
{
	secret_wipe((char *)(uintptr_t)t->id_token.p, t->id_token.n);
	secret_wipe((char *)(uintptr_t)t->access_token.p, t->access_token.n);
	json_decref(t->json);
	*t = (struct tokens){ 0 };
}

/* "Basic ...": id and secret, each encoded like a form's (RFC 6749, 2.3.1). */
static void write_basic(const struct oidc_client *c, struct buf *out)
{
	struct buf pair;

	buf_init_secret(&pair, 8 * SECRET_MAX);
	add_encoded(&pair, c->id);
	buf_addc(&pair, ':');
	add_encoded(&pair, c->secret);
	buf_addz(out, "Basic ");
	if (!pair.failed && buf_reserve(out, B64_LEN(pair.n)) == OK)
		out->n += b64_encode(pair.p, pair.n, out->p + out->n);
	out->failed |= pair.failed;
	buf_release(&pair);
}

static enum err read_tokens(const struct oidc *o, const struct fetch *x, struct tokens *out, struct fail *f)
{
	struct str body = fetch_body(x), type;
	int status = fetch_status(x);

	out->json = json_loadb(body.p != NULL ? body.p : "", body.n, JSON_REJECT_DUPLICATES, NULL);
	if (status != 200) {
		struct str error = member(out->json, "error");

		note(o, "the provider does not take a code", is_error_code(error) ? error.p : "no error code");
		return refused(error, f);
	}
	out->id_token = member(out->json, "id_token");
	out->access_token = member(out->json, "access_token");
	type = member(out->json, "token_type");
	if (out->id_token.p == NULL || out->access_token.p == NULL || !str_ieq(type, STR("Bearer")))
		return invalid(o, "the token response", f);
	return OK;
}

static enum err run(const struct oidc *o, struct fetch *x, struct fail *f)
{
	struct fail why = { 0 };
	enum err e = fetch_run(x, &why);

	if (e == OK)
		return OK;
	note(o, "the provider cannot be reached", fail_text(&why));
	fail_clear(&why);
	return fail_code(f, E_PROVIDER_UNAVAILABLE);
}

static void write_form(const struct oidc_client *c, const struct oidc_state *s, struct str code, bool post,
    struct buf *form)
{
	add_field(form, "grant_type", STR("authorization_code"));
	add_field(form, "code", code);
	add_field(form, "redirect_uri", c->redirect_uri);
	add_field(form, "code_verifier", str_c(s->verifier));
	if (!post)
		return;
	add_field(form, "client_id", c->id);
	add_field(form, "client_secret", c->secret);
}

static enum err exchange(const struct oidc *o, const struct discovery *m, struct fetch *x,
    const struct oidc_client *c, const struct oidc_state *s, struct str code, struct tokens *out,
    struct fail *f)
{
	bool post = !m->auth_basic && m->auth_post;
	struct buf form, basic;
	enum err e;

	buf_init_secret(&form, FORM_MAX);
	buf_init_secret(&basic, 16 * SECRET_MAX);
	write_form(c, s, code, post, &form);
	if (!post)
		write_basic(c, &basic);
	e = form.failed || basic.failed ? E_INVALID_FIELD : fetch_prepare(x, m->token_endpoint,
	    buf_str(&form), post ? STR_NONE : buf_str(&basic));
	buf_release(&form);
	buf_release(&basic);
	if (e == E_INVALID_FIELD)
		return invalid(o, "the code is too long", f);
	if (e != OK)
		return fail_code(f, e);
	e = run(o, x, f);
	return e == OK ? read_tokens(o, x, out, f) : e;
}

/* ---- the person ------------------------------------------------------------------------------ */

static enum err keep(struct arena *a, struct str *s, struct fail *f)
{
	if (s->p == NULL)
		return OK;
	*s = arena_str(a, *s);
	return s->p != NULL ? OK : fail_code(f, E_NOMEM);
}

static enum err keep_person(struct arena *a, struct oidc_person *p, struct fail *f)
{
	enum err e = keep(a, &p->subject, f);

	if (e == OK)
		e = keep(a, &p->email, f);
	return e == OK ? keep(a, &p->name, f) : e;
}

/* Signature before claims. */
static enum err check_id_token(struct oidc *o, const struct oidc_client *c, const struct oidc_state *s,
    const struct tokens *t, int64_t now, struct arena *a, struct oidc_person *out, struct fail *f)
{
	struct id_token_wanted want = { .issuer = oidc_issuer(o), .client_id = c->id,
		.nonce = str_c(s->nonce), .access_token = t->access_token, .begun_at = s->begun_at, .now = now };
	char *scratch = arena_alloc(a, ID_TOKEN_MAX);
	struct id_token claims;
	const char *fault;
	struct jws j;
	enum err e;

	if (scratch == NULL)
		return fail_code(f, E_NOMEM);
	if (jws_parse(t->id_token, scratch, ID_TOKEN_MAX, &j) != OK)
		return invalid(o, "the ID token is malformed", f);
	e = provider_verify(o->provider, &j, f);
	if (e == E_UNAUTHENTICATED)
		return invalid(o, "the signature", f);
	if (e != OK)
		return e;
	if (id_token_parse(&j, &claims) != OK)
		return invalid(o, "the claims are malformed", f);
	fault = id_token_fault(&claims, j.alg, &want);
	if (fault != NULL)
		return invalid(o, fault, f);
	*out = (struct oidc_person){ claims.sub, claims.email, claims.name, claims.email_verified };
	return keep_person(a, out, f);
}

/* Without an address from there, it stays unknown: whoever is known already does not need it. */
static enum err ask_userinfo(const struct oidc *o, const char *url, struct fetch *x, struct str token,
    struct arena *a, struct oidc_person *p, struct fail *f)
{
	struct str body;
	struct buf bearer;
	json_t *json;
	enum err e;

	buf_init_secret(&bearer, ANSWER_MAX);
	buf_addz(&bearer, "Bearer ");
	buf_adds(&bearer, token);
	e = bearer.failed ? E_NOMEM : fetch_prepare(x, url, STR_NONE, buf_str(&bearer));
	buf_release(&bearer);
	if (e != OK || run(o, x, NULL) != OK || fetch_status(x) != 200)
		return OK;
	body = fetch_body(x);
	json = json_loadb(body.p != NULL ? body.p : "", body.n, JSON_REJECT_DUPLICATES, NULL);
	if (!str_eq(member(json, "sub"), p->subject)) { /* Core 5.3.2 */
		e = invalid(o, "sub of userinfo", f);
	} else {
		p->email = member(json, "email");
		p->name = member(json, "name");
		p->email_verified = json_is_true(json_object_get(json, "email_verified"));
		e = keep_person(a, p, f);
	}
	json_decref(json);
	return e;
}

static enum err redeem(struct oidc *o, const struct discovery *m, const struct oidc_client *c,
    const struct oidc_state *s, struct str code, int64_t now, struct arena *a, struct oidc_person *out,
    struct fail *f)
{
	struct fetch_limits limits = { .ca = o->ca, .max = ANSWER_MAX };
	struct tokens t = { NULL };
	struct fetch *x;
	enum err e;

	if (fetch_new(&limits, &x) != OK)
		return fail_code(f, E_NOMEM);
	e = exchange(o, m, x, c, s, code, &t, f);
	if (e == OK)
		e = check_id_token(o, c, s, &t, now, a, out, f);
	if (e == OK && out->email.p == NULL && m->userinfo_endpoint != NULL)
		e = ask_userinfo(o, m->userinfo_endpoint, x, t.access_token, a, out, f);
	tokens_release(&t);
	fetch_free(x);
	return e;
}

enum err oidc_redeem(struct oidc *o, const struct oidc_client *c, const struct oidc_state *s,
    struct str code, int64_t now, struct arena *a, struct oidc_person *out, struct fail *f)
{
	struct provider_doc *d;
	enum err e = metadata(o, &d, f);

	if (e != OK)
		return e;
	e = enter(o, f);
	if (e == OK) {
		e = redeem(o, &d->meta, c, s, code, now, a, out, f);
		leave(o);
	}
	provider_doc_unref(d);
	return e;
}
