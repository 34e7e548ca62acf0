#include "authn/id_token.h"

#include <nettle/sha2.h>

#include "base/clock.h"
#include "base/hex.h"
#include "base/jsonr.h"
#include "base/secret.h"
#include "crypto/jws.h"
#include "crypto/jwt.h"

#define SUBJECT_MAX 255

/* ---- claims ---------------------------------------------------------------------------------- */

enum claim { NONE, ISS, SUB, AUD, AZP, NONCE, AT_HASH, EMAIL, NAME, EMAIL_VERIFIED, EXP, IAT, NBF };

static const struct {
	struct str name;
	enum claim claim;
} claims[] = {
	{ STR("iss"), ISS }, { STR("sub"), SUB }, { STR("aud"), AUD }, { STR("azp"), AZP },
	{ STR("nonce"), NONCE }, { STR("at_hash"), AT_HASH }, { STR("email"), EMAIL },
	{ STR("name"), NAME }, { STR("email_verified"), EMAIL_VERIFIED }, { STR("exp"), EXP },
	{ STR("iat"), IAT }, { STR("nbf"), NBF },
};

static enum claim claim_of(struct str name)
{
	for (size_t i = 0; i < sizeof claims / sizeof *claims; i++)
		if (str_eq(name, claims[i].name))
			return claims[i].claim;
	return NONE;
}

static bool read_text(struct jsonr *r, struct str *out)
{
	return jsonr_str(r, out) && out->n > 0;
}

static bool read_time(struct jsonr *r, int64_t *out)
{
	return jwt_time_read(r, out) && *out > 0;
}

static bool read_aud(struct jsonr *r, struct str *aud)
{
	if (jsonr_peek(r) == '"')
		return read_text(r, aud);
	return jsonr_arr(r) && jsonr_elem(r) && read_text(r, aud) && !jsonr_elem(r) && !r->failed;
}

/* true alone is true; what some providers write in text is not. */
static bool read_flag(struct jsonr *r, bool *out)
{
	*out = jsonr_peek(r) == 't';
	return jsonr_skip(r);
}

/* Claims that only describe are taken when they are text, and passed over otherwise. */
static bool read_optional(struct jsonr *r, struct str *out)
{
	return jsonr_peek(r) == '"' ? jsonr_str(r, out) : jsonr_skip(r);
}

static bool read_claim(struct jsonr *r, enum claim claim, struct id_token *t)
{
	switch (claim) {
	case ISS: return read_text(r, &t->iss);
	case SUB: return read_text(r, &t->sub);
	case AUD: return read_aud(r, &t->aud);
	case AZP: return read_text(r, &t->azp);
	case NONCE: return read_text(r, &t->nonce);
	case AT_HASH: return read_text(r, &t->at_hash);
	case EMAIL: return read_optional(r, &t->email);
	case NAME: return read_optional(r, &t->name);
	case EMAIL_VERIFIED: return read_flag(r, &t->email_verified);
	case EXP: return read_time(r, &t->exp);
	case IAT: return read_time(r, &t->iat);
	case NBF: return read_time(r, &t->nbf);
	case NONE: break;
	}
	return jsonr_skip(r);
}

static bool complete(const struct id_token *t)
{
	return t->iss.p != NULL && t->sub.p != NULL && t->sub.n <= SUBJECT_MAX && t->aud.p != NULL &&
	    t->exp != 0 && t->iat != 0;
}

enum err id_token_parse(const struct jws *j, struct id_token *out)
{
	/* the scratch that the caller gave to jws_parse: writable, and ours until its next use */
	struct jsonr r = jsonr_on((char *)(uintptr_t)j->payload.p, j->payload.n);
	struct jsonr_names seen;
	struct str name;

	*out = (struct id_token){ .exp = 0 };
	seen.n = 0;
	if ((j->typ.p != NULL && !str_ieq(j->typ, STR("JWT"))) || !jsonr_obj(&r))
		return E_OIDC_INVALID;
	while (jsonr_member(&r, &name))
		if (!jsonr_names_add(&seen, name) || !read_claim(&r, claim_of(name), out))
			return E_OIDC_INVALID;
	return jsonr_done(&r) && complete(out) ? OK : E_OIDC_INVALID;
}

/* ---- whether they hold ----------------------------------------------------------------------- */

/* The left half of the hash that goes with the algorithm (3.1.3.6): SHA-256, but Ed25519 hashes with
 * SHA-512. */
static size_t half_hash(struct str alg, struct str data, unsigned char out[32])
{
	unsigned char digest[SHA512_DIGEST_SIZE];
	struct sha256_ctx s256;
	struct sha512_ctx s512;

	if (str_eq(alg, STR("EdDSA"))) {
		sha512_init(&s512);
		sha512_update(&s512, data.n, (const uint8_t *)data.p);
		sha512_digest(&s512, sizeof digest, digest);
		memcpy(out, digest, 32);
		return 32;
	}
	sha256_init(&s256);
	sha256_update(&s256, data.n, (const uint8_t *)data.p);
	sha256_digest(&s256, SHA256_DIGEST_SIZE, digest);
	memcpy(out, digest, 16);
	return 16;
}

static bool goes_with(const struct id_token *t, struct str alg, struct str access_token)
{
	unsigned char half[32];
	char text[B64U_LEN(32)];
	size_t n;

	if (t->at_hash.p == NULL)
		return true;
	if (access_token.p == NULL)
		return false;
	n = half_hash(alg, access_token, half);
	return secret_eq(t->at_hash, str_n(text, b64u_encode(half, n, text)));
}

const char *id_token_fault(const struct id_token *t, struct str alg, const struct id_token_wanted *w)
{
	int64_t now = w->now / CLOCK_SEC, begun = w->begun_at / CLOCK_SEC;

	if (!str_eq(t->iss, w->issuer))
		return "iss";
	if (!str_eq(t->aud, w->client_id))
		return "aud";
	if (t->azp.p != NULL && !str_eq(t->azp, w->client_id))
		return "azp";
	if (t->nonce.p == NULL || !secret_eq(t->nonce, w->nonce))
		return "nonce";
	if (now >= t->exp + ID_TOKEN_SKEW)
		return "exp";
	if (t->iat > now + ID_TOKEN_SKEW || t->iat < begun - ID_TOKEN_SKEW)
		return "iat";
	if (t->nbf > now + ID_TOKEN_SKEW)
		return "nbf";
	return goes_with(t, alg, w->access_token) ? NULL : "at_hash";
}
