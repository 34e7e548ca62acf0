#include "crypto/jws.h"

#include <string.h>

#include <gnutls/crypto.h>

#include "base/hex.h"
#include "base/jsonr.h"
#include "crypto/jws_key.h"

enum { TOKEN_MAX = 16 * 1024, DER_MAX = 2 + 2 * (2 + 33) };

static const struct {
	const char *name;
	gnutls_sign_algorithm_t sign;
} algs[] = {
	[JWS_ES256] = { "ES256", GNUTLS_SIGN_ECDSA_SHA256 },
	[JWS_RS256] = { "RS256", GNUTLS_SIGN_RSA_SHA256 },
	[JWS_PS256] = { "PS256", GNUTLS_SIGN_RSA_PSS_RSAE_SHA256 },
	[JWS_EDDSA] = { "EdDSA", GNUTLS_SIGN_EDDSA_ED25519 },
};

enum jws_alg jws_alg_of(struct str name)
{
	for (size_t i = JWS_ES256; i < sizeof algs / sizeof *algs; i++)
		if (str_eqc(name, algs[i].name))
			return (enum jws_alg)i;
	return JWS_NO_ALG;
}

const char *jws_alg_name(enum jws_alg alg)
{
	return algs[alg].name;
}

/* ---- taking a token apart ---- */

/* Header members that matter. Those that name or bring a key, and extensions that must be
 * understood, end the parse: no key but ours is ever used, and no extension is known. */
static const struct {
	struct str name;
	enum { REFUSED, ALG, KID, TYP } what;
} members[] = {
	{ STR("alg"), ALG }, { STR("kid"), KID }, { STR("typ"), TYP },
	{ STR("crit"), REFUSED }, { STR("b64"), REFUSED }, { STR("jku"), REFUSED },
	{ STR("jwk"), REFUSED }, { STR("x5u"), REFUSED }, { STR("x5c"), REFUSED },
	{ STR("zip"), REFUSED }, { STR("enc"), REFUSED },
};

static bool header_member(struct jsonr *r, struct str name, struct jws *out)
{
	for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
		if (!str_eq(name, members[i].name))
			continue;
		switch (members[i].what) {
		case REFUSED: return false;
		case ALG: return jsonr_str(r, &out->alg);
		case KID: return jsonr_str(r, &out->kid);
		case TYP: return jsonr_str(r, &out->typ);
		}
	}
	return jsonr_skip(r);
}

static bool parse_header(char *text, size_t n, struct jws *out)
{
	struct jsonr r = jsonr_on(text, n);
	struct jsonr_names seen;
	struct str name;

	seen.n = 0;
	if (!jsonr_obj(&r))
		return false;
	while (jsonr_member(&r, &name))
		if (!jsonr_names_add(&seen, name) || !header_member(&r, name, out))
			return false;
	return jsonr_done(&r) && out->alg.n > 0;
}

enum err jws_parse(struct str token, char *scratch, size_t cap, struct jws *out)
{
	struct str rest, header, payload;
	size_t hn, pn;

	out->alg = out->kid = out->typ = out->payload = STR_NONE;
	out->sig_len = 0;
	if (token.n > TOKEN_MAX || token.n > cap)
		return E_UNAUTHENTICATED;
	header = str_cut(token, '.', &rest);
	payload = str_cut(rest, '.', &rest);
	/* a fourth part fails here: the dot is not base64url */
	if (!b64u_decode(rest, out->sig, sizeof out->sig, &out->sig_len) || out->sig_len == 0 ||
	    !b64u_decode(header, scratch, cap, &hn) ||
	    !b64u_decode(payload, scratch + hn, cap - hn, &pn) || !parse_header(scratch, hn, out))
		return E_UNAUTHENTICATED;
	out->signing_input = str_n(token.p, header.n + 1 + payload.n);
	out->payload = str_n(scratch + hn, pn);
	return OK;
}

/* ---- signatures ---- */

static gnutls_datum_t datum(const void *p, size_t n)
{
	return (gnutls_datum_t){ (unsigned char *)(uintptr_t)p, (unsigned)n };
}

/* The DER INTEGER of 32 big-endian bytes; returns its length. */
static size_t der_integer(const unsigned char v[32], unsigned char *out)
{
	size_t skip = 0, pad;

	while (skip < 31 && v[skip] == 0)
		skip++;
	pad = v[skip] >> 7; /* a zero byte keeps it positive */
	out[0] = 0x02;
	out[1] = (unsigned char)(pad + 32 - skip);
	out[2] = 0;
	memcpy(out + 2 + pad, v + skip, 32 - skip);
	return 2 + pad + 32 - skip;
}

/* r || s as GnuTLS wants it: Ecdsa-Sig-Value (RFC 3279, 2.2.3). */
static size_t der_signature(const unsigned char rs[64], unsigned char out[DER_MAX])
{
	size_t n = der_integer(rs, out + 2);

	n += der_integer(rs + 32, out + 2 + n);
	out[0] = 0x30;
	out[1] = (unsigned char)n;
	return 2 + n;
}

enum err jws_verify(const struct jws *j, const struct jws_key *key)
{
	gnutls_datum_t data = datum(j->signing_input.p, j->signing_input.n);
	gnutls_datum_t sig = datum(j->sig, j->sig_len);
	unsigned char der[DER_MAX];

	if (!str_eqc(j->alg, algs[key->alg].name) || j->sig_len != key->sig_len)
		return E_UNAUTHENTICATED;
	if (key->alg == JWS_ES256)
		sig = datum(der, der_signature(j->sig, der));
	return gnutls_pubkey_verify_data2(key->pub, algs[key->alg].sign, 0, &data, &sig) >= 0
	    ? OK : E_UNAUTHENTICATED;
}

/* An INTEGER as GnuTLS returns it, right-aligned in 32 bytes. */
static bool align32(const gnutls_datum_t *v, unsigned char out[32])
{
	const unsigned char *p = v->data;
	size_t n = v->size;

	for (; n > 32 && *p == 0; n--)
		p++;
	if (n > 32)
		return false;
	memset(out, 0, 32 - n);
	memcpy(out + 32 - n, p, n);
	return true;
}

static bool raw_signature(const gnutls_datum_t *der, unsigned char out[64])
{
	gnutls_datum_t r = { NULL, 0 }, s = { NULL, 0 };
	bool ok = gnutls_decode_rs_value(der, &r, &s) >= 0 && align32(&r, out) && align32(&s, out + 32);

	gnutls_free(r.data);
	gnutls_free(s.data);
	return ok;
}

static enum err sign(const struct jws_key *key, struct str input, unsigned char sig[1024])
{
	gnutls_datum_t data = datum(input.p, input.n), out = { NULL, 0 };
	bool ok;

	if (key->priv == NULL ||
	    gnutls_privkey_sign_data2(key->priv, algs[key->alg].sign, 0, &data, &out) < 0)
		return E_INTERNAL;
	if (key->alg == JWS_ES256) {
		ok = raw_signature(&out, sig);
	} else {
		ok = out.size == key->sig_len;
		if (ok)
			memcpy(sig, out.data, out.size);
	}
	gnutls_free(out.data);
	return ok ? OK : E_INTERNAL;
}

enum err jws_sign(const struct jws_key *key, struct str header_json, struct str payload_json,
    struct buf *out)
{
	unsigned char sig[1024];
	size_t start = out->n;
	enum err e = buf_reserve(out, B64U_LEN(header_json.n) + B64U_LEN(payload_json.n) + 2 +
	        B64U_LEN(key->sig_len));

	if (e != OK)
		return e;
	out->n += b64u_encode(header_json.p, header_json.n, out->p + out->n);
	out->p[out->n++] = '.';
	out->n += b64u_encode(payload_json.p, payload_json.n, out->p + out->n);
	e = sign(key, str_n(out->p + start, out->n - start), sig);
	if (e != OK) {
		out->n = start;
		return e;
	}
	out->p[out->n++] = '.';
	out->n += b64u_encode(sig, key->sig_len, out->p + out->n);
	return OK;
}
