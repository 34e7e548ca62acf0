/* Keys: made, imported, exported. What is done with them is in jws.c. */
#include "crypto/jws_key.h"

#include <stdio.h>
#include <string.h>

#include <gmp.h>
#include <jansson.h>
#include <nettle/ecc-curve.h>
#include <nettle/ecc.h>
#include <nettle/sha2.h>
#include <sodium.h>

#include "base/heap.h"
#include "base/hex.h"
#include "base/jsonw.h"
#include "base/rnd.h"

enum { RSA_MIN = 2048 / 8, RSA_MAX = 8192 / 8 };

static enum err refuse(struct fail *f, const char *why)
{
	return fail_set(f, E_INVALID_FIELD, "the key is refused: %s", why);
}

static gnutls_datum_t datum(const unsigned char *p, size_t n)
{
	return (gnutls_datum_t){ (unsigned char *)(uintptr_t)p, (unsigned)n };
}

/* ---- the parts of a JWK ---- */

static struct str member(const json_t *jwk, const char *name)
{
	const json_t *v = json_object_get(jwk, name);

	return json_is_string(v) ? str_n(json_string_value(v), json_string_length(v)) : STR_NONE;
}

/* Base64url of exactly n bytes (RFC 7518, 6.2.1.2: coordinates have full length). */
static bool fixed(const json_t *jwk, const char *name, unsigned char *out, size_t n)
{
	size_t got;

	return b64u_decode(member(jwk, name), out, n, &got) && got == n;
}

/* Base64url of a number without leading zero bytes (RFC 7518, 2, Base64urlUInt). */
static bool number(const json_t *jwk, const char *name, unsigned char *out, size_t cap, size_t *n)
{
	return b64u_decode(member(jwk, name), out, cap, n) && *n > 0 && out[0] != 0;
}

/* ---- P-256 ---- */

/* The big-endian 32 bytes of both coordinates. */
static void point_export(const struct ecc_point *p, unsigned char x[32], unsigned char y[32])
{
	unsigned char *const out[2] = { x, y };
	mpz_t c[2];

	mpz_inits(c[0], c[1], NULL);
	ecc_point_get(p, c[0], c[1]);
	for (int i = 0; i < 2; i++) {
		size_t n = (mpz_sizeinbase(c[i], 2) + 7) / 8;

		memset(out[i], 0, 32);
		mpz_export(out[i] + 32 - n, NULL, 1, 1, 0, 0, c[i]);
	}
	mpz_clears(c[0], c[1], NULL);
}

static bool on_curve(const unsigned char x[32], const unsigned char y[32])
{
	struct ecc_point p;
	mpz_t mx, my;
	bool ok;

	mpz_inits(mx, my, NULL);
	mpz_import(mx, 32, 1, 1, 0, 0, x);
	mpz_import(my, 32, 1, 1, 0, 0, y);
	ecc_point_init(&p, nettle_get_secp_256r1());
	ok = ecc_point_set(&p, mx, my) == 1;
	ecc_point_clear(&p);
	mpz_clears(mx, my, NULL);
	return ok;
}

/* d times the generator; false when d is not in [1, n-1]. */
static bool public_of(const unsigned char d[32], unsigned char x[32], unsigned char y[32])
{
	struct ecc_scalar s;
	struct ecc_point p;
	mpz_t m;
	bool ok;

	mpz_init2(m, 256);
	mpz_import(m, 32, 1, 1, 0, 0, d);
	ecc_scalar_init(&s, nettle_get_secp_256r1());
	ecc_point_init(&p, nettle_get_secp_256r1());
	ok = ecc_scalar_set(&s, m) == 1;
	if (ok) {
		ecc_point_mul_g(&p, &s);
		point_export(&p, x, y);
	}
	ecc_point_clear(&p);
	ecc_scalar_clear(&s);
	secret_wipe(mpz_limbs_write(m, (mp_size_t)(32 / sizeof(mp_limb_t))), 32);
	mpz_clear(m);
	return ok;
}

static bool import_ec(struct jws_key *k, const unsigned char x[32], const unsigned char y[32],
    const unsigned char *d)
{
	gnutls_datum_t dx = datum(x, 32), dy = datum(y, 32), dd;

	if (gnutls_pubkey_import_ecc_raw(k->pub, GNUTLS_ECC_CURVE_SECP256R1, &dx, &dy) < 0)
		return false;
	if (d == NULL)
		return true;
	dd = datum(d, 32);
	return secret_set(&k->d, d, 32) == OK && gnutls_privkey_init(&k->priv) >= 0 &&
	    gnutls_privkey_import_ecc_raw(k->priv, GNUTLS_ECC_CURVE_SECP256R1, &dx, &dy, &dd) >= 0;
}

/* ---- what every key has ---- */

/* The required members in lexical order (RFC 7638, 3), and their hash. */
static enum err describe(struct jws_key *k, const char *before, const unsigned char *a, size_t a_n,
    const char *between, const unsigned char *b, size_t b_n, const char *after)
{
	struct sha256_ctx h;
	uint8_t digest[32];
	char text[B64U_LEN(RSA_MAX)];

	(void)buf_addz(&k->members, before);
	(void)buf_add(&k->members, text, b64u_encode(a, a_n, text));
	(void)buf_addz(&k->members, between);
	(void)buf_add(&k->members, text, b64u_encode(b, b_n, text));
	(void)buf_addz(&k->members, after);
	if (k->members.failed)
		return E_NOMEM;
	sha256_init(&h);
	sha256_update(&h, k->members.n, (const uint8_t *)k->members.p);
	sha256_digest(&h, sizeof digest, digest);
	k->thumbprint[b64u_encode(digest, sizeof digest, k->thumbprint)] = '\0';
	return OK;
}

static struct jws_key *new_key(enum jws_alg alg)
{
	struct jws_key *k = heap_zalloc(sizeof *k);

	if (k == NULL)
		return NULL;
	k->alg = alg;
	buf_init(&k->members, 4096);
	if (gnutls_pubkey_init(&k->pub) < 0) {
		heap_free(k);
		return NULL;
	}
	return k;
}

void jws_key_free(struct jws_key *key)
{
	if (key == NULL)
		return;
	gnutls_pubkey_deinit(key->pub);
	if (key->priv != NULL)
		gnutls_privkey_deinit(key->priv);
	secret_release(&key->d);
	buf_release(&key->members);
	heap_free(key);
}

static enum err new_ec(const unsigned char x[32], const unsigned char y[32], const unsigned char *d,
    struct jws_key **key)
{
	struct jws_key *k = new_key(JWS_ES256);

	if (k == NULL)
		return E_NOMEM;
	k->sig_len = 64;
	if (!import_ec(k, x, y, d) ||
	    describe(k, "{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"", x, 32, "\",\"y\":\"", y, 32,
	        "\"}") != OK) {
		jws_key_free(k);
		return E_NOMEM;
	}
	*key = k;
	return OK;
}

enum err jws_key_from_private(const unsigned char d[32], struct jws_key **key, struct fail *f)
{
	unsigned char x[32], y[32];
	enum err e;

	if (!public_of(d, x, y))
		return refuse(f, "the private scalar is out of range");
	e = new_ec(x, y, d, key);
	return e == OK ? OK : fail_set(f, e, "%s", err_info(e)->text);
}

enum err jws_key_generate(struct jws_key **key, struct fail *f)
{
	unsigned char d[32];
	enum err e;

	do { /* a second round has a chance of 2^-32 */
		rnd_bytes(d, sizeof d);
		e = jws_key_from_private(d, key, f);
	} while (e == E_INVALID_FIELD);
	secret_wipe(d, sizeof d);
	return e;
}

/* ---- from a JWK ---- */

static enum err from_ec(const json_t *jwk, struct jws_key **key, struct fail *f)
{
	unsigned char x[32], y[32], d[32], x2[32], y2[32];
	bool priv = json_object_get(jwk, "d") != NULL;
	enum err e;

	if (!str_eqc(member(jwk, "crv"), "P-256"))
		return refuse(f, "crv must be P-256");
	if (!fixed(jwk, "x", x, 32) || !fixed(jwk, "y", y, 32))
		return refuse(f, "x and y must be base64url of 32 bytes");
	if (!on_curve(x, y))
		return refuse(f, "the point is not on the curve");
	if (priv && (!fixed(jwk, "d", d, 32) || !public_of(d, x2, y2) ||
	    memcmp(x, x2, 32) != 0 || memcmp(y, y2, 32) != 0))
		e = refuse(f, "d does not belong to x and y");
	else
		e = new_ec(x, y, priv ? d : NULL, key);
	secret_wipe(d, sizeof d);
	return e;
}

static enum err from_okp(const json_t *jwk, struct jws_key **key, struct fail *f)
{
	unsigned char x[32], d[32];
	bool priv = json_object_get(jwk, "d") != NULL, ok;
	gnutls_datum_t dx = datum(x, 32), dd = datum(d, 32);
	struct jws_key *k;

	if (!str_eqc(member(jwk, "crv"), "Ed25519"))
		return refuse(f, "crv must be Ed25519");
	if (!fixed(jwk, "x", x, 32) || (priv && !fixed(jwk, "d", d, 32)))
		return refuse(f, "x and d must be base64url of 32 bytes");
	if (sodium_init() < 0 || crypto_core_ed25519_is_valid_point(x) != 1)
		return refuse(f, "the point is not on the curve, or of small order");
	k = new_key(JWS_EDDSA);
	if (k == NULL)
		return E_NOMEM;
	k->sig_len = 64;
	ok = gnutls_pubkey_import_ecc_raw(k->pub, GNUTLS_ECC_CURVE_ED25519, &dx, NULL) >= 0;
	if (ok && priv)
		ok = gnutls_privkey_init(&k->priv) >= 0 && gnutls_privkey_import_ecc_raw(k->priv,
		         GNUTLS_ECC_CURVE_ED25519, &dx, NULL, &dd) >= 0;
	secret_wipe(d, sizeof d);
	if (!ok || describe(k, "{\"crv\":\"Ed25519\",\"kty\":\"OKP\",\"x\":\"", x, 32, "", x, 0,
	               "\"}") != OK) {
		jws_key_free(k);
		return ok ? E_NOMEM : refuse(f, "GnuTLS does not take it");
	}
	*key = k;
	return OK;
}

/* d, p, q; the rest follows from them. */
static bool rsa_private(const json_t *jwk, struct jws_key *k, const gnutls_datum_t *n,
    const gnutls_datum_t *e)
{
	static const char *const name[3] = { "d", "p", "q" };
	unsigned char part[3][RSA_MAX];
	gnutls_datum_t m[3];
	size_t len;
	bool ok = gnutls_privkey_init(&k->priv) >= 0;

	for (int i = 0; ok && i < 3; i++) {
		ok = number(jwk, name[i], part[i], RSA_MAX, &len);
		m[i] = datum(part[i], ok ? len : 0);
	}
	ok = ok && gnutls_privkey_import_rsa_raw(k->priv, n, e, &m[0], &m[1], &m[2], NULL, NULL,
	               NULL) >= 0;
	secret_wipe(part, sizeof part);
	return ok;
}

static enum err from_rsa(const json_t *jwk, enum jws_alg alg, struct jws_key **key, struct fail *f)
{
	unsigned char n[RSA_MAX], e[4];
	size_t n_n, e_n;
	gnutls_datum_t dn, de;
	struct jws_key *k;
	bool ok;

	if (!number(jwk, "n", n, sizeof n, &n_n) || n_n < RSA_MIN || (n_n == RSA_MIN && n[0] < 0x80) ||
	    (n[n_n - 1] & 1) == 0)
		return refuse(f, "n must be an odd number of 2048 to 8192 bits");
	if (!number(jwk, "e", e, sizeof e, &e_n) || (e[e_n - 1] & 1) == 0 || (e_n == 1 && e[0] == 1))
		return refuse(f, "e must be an odd number from 3 to 2^32");
	k = new_key(alg);
	if (k == NULL)
		return E_NOMEM;
	dn = datum(n, n_n);
	de = datum(e, e_n);
	k->sig_len = n_n;
	ok = gnutls_pubkey_import_rsa_raw(k->pub, &dn, &de) >= 0 &&
	    (json_object_get(jwk, "d") == NULL || rsa_private(jwk, k, &dn, &de));
	if (!ok || describe(k, "{\"e\":\"", e, e_n, "\",\"kty\":\"RSA\",\"n\":\"", n, n_n, "\"}") != OK) {
		jws_key_free(k);
		return ok ? E_NOMEM : refuse(f, "GnuTLS does not take it");
	}
	*key = k;
	return OK;
}

/* `use` and `key_ops`, when there, allow signatures (RFC 7517, 4.2 and 4.3). */
static bool for_signatures(const json_t *jwk)
{
	const json_t *use = json_object_get(jwk, "use"), *ops = json_object_get(jwk, "key_ops"), *v;
	size_t i;

	if (use != NULL && !str_eqc(member(jwk, "use"), "sig"))
		return false;
	if (ops == NULL)
		return true;
	json_array_foreach(ops, i, v)
		if (json_is_string(v) && (strcmp(json_string_value(v), "verify") == 0 ||
		                             strcmp(json_string_value(v), "sign") == 0))
			return true;
	return false;
}

static enum err from_any(const json_t *jwk, struct jws_key **key, struct fail *f)
{
	struct str kty = member(jwk, "kty"), alg = member(jwk, "alg");
	bool any = json_object_get(jwk, "alg") == NULL;

	if (!for_signatures(jwk))
		return refuse(f, "it is not for signatures (use, key_ops)");
	if (str_eqc(kty, "EC") && (any || str_eqc(alg, "ES256")))
		return from_ec(jwk, key, f);
	if (str_eqc(kty, "OKP") && (any || str_eqc(alg, "EdDSA")))
		return from_okp(jwk, key, f);
	if (str_eqc(kty, "RSA") && (any || str_eqc(alg, "RS256")))
		return from_rsa(jwk, JWS_RS256, key, f);
	if (str_eqc(kty, "RSA") && str_eqc(alg, "PS256"))
		return from_rsa(jwk, JWS_PS256, key, f);
	return refuse(f, "kty and alg must be EC with ES256, RSA with RS256 or PS256, or OKP with EdDSA");
}

/* Whether what the private part signs, the public part verifies: a pair that was put together from
 * two keys would give the private one away (Ed25519) or sign for nobody. */
static enum err prove(const struct jws_key *k, struct fail *f)
{
	char header[32], scratch[2048];
	struct buf token;
	struct jws j;
	enum err e;

	(void)snprintf(header, sizeof header, "{\"alg\":\"%s\"}", jws_alg_name(k->alg));
	buf_init(&token, sizeof scratch);
	e = jws_sign(k, str_c(header), STR("{}"), &token);
	if (e == OK && (jws_parse(buf_str(&token), scratch, sizeof scratch, &j) != OK ||
	                   jws_verify(&j, k) != OK))
		e = E_INTERNAL;
	buf_release(&token);
	return e == E_INTERNAL ? refuse(f, "its private part does not belong to its public part") : e;
}

enum err jws_key_from_jwk(const struct json_t *jwk, struct jws_key **key, struct fail *f)
{
	struct jws_key *k = NULL;
	enum err e = from_any(jwk, &k, f);

	if (e == OK && k->priv != NULL)
		e = prove(k, f);
	if (e == OK)
		*key = k;
	else
		jws_key_free(k);
	return e == E_NOMEM ? fail_set(f, e, "%s", err_info(e)->text) : e;
}

/* ---- out again ---- */

enum err jws_key_private(const struct jws_key *key, unsigned char out[32])
{
	if (key->alg != JWS_ES256 || key->d.n != 32)
		return E_INVALID_FIELD;
	memcpy(out, key->d.p, 32);
	return OK;
}

enum jws_alg jws_key_alg(const struct jws_key *key)
{
	return key->alg;
}

void jws_key_thumbprint(const struct jws_key *key, char out[44])
{
	memcpy(out, key->thumbprint, sizeof key->thumbprint);
}

void jws_key_write_jwk(const struct jws_key *key, struct str kid, struct buf *out)
{
	(void)buf_add(out, key->members.p, key->members.n - 1); /* without its closing brace */
	(void)buf_addz(out, ",\"kid\":");
	jsonw_escape(out, kid);
	(void)buf_printf(out, ",\"alg\":\"%s\",\"use\":\"sig\"}", jws_alg_name(key->alg));
}
