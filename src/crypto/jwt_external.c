#include "crypto/jwt_external.h"

#include <string.h>

#include "base/clock.h"
#include "base/jsonr.h"
#include "crypto/jws.h"
#include "crypto/jwt.h"

/* The scratch that the caller gave to jws_parse: writable, and ours until its next use. */
static struct jsonr payload(const struct jws *j)
{
	return jsonr_on((char *)(uintptr_t)j->payload.p, j->payload.n);
}

enum err jwt_external_issuer(const struct jws *j, char *scratch, size_t cap, struct str *iss)
{
	struct jsonr r = jsonr_on(scratch, j->payload.n);
	struct jsonr_names seen = { .n = 0 };
	struct str name;

	*iss = STR_NONE;
	if (j->payload.n > cap)
		return E_UNAUTHENTICATED;
	memcpy(scratch, j->payload.p, j->payload.n);
	if (!jsonr_obj(&r))
		return E_UNAUTHENTICATED;
	while (jsonr_member(&r, &name))
		if (!jsonr_names_add(&seen, name) ||
		    !(str_eq(name, STR("iss")) ? jsonr_str(&r, iss) : jsonr_skip(&r)))
			return E_UNAUTHENTICATED;
	return jsonr_done(&r) && iss->n > 0 ? OK : E_UNAUTHENTICATED;
}

/* ---- claims ---------------------------------------------------------------------------------- */

struct reading {
	const struct jwt_external_rules *rules;
	struct jwt_external *out;
	bool at_jwt;   /* the header says that it is an access token (RFC 9068) */
	bool bearer;   /* a claim says so */
	bool id_token; /* it has what only ID tokens need */
	bool has_aud, has_exp;
};

/* Text for logs and look-ups: no control characters. */
static bool read_subject(struct jsonr *r, struct str *out)
{
	if (!jsonr_str(r, out) || out->n == 0 || out->n > JWT_SUBJECT_MAX)
		return false;
	for (size_t i = 0; i < out->n; i++)
		if ((unsigned char)out->p[i] < 0x20 || out->p[i] == 0x7f)
			return false;
	return true;
}

static bool read_aud(struct jsonr *r, struct reading *x)
{
	struct str s;

	x->has_aud = true;
	if (jsonr_peek(r) == '"') {
		x->out->for_us = jsonr_str(r, &s) && str_eq(s, x->rules->audience);
		return !r->failed;
	}
	if (!jsonr_arr(r))
		return false;
	while (jsonr_elem(r)) {
		if (!jsonr_str(r, &s))
			return false;
		x->out->for_us |= str_eq(s, x->rules->audience);
	}
	return !r->failed;
}

/* "a b" as it is; ["a","b"] is written as that over the array's own text, which is longer. */
static bool read_scopes(struct jsonr *r, struct str *out)
{
	char *start, *to;
	struct str s;

	if (jsonr_peek(r) == '"')
		return jsonr_str(r, out) && out->n <= JWT_SCOPES_MAX;
	start = to = r->p;
	if (!jsonr_arr(r))
		return false;
	while (jsonr_elem(r)) {
		if (!jsonr_str(r, &s) || memchr(s.p, ' ', s.n) != NULL)
			return false;
		if (to > start)
			*to++ = ' ';
		memmove(to, s.p, s.n);
		to += s.n;
	}
	*out = str_n(start, (size_t)(to - start));
	return !r->failed && out->n <= JWT_SCOPES_MAX;
}

static bool read_word(struct jsonr *r, bool (*fits)(struct str s))
{
	struct str s;

	return jsonr_str(r, &s) && fits(s);
}

/* Keycloak says in `typ` what a token is for. */
static bool is_bearer(struct str s)
{
	return str_ieq(s, STR("bearer")) || str_ieq(s, STR("at+jwt")) || str_ieq(s, STR("jwt"));
}

/* Cognito says it in `token_use`. */
static bool is_access(struct str s)
{
	return str_eq(s, STR("access"));
}

enum claim { AUD, EXP, NBF, IAT, TYP, TOKEN_USE, ID_ONLY, NEVER, OTHER };

static enum claim claim_of(struct str name)
{
	static const struct {
		struct str name;
		enum claim claim;
	} claims[] = {
		{ STR("aud"), AUD }, { STR("exp"), EXP }, { STR("nbf"), NBF }, { STR("iat"), IAT },
		{ STR("typ"), TYP }, { STR("token_use"), TOKEN_USE },
		/* OpenID Connect Core 1.0, 2 and 3.3.2.11 */
		{ STR("nonce"), ID_ONLY }, { STR("at_hash"), ID_ONLY }, { STR("c_hash"), ID_ONLY },
		{ STR("s_hash"), ID_ONLY },
		{ STR("events"), NEVER }, /* a security event, a logout (RFC 8417) */
		{ STR("cnf"), NEVER },    /* bound to a key (RFC 7800): nothing for whoever bears it */
	};

	for (size_t i = 0; i < sizeof claims / sizeof *claims; i++)
		if (str_eq(name, claims[i].name))
			return claims[i].claim;
	return OTHER;
}

static bool read_claim(struct jsonr *r, struct str name, struct reading *x)
{
	struct jwt_external *out = x->out;

	if (str_eq(name, x->rules->subject_claim))
		return read_subject(r, &out->subject);
	if (str_eq(name, x->rules->scope_claim))
		return read_scopes(r, &out->scopes);
	switch (claim_of(name)) {
	case AUD: return read_aud(r, x);
	case EXP: return x->has_exp = jwt_time_read(r, &out->exp);
	case NBF: return jwt_time_read(r, &out->nbf);
	case IAT: return jwt_time_read(r, &out->iat);
	case TYP: return x->bearer = read_word(r, is_bearer);
	case TOKEN_USE: return x->bearer = read_word(r, is_access);
	case ID_ONLY: return x->id_token = jsonr_skip(r);
	case NEVER: return false;
	case OTHER: break;
	}
	return jsonr_skip(r);
}

/* A media type, whose "application/" may be left out (RFC 7515, 4.1.9). */
static bool typ_is(struct str typ, struct str want)
{
	static const struct str application = STR("application/");

	if (typ.n > application.n && str_ieq(str_n(typ.p, application.n), application))
		typ = str_skip(typ, application.n);
	return str_ieq(typ, want);
}

enum err jwt_external_parse(const struct jws *j, const struct jwt_external_rules *rules,
    struct jwt_external *out)
{
	struct reading x = { .rules = rules, .out = out, .at_jwt = typ_is(j->typ, STR("at+jwt")) };
	struct jsonr_names seen = { .n = 0 };
	struct jsonr r = payload(j);
	struct str name;

	*out = (struct jwt_external){ .scopes = STR_NONE };
	if ((!x.at_jwt && j->typ.p != NULL && !typ_is(j->typ, STR("JWT"))) || !jsonr_obj(&r))
		return E_UNAUTHENTICATED;
	while (jsonr_member(&r, &name))
		if (!jsonr_names_add(&seen, name) || !read_claim(&r, name, &x))
			return E_UNAUTHENTICATED;
	if (!jsonr_done(&r) || !x.has_aud || !x.has_exp || out->subject.n == 0)
		return E_UNAUTHENTICATED;
	return x.id_token && !x.at_jwt && !x.bearer ? E_UNAUTHENTICATED : OK;
}

enum err jwt_external_check(const struct jwt_external *t, int64_t now, int64_t leeway)
{
	return t->for_us && now < t->exp * CLOCK_SEC && now >= t->nbf * CLOCK_SEC - leeway &&
	    now >= t->iat * CLOCK_SEC - leeway ? OK : E_UNAUTHENTICATED;
}
