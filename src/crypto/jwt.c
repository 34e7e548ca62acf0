#include "crypto/jwt.h"

#include <stdbool.h>
#include <string.h>

#include "base/clock.h"
#include "base/jsonr.h"
#include "base/jsonw.h"
#include "crypto/jws.h"
#include "crypto/jws_key.h"
#include "crypto/keyring.h"

#define TYP STR("at+jwt")
#define TIME_MAX INT64_C(253402300799) /* 9999-12-31T23:59:59Z */

static const struct {
	unsigned bit;
	struct str name;
} methods[] = {
	{ JWT_AMR_PWD, STR("pwd") },       { JWT_AMR_OTP, STR("otp") },
	{ JWT_AMR_MFA, STR("mfa") },       { JWT_AMR_RECOVERY, STR("rcv") },
	{ JWT_AMR_FEDERATED, STR("fed") }, { JWT_AMR_SECRET, STR("secret") },
	{ JWT_AMR_CERT, STR("cert") },
};
enum { METHODS = sizeof methods / sizeof *methods };

static bool id_none(struct id id)
{
	return id_eq(id, (struct id){ { 0 } });
}

/* ---- out ---- */

static void write_amr(struct jsonw *w, unsigned amr)
{
	jsonw_arr(w);
	for (size_t i = 0; i < METHODS; i++)
		if (amr & methods[i].bit)
			jsonw_str(w, methods[i].name);
	jsonw_arr_end(w);
}

void jwt_amr_write(unsigned amr, struct buf *out)
{
	struct jsonw w = jsonw_on(out);

	write_amr(&w, amr);
}

unsigned jwt_amr_parse(struct str names)
{
	unsigned amr = 0;

	while (names.p != NULL) {
		struct str name = str_cut(names, ' ', &names);

		for (size_t i = 0; i < METHODS; i++)
			if (str_eq(name, methods[i].name))
				amr |= methods[i].bit;
	}
	return amr;
}

struct str jwt_amr_text(unsigned amr, char out[JWT_AMR_TEXT])
{
	size_t n = 0;

	for (size_t i = 0; i < METHODS; i++) {
		if (!(amr & methods[i].bit))
			continue;
		if (n > 0)
			out[n++] = ' ';
		memcpy(out + n, methods[i].name.p, methods[i].name.n);
		n += methods[i].name.n;
	}
	out[n] = '\0';
	return str_n(out, n);
}

static void write_aud(struct jsonw *w, const struct str aud[JWT_AUD_MAX])
{
	bool several = aud[1].p != NULL;

	jsonw_key(w, "aud");
	if (several)
		jsonw_arr(w);
	for (int i = 0; i < JWT_AUD_MAX && aud[i].p != NULL; i++)
		jsonw_str(w, aud[i]);
	if (several)
		jsonw_arr_end(w);
}

static enum err write_claims(const struct jwt_access *c, struct buf *out)
{
	struct jsonw w = jsonw_on(out);

	jsonw_obj(&w);
	jsonw_kstr(&w, "iss", c->iss);
	write_aud(&w, c->aud);
	jsonw_kid(&w, "sub", c->sub);
	if (!id_none(c->sid))
		jsonw_kid(&w, "sid", c->sid);
	jsonw_kint(&w, "iat", c->iat);
	jsonw_kint(&w, "exp", c->exp);
	if (c->nbf != 0)
		jsonw_kint(&w, "nbf", c->nbf);
	jsonw_kid(&w, "jti", c->jti);
	jsonw_key(&w, "amr");
	write_amr(&w, c->amr);
	if (c->auth_time != 0)
		jsonw_kint(&w, "auth_time", c->auth_time);
	jsonw_obj_end(&w);
	return buf_err(out);
}

static enum err write_header(const struct keyring_entry *signer, struct buf *out)
{
	struct jsonw w = jsonw_on(out);

	jsonw_obj(&w);
	jsonw_kz(&w, "alg", jws_alg_name(jws_key_alg(signer->key)));
	jsonw_kstr(&w, "typ", TYP);
	jsonw_kz(&w, "kid", signer->kid);
	jsonw_obj_end(&w);
	return buf_err(out);
}

enum err jwt_access_issue(const struct keyring *k, const struct jwt_access *claims,
    struct buf *out)
{
	const struct keyring_entry *signer = keyring_signer(k);
	struct buf both; /* header, then claims */
	size_t header;
	enum err e;

	if (signer == NULL)
		return E_NOT_READY;
	buf_init(&both, 256 + JWT_ACCESS_MAX);
	if ((e = write_header(signer, &both)) != OK)
		goto out;
	header = both.n;
	if ((e = write_claims(claims, &both)) != OK)
		goto out;
	e = jws_sign(signer->key, str_n(both.p, header), str_skip(buf_str(&both), header), out);
out:
	buf_release(&both);
	return e;
}

/* ---- in ---- */

/* Claims by name; a reader for each. */
enum { ISS = 1, AUD = 2, SUB = 4, SID = 8, IAT = 16, EXP = 32, NBF = 64, JTI = 128, AMR = 256,
	AUTH_TIME = 512, REQUIRED = ISS | AUD | SUB | IAT | EXP | JTI };

bool jwt_time_read(struct jsonr *r, int64_t *out)
{
	return jsonr_int(r, out) && *out >= 0 && *out <= TIME_MAX;
}

static bool read_text(struct jsonr *r, struct str *out)
{
	return jsonr_str(r, out) && out->n > 0;
}

static bool read_id(struct jsonr *r, struct id *out)
{
	struct str s;

	return jsonr_str(r, &s) && id_parse(s, out) && !id_none(*out);
}

static bool read_aud(struct jsonr *r, struct str aud[JWT_AUD_MAX])
{
	int n = 0;

	if (jsonr_peek(r) == '"')
		return read_text(r, &aud[0]);
	if (!jsonr_arr(r))
		return false;
	while (jsonr_elem(r))
		if (n == JWT_AUD_MAX || !read_text(r, &aud[n++]))
			return false;
	return n > 0 && !r->failed;
}

static bool read_amr(struct jsonr *r, unsigned *amr)
{
	struct str s;

	if (!jsonr_arr(r))
		return false;
	while (jsonr_elem(r)) {
		if (!jsonr_str(r, &s))
			return false;
		for (size_t i = 0; i < METHODS; i++)
			if (str_eq(s, methods[i].name))
				*amr |= methods[i].bit;
	}
	return !r->failed;
}

static unsigned claim_of(struct str name)
{
	static const struct {
		struct str name;
		unsigned claim;
	} claims[] = {
		{ STR("iss"), ISS }, { STR("aud"), AUD }, { STR("sub"), SUB }, { STR("sid"), SID },
		{ STR("iat"), IAT }, { STR("exp"), EXP }, { STR("nbf"), NBF }, { STR("jti"), JTI },
		{ STR("amr"), AMR }, { STR("auth_time"), AUTH_TIME },
	};

	for (size_t i = 0; i < sizeof claims / sizeof *claims; i++)
		if (str_eq(name, claims[i].name))
			return claims[i].claim;
	return 0;
}

static bool read_claim(struct jsonr *r, unsigned claim, struct jwt_access *out)
{
	switch (claim) {
	case ISS: return read_text(r, &out->iss);
	case AUD: return read_aud(r, out->aud);
	case SUB: return read_id(r, &out->sub);
	case SID: return read_id(r, &out->sid);
	case IAT: return jwt_time_read(r, &out->iat);
	case EXP: return jwt_time_read(r, &out->exp);
	case NBF: return jwt_time_read(r, &out->nbf);
	case JTI: return read_id(r, &out->jti);
	case AMR: return read_amr(r, &out->amr);
	case AUTH_TIME: return jwt_time_read(r, &out->auth_time);
	default: return jsonr_skip(r);
	}
}

enum err jwt_access_parse(const struct jws *j, struct jwt_access *out)
{
	/* the scratch that the caller gave to jws_parse: writable, and ours until its next use */
	struct jsonr r = jsonr_on((char *)(uintptr_t)j->payload.p, j->payload.n);
	struct jsonr_names seen;
	struct str name;
	unsigned have = 0;

	*out = (struct jwt_access){ .exp = 0 };
	seen.n = 0;
	if (!str_eq(j->typ, TYP) || !jsonr_obj(&r))
		return E_UNAUTHENTICATED;
	while (jsonr_member(&r, &name)) {
		unsigned claim = claim_of(name);

		if (!jsonr_names_add(&seen, name) || !read_claim(&r, claim, out))
			return E_UNAUTHENTICATED;
		have |= claim;
	}
	return jsonr_done(&r) && (have & REQUIRED) == REQUIRED ? OK : E_UNAUTHENTICATED;
}

static bool timely(const struct jwt_access *c, int64_t now, int64_t leeway)
{
	return now < c->exp * CLOCK_SEC + leeway && now >= c->nbf * CLOCK_SEC - leeway &&
	    now >= c->iat * CLOCK_SEC - leeway;
}

static bool for_us(const struct jwt_access *c, struct str issuer, struct str audience)
{
	if (!str_eq(c->iss, issuer))
		return false;
	for (int i = 0; i < JWT_AUD_MAX && c->aud[i].p != NULL; i++)
		if (str_eq(c->aud[i], audience))
			return true;
	return false;
}

enum err jwt_access_check(const struct jwt_access *claims, struct str issuer, struct str audience,
    int64_t now, int64_t leeway)
{
	return for_us(claims, issuer, audience) && timely(claims, now, leeway) ? OK
	                                                                       : E_UNAUTHENTICATED;
}

static const char *verify(const struct jwt_verifier *v, struct str token, int64_t now,
    struct jwt_access *out)
{
	const struct keyring_entry *key;
	struct jws j;

	if (jws_parse(token, v->scratch, v->cap, &j) != OK)
		return "malformed";
	key = keyring_find(v->keys, j.kid);
	if (key == NULL || (key->not_after != 0 && now >= key->not_after))
		return "unknown_key";
	if (jws_verify(&j, key->key) != OK)
		return "signature";
	if (jwt_access_parse(&j, out) != OK || !for_us(out, v->issuer, v->audience))
		return "claims";
	return timely(out, now, v->leeway) ? NULL : "expired";
}

enum err jwt_access_verify(const struct jwt_verifier *v, struct str token, int64_t now,
    struct jwt_access *out, const char **reason)
{
	const char *why = verify(v, token, now, out);

	if (reason != NULL)
		*reason = why;
	return why == NULL ? OK : E_UNAUTHENTICATED;
}
