/* POST /v1/auth/token: access tokens for service accounts by the client credentials grant (RFC 6749, 4.4).
 *
 * What is refused is refused as RFC 6749, 5.2 says, with the members of the one envelope beside it. As with
 * a sign-in, whether secrets come over TLS is the listener's matter. The token hangs on the credential that
 * it was given for: when that goes or runs out, so does the token. It has no scope: what the account may
 * do is decided from current state. */
#include "api/ctl.h"
#include "api/form.h"
#include "api/handlers.h"
#include "api/token_set.h"
#include "base/clock.h"
#include "base/hex.h"
#include "base/secret.h"
#include "crypto/token.h"
#include "iam/credential.h"
#include "iam/credential_check.h"
#include "iam/service_account.h"
#include "iam/session.h"
#include "iam/throttle.h"

#define BASIC_MAX 512 /* of a credential, decoded: an id and a secret have 80 */

enum refusal { INVALID_REQUEST, INVALID_CLIENT, UNSUPPORTED_GRANT_TYPE, INVALID_SCOPE };

static const struct {
	const char *error; /* RFC 6749, 5.2 */
	enum err err;      /* of the envelope */
} refusals[] = {
	[INVALID_REQUEST] = { "invalid_request", E_BAD_REQUEST },
	[INVALID_CLIENT] = { "invalid_client", E_UNAUTHENTICATED },
	[UNSUPPORTED_GRANT_TYPE] = { "unsupported_grant_type", E_BAD_REQUEST },
	[INVALID_SCOPE] = { "invalid_scope", E_BAD_REQUEST },
};

/* An answer, therefore OK. The text must fit RFC 6749's error_description: no quotes. */
static enum err refuse(struct request *r, enum refusal why, const char *text)
{
	enum err e = refusals[why].err;
	struct jsonw w = request_json(r, err_info(e)->http);

	r->reply.err = e;
	jsonw_obj(&w);
	jsonw_kz(&w, "error", refusals[why].error);
	jsonw_kz(&w, "error_description", text);
	jsonw_kz(&w, "code", err_code(e));
	jsonw_key(&w, "details");
	jsonw_raw(&w, STR("{}"));
	jsonw_kstr(&w, "request_id", r->correlation_id);
	jsonw_obj_end(&w);
	return why == INVALID_CLIENT ?
	    reply_header(r, STR("www-authenticate"), STR("Basic realm=\"gateway\"")) : OK;
}

/* Who says to be whom; the secret lies in the request's arena. */
struct client {
	struct str id, secret;
};

static enum err malformed(struct request *r, enum err e, bool *answered, struct fail *f)
{
	if (e != E_BAD_REQUEST)
		return e == OK ? OK : fail_code(f, e);
	*answered = true;
	return refuse(r, INVALID_REQUEST, "a parameter is given twice or is not percent-encoded UTF-8");
}

/* Basic, with both halves encoded like a form's. Anything else leaves *c empty: no client. */
static void from_header(struct request *r, struct client *c)
{
	struct str rest, scheme = str_cut(request_known(r, HDR_AUTHORIZATION), ' ', &rest);
	char plain[BASIC_MAX];
	struct str id, secret;
	size_t n;

	*c = (struct client){ STR_NONE, STR_NONE };
	if (!str_ieq(scheme, STR("basic")) || rest.p == NULL ||
	    !b64_decode(str_trim(rest), plain, sizeof plain, &n))
		return;
	id = str_cut(str_n(plain, n), ':', &secret);
	if (secret.p != NULL) {
		c->id = request_decode(r, id);
		c->secret = request_decode(r, secret);
	}
	secret_wipe(plain, sizeof plain);
}

/* By one of the two ways, not both (RFC 6749, 2.3). */
static enum err find_client(struct request *r, struct client *c, bool *answered, struct fail *f)
{
	enum err e = form_field(r, "client_id", &c->id);

	if (e == OK)
		e = form_field(r, "client_secret", &c->secret);
	if (e == OK && r->known_count[HDR_AUTHORIZATION] > 0) {
		struct client body = *c;

		from_header(r, c);
		if (body.secret.p != NULL || r->known_count[HDR_AUTHORIZATION] > 1 ||
		    (body.id.p != NULL && c->id.p != NULL && !str_eq(body.id, c->id)))
			e = E_BAD_REQUEST;
		if (body.secret.p != NULL)
			secret_wipe((char *)(uintptr_t)body.secret.p, body.secret.n);
	}
	return malformed(r, e, answered, f);
}

/* The grant and what else the body asks for. */
static enum err check_grant(struct request *r, bool *answered, struct fail *f)
{
	struct str grant, scope;
	enum err e = form_field(r, "grant_type", &grant);

	if (e == OK)
		e = form_field(r, "scope", &scope);
	if (e != OK)
		return malformed(r, e, answered, f);
	*answered = true;
	if (grant.p == NULL)
		return refuse(r, INVALID_REQUEST, "grant_type is missing");
	if (!str_eq(grant, STR("client_credentials")))
		return refuse(r, UNSUPPORTED_GRANT_TYPE, "grant_type must be client_credentials");
	if (scope.p != NULL)
		return refuse(r, INVALID_SCOPE, "tokens have no scope here; leave it out");
	*answered = false;
	return OK;
}

/* Which account it is, enabled, and by which credential. E_UNAUTHENTICATED. */
static enum err authenticate(struct ctl *c, struct request *r, const struct client *who, int64_t now,
    struct credential_proof *out, struct fail *f)
{
	unsigned char hash[TOKEN_HASH];
	struct service_account sa;
	struct id id;
	enum err e;

	if (who->id.p == NULL || who->secret.p == NULL || !id_parse(who->id, &id) ||
	    token_hash(CREDENTIAL_PURPOSE, who->secret, hash) != OK)
		return E_UNAUTHENTICATED;
	e = credential_check_secret(c->store, id, hash, now, out, f);
	if (e == OK)
		e = service_account_by_id(c->store, out->service_account, &r->arena, &sa, f);
	if (e == E_NOT_FOUND || (e == OK && sa.disabled))
		e = E_UNAUTHENTICATED;
	if (e == E_UNAUTHENTICATED)
		fail_clear(f);
	return e;
}

static enum err reply(struct ctl *c, struct request *r, const struct credential_proof *proof, int64_t now,
    struct fail *f)
{
	struct session s = { .id = proof->credential, .principal = proof->service_account,
		.amr = STR("secret"), .auth_time = now,
		.idle_expires_at = proof->expires_at != 0 ? proof->expires_at : INT64_MAX };
	struct buf access;
	struct jsonw w;
	int64_t expires_in;
	enum err e;

	buf_init(&access, 8192);
	e = token_issue(c, &s, now, &expires_in, &access, f);
	if (e == OK) {
		w = request_json(r, 200);
		jsonw_obj(&w);
		jsonw_kstr(&w, "access_token", buf_str(&access));
		jsonw_kz(&w, "token_type", "Bearer");
		jsonw_kint(&w, "expires_in", expires_in);
		jsonw_obj_end(&w);
		e = reply_header(r, STR("pragma"), STR("no-cache")); /* RFC 6749, 5.1 */
	}
	buf_release(&access);
	return e;
}

/* For the access log: the front reads it when the request has ended. */
static void name_principal(struct request *r, struct id id)
{
	char *text = arena_alloc(&r->arena, ID_TEXT_LEN);

	if (text != NULL)
		r->principal_id = str_c(id_text(id, text));
}

/* A secret was wrong. One that is right is never kept waiting: nobody guesses it. */
static enum err slowed(struct ctl *c, struct request *r, const struct client *client, struct fail *f)
{
	struct throttle_who who = throttle_who(r, client->id);

	return throttle_wrong(c->throttle, THROTTLE_TOKEN, &who, E_UNAUTHENTICATED, f);
}

enum err op_auth_token(struct ctl *c, struct request *r, struct fail *f)
{
	int64_t now = clock_wall();
	struct credential_proof proof;
	struct client who = { STR_NONE, STR_NONE };
	bool answered = false;
	enum err e = check_grant(r, &answered, f);

	if (e == OK && !answered)
		e = find_client(r, &who, &answered, f);
	if (r->body.n > 0)
		secret_wipe(r->body.p, r->body.n);
	if (e == OK && !answered)
		e = authenticate(c, r, &who, now, &proof, f);
	if (who.secret.p != NULL)
		secret_wipe((char *)(uintptr_t)who.secret.p, who.secret.n);
	if (e == E_UNAUTHENTICATED)
		e = slowed(c, r, &who, f);
	if (e == E_UNAUTHENTICATED)
		return refuse(r, INVALID_CLIENT, "the client is unknown or its secret is wrong");
	if (e != OK || answered)
		return e;
	name_principal(r, proof.service_account);
	return reply(c, r, &proof, now, f);
}
