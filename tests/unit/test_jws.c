#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gnutls/gnutls.h>
#include <gnutls/crypto.h>

#include "base/buf.h"
#include "base/heap.h"
#include "base/hex.h"
#include "crypto/jws.h"
#include "crypto/jws_key.h"
#include "jws_vectors.h"

/* ---- help ---- */

static enum err key_of(const char *members, struct jws_key **key)
{
	struct fail f = { 0 };
	char text[8192];
	json_t *jwk;
	enum err e;

	snprintf(text, sizeof text, "{%s}", members);
	jwk = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(jwk);
	*key = NULL;
	e = jws_key_from_jwk(jwk, key, &f);
	assert_true((e == OK) == (*key != NULL));
	json_decref(jwk);
	return e;
}

static struct jws_key *good_key(const char *members)
{
	struct jws_key *k;

	assert_int_equal(key_of(members, &k), OK);
	return k;
}

static enum err check(const char *token, size_t n, const struct jws_key *key)
{
	char *scratch = malloc(n + 1); /* exact, so that a sanitizer sees a byte too many */
	struct jws j;
	enum err e = jws_parse(str_n(token, n), scratch, n, &j);

	if (e == OK)
		e = jws_verify(&j, key);
	free(scratch);
	return e;
}

static enum err checkz(const char *token, const struct jws_key *key)
{
	return check(token, strlen(token), key);
}

/* A token with this header and payload, really signed by the key. */
static const char *signed_token(const struct jws_key *key, const char *header, const char *payload)
{
	static struct buf b = { .max = 4 << 20 };

	buf_clear(&b);
	assert_int_equal(jws_sign(key, str_c(header), str_c(payload), &b), OK);
	return buf_cstr(&b);
}

/* header.payload.sig with the parts base64url-encoded here. */
static const char *raw_token(const char *header, const void *sig, size_t n)
{
	static char t[8192];
	size_t k = b64u_encode(header, strlen(header), t);

	k += (size_t)snprintf(t + k, sizeof t - k, ".%s.", RFC7515_PAYLOAD);
	t[k + b64u_encode(sig, n, t + k)] = '\0';
	return t;
}

/* ---- published vectors ---- */

static void published_tokens_verify(void **state)
{
	static const struct {
		const char *key, *token;
		enum jws_alg alg;
	} v[] = {
		{ A2_PUBLIC, A2_TOKEN, JWS_RS256 },
		{ A3_PUBLIC, A3_TOKEN, JWS_ES256 },
		{ R8037_PUBLIC, R8037_TOKEN, JWS_EDDSA },
	};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct jws_key *k = good_key(v[i].key);

		assert_int_equal(jws_key_alg(k), v[i].alg);
		assert_int_equal(checkz(v[i].token, k), OK);
		jws_key_free(k);
	}
}

static void deterministic_signatures_are_the_published_ones(void **state)
{
	struct jws_key *rsa = good_key(A2_PUBLIC "," A2_PRIVATE);
	struct jws_key *ed = good_key(R8037_PUBLIC "," R8037_PRIVATE);

	(void)state;
	assert_string_equal(signed_token(rsa, "{\"alg\":\"RS256\"}", RFC7515_PAYLOAD_TEXT), A2_TOKEN);
	assert_string_equal(signed_token(ed, "{\"alg\":\"EdDSA\"}", "Example of Ed25519 signing"),
	    R8037_TOKEN);
	jws_key_free(rsa);
	jws_key_free(ed);
}

static void thumbprints_are_the_published_ones(void **state)
{
	struct jws_key *a = good_key(R7638_PUBLIC), *b = good_key(R8037_PUBLIC);
	char t[44];

	(void)state;
	jws_key_thumbprint(a, t);
	assert_string_equal(t, R7638_THUMBPRINT);
	jws_key_thumbprint(b, t);
	assert_string_equal(t, R8037_THUMBPRINT);
	jws_key_free(a);
	jws_key_free(b);
}

/* ---- keys ---- */

static void failed_allocations_leave_nothing_behind(void **state)
{
	static const char *const keys[] = { A2_PUBLIC "," A2_PRIVATE, A3_PUBLIC "," A3_PRIVATE,
		R8037_PUBLIC "," R8037_PRIVATE };

	(void)state;
	for (int i = 0; i < 3; i++) {
		bool failed = true;

		for (long n = 1; failed; n++) {
			struct jws_key *k;
			enum err e;

			assert_true(n < 50);
			heap_fail_after(n);
			e = key_of(keys[i], &k);
			failed = heap_fail_after(0);
			assert_int_equal(e, failed ? E_NOMEM : OK);
			jws_key_free(k);
		}
	}
}

static void generated_key_signs_and_survives_storage(void **state)
{
	struct jws_key *k = NULL, *again = NULL;
	char t1[44], t2[44];
	unsigned char d[32];
	struct fail f = { 0 };

	(void)state;
	assert_int_equal(jws_key_generate(&k, &f), OK);
	assert_int_equal(jws_key_private(k, d), OK);
	assert_int_equal(jws_key_from_private(d, &again, &f), OK);
	jws_key_thumbprint(k, t1);
	jws_key_thumbprint(again, t2);
	assert_string_equal(t1, t2);
	assert_int_equal(checkz(signed_token(again, "{\"alg\":\"ES256\"}", "{}"), k), OK);
	jws_key_free(k);
	jws_key_free(again);
}

static void many_signatures_verify_and_are_64_bytes(void **state)
{
	struct jws_key *k = NULL;
	struct fail f = { 0 };
	char payload[32];

	(void)state;
	assert_int_equal(jws_key_generate(&k, &f), OK);
	for (int i = 0; i < 600; i++) { /* enough for leading zero bytes in r and s */
		const char *t;

		snprintf(payload, sizeof payload, "{\"n\":%d}", i);
		t = signed_token(k, "{\"alg\":\"ES256\"}", payload);
		assert_int_equal(strlen(strrchr(t, '.') + 1), B64U_LEN(64));
		assert_int_equal(checkz(t, k), OK);
	}
	jws_key_free(k);
}

static void written_jwk_is_public_and_reads_back(void **state)
{
	static const char *const keys[] = { A2_PUBLIC "," A2_PRIVATE, A3_PUBLIC "," A3_PRIVATE,
		R8037_PUBLIC "," R8037_PRIVATE, A2_PUBLIC ",\"alg\":\"PS256\"" };

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		struct jws_key *k = good_key(keys[i]), *back = NULL;
		struct fail f = { 0 };
		char t1[44], t2[44];
		struct buf b;
		json_t *jwk;

		buf_init(&b, 8192);
		jws_key_write_jwk(k, STR("the \"kid\""), &b);
		jwk = json_loadb(b.p, b.n, JSON_REJECT_DUPLICATES, NULL);
		assert_non_null(jwk);
		assert_string_equal(json_string_value(json_object_get(jwk, "kid")), "the \"kid\"");
		assert_string_equal(json_string_value(json_object_get(jwk, "use")), "sig");
		assert_null(json_object_get(jwk, "d"));
		assert_null(json_object_get(jwk, "p"));
		assert_int_equal(jws_key_from_jwk(jwk, &back, &f), OK);
		assert_int_equal(jws_key_alg(back), jws_key_alg(k));
		jws_key_thumbprint(k, t1);
		jws_key_thumbprint(back, t2);
		assert_string_equal(t1, t2);
		json_decref(jwk);
		buf_release(&b);
		jws_key_free(back);
		jws_key_free(k);
	}
}

static void bad_keys_are_refused(void **state)
{
#define X "\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
#define Y "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\""
#define EC "\"kty\":\"EC\",\"crv\":\"P-256\","
#define ZERO "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	static const char *const bad[] = {
		"",
		"\"kty\":\"oct\",\"k\":\"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr8\"",
		"\"kty\":1,\"crv\":\"P-256\"," X Y,
		"\"kty\":\"EC\",\"crv\":\"P-384\"," X Y,
		"\"kty\":\"EC\",\"crv\":\"secp256k1\"," X Y,
		"\"kty\":\"EC\"," X Y,
		/* off the curve: last bit of y, x and y swapped, the origin */
		EC X "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a4\"",
		EC "\"y\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
		   "\"x\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"",
		EC "\"x\":\"" ZERO "\",\"y\":\"" ZERO "\"",
		/* x not below p: p itself */
		EC "\"x\":\"_____wAAAAEAAAAAAAAAAAAAAAD_______________8\"," Y,
		/* short, long, padded, missing, not text */
		EC "\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVA\"," Y,
		EC "\"x\":\"AH_Nzidw9sRdQYPL7m_bS3tYBzM1e-nvE7rPbjx70VRF\"," Y,
		EC "\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU=\"," Y,
		EC X "\"z\":0", EC X "\"y\":null",
		/* another's private part, zero, the order */
		EC X Y ",\"d\":\"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LM\"",
		EC X Y ",\"d\":\"" ZERO "\"",
		EC X Y ",\"d\":\"_____wAAAAD__________7zm-q2nF56E87nKwvxjJVE\"",
		EC X Y ",\"d\":5",
		/* not for signatures, or for others */
		EC X Y ",\"use\":\"enc\"", EC X Y ",\"use\":1", EC X Y ",\"key_ops\":[\"encrypt\"]",
		EC X Y ",\"alg\":\"ES384\"", EC X Y ",\"alg\":\"RS256\"", EC X Y ",\"alg\":\"none\"",
		EC X Y ",\"alg\":null", EC X Y ",\"alg\":\"es256\"",
		A2_PUBLIC ",\"alg\":\"HS256\"", A2_PUBLIC ",\"alg\":\"RS512\"",
		/* RSA: even e, e of 1, with a leading zero, of 33 bits, empty, no text; short and even n */
		RSA_N ",\"e\":\"AQAC\"", RSA_N ",\"e\":\"AQ\"", RSA_N ",\"e\":\"AAEAAQ\"",
		RSA_N ",\"e\":\"AQAAAAE\"", RSA_N ",\"e\":\"\"", RSA_N ",\"e\":65537",
		RSA_1024 ",\"e\":\"AQAB\"", RSA_2047 ",\"e\":\"AQAB\"", RSA_EVEN ",\"e\":\"AQAB\"",
		"\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\"\"", "\"kty\":\"RSA\",\"e\":\"AQAB\"",
		/* Ed25519: of small order (two encodings), other curves, wrong length */
		"\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"",
		"\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"" ZERO "\"",
		/* another's private part */
		R8037_PUBLIC ",\"d\":\"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2E\"",
		R7638_PUBLIC "," A2_PRIVATE,
		"\"kty\":\"OKP\",\"crv\":\"Ed448\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"",
		"\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"",
		"\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcH\"",
	};
	struct fail f = { 0 };
	struct jws_key *k;
	unsigned char d[32] = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (key_of(bad[i], &k) != E_INVALID_FIELD)
			fail_msg("taken: %s", bad[i]);
	assert_int_equal(jws_key_from_private(d, &k, &f), E_INVALID_FIELD);
	memset(d, 0xff, sizeof d);
	assert_int_equal(jws_key_from_private(d, &k, &f), E_INVALID_FIELD);
}

/* ---- attacks on the token ---- */

static void every_edited_character_is_refused(void **state)
{
	struct jws_key *k = good_key(A3_PUBLIC);
	char t[] = A3_TOKEN;

	(void)state;
	for (size_t i = 0; i < sizeof t - 1; i++) {
		char old = t[i];

		for (const char *c = "A_x.=+/ \n"; *c != '\0'; c++) {
			if (*c == old)
				continue;
			t[i] = *c;
			if (check(t, sizeof t - 1, k) != E_UNAUTHENTICATED)
				fail_msg("position %zu, '%c'", i, *c);
		}
		t[i] = old;
	}
	for (size_t n = 0; n < sizeof t - 1; n++)
		assert_int_equal(check(t, n, k), E_UNAUTHENTICATED);
	assert_int_equal(check(t, sizeof t - 1, k), OK);
	assert_int_equal(check(t, sizeof t, k), E_UNAUTHENTICATED); /* with its NUL */
	jws_key_free(k);
}

static void other_shapes_are_refused(void **state)
{
	struct jws_key *k = good_key(A3_PUBLIC);
	static const char *const bad[] = { "", ".", "..", "...", "a", "a.b", "a.b.c", "....",
		A3_TOKEN ".", A3_TOKEN ".AAAA", "." A3_TOKEN, A3_TOKEN "A", A3_TOKEN "=", A3_TOKEN "==",
		A3_TOKEN " ", " " A3_TOKEN, A3_TOKEN "\n", A3_TOKEN "\r\nx-tenant-id: a", "Bearer " A3_TOKEN,
		/* a JWE has five parts */
		"eyJhbGciOiJkaXIifQ..AAAA.AAAA.AAAA",
		/* JSON serialisation */
		"{\"payload\":\"" RFC7515_PAYLOAD "\",\"signatures\":[]}" };

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (checkz(bad[i], k) != E_UNAUTHENTICATED)
			fail_msg("taken: %s", bad[i]);
	jws_key_free(k);
}

static void non_canonical_base64url_is_refused(void **state)
{
	struct jws_key *k = good_key(A3_PUBLIC);
	char t[] = A3_TOKEN;
	size_t last = sizeof t - 2;

	(void)state;
	/* 64 bytes end in a character of which four bits are unused: Q, R .. f decode alike */
	assert_int_equal(t[last], 'Q');
	for (char c = 'R'; c <= 'Z'; c++) {
		t[last] = c;
		assert_int_equal(checkz(t, k), E_UNAUTHENTICATED);
	}
	jws_key_free(k);
}

static void alg_none_is_refused_in_every_spelling(void **state)
{
	static const char *const alg[] = { "none", "None", "NONE", "nOnE", "none ", " none", "", "null",
		"n\\u006fne", "HS256", "hs256", "RS256", "es256", "ES256 ", "ES384", "ES256K", "EdDSA" };
	struct jws_key *k = good_key(A3_PUBLIC "," A3_PRIVATE);
	char header[128], token[512];

	(void)state;
	for (size_t i = 0; i < sizeof alg / sizeof *alg; i++) {
		snprintf(header, sizeof header, "{\"alg\":\"%s\"}", alg[i]);
		/* without a signature, with an empty one, with one that is right */
		snprintf(token, sizeof token, "%s", raw_token(header, "", 0));
		assert_int_equal(checkz(token, k), E_UNAUTHENTICATED);
		token[strlen(token) - 1] = '\0';
		assert_int_equal(checkz(token, k), E_UNAUTHENTICATED);
		assert_int_equal(checkz(signed_token(k, header, "{}"), k), E_UNAUTHENTICATED);
	}
	jws_key_free(k);
}

static void hmac_with_the_public_key_is_refused(void **state)
{
	struct jws_key *keys[] = { good_key(A2_PUBLIC), good_key(A3_PUBLIC), good_key(R8037_PUBLIC) };
	static const char *const secrets[] = { "{" A2_PUBLIC "}", "{" A3_PUBLIC "}", "" };
	char input[1024];
	unsigned char mac[32];
	struct buf jwk;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct str secret = str_c(secrets[i]);

		buf_init(&jwk, 4096);
		jws_key_write_jwk(keys[i], STR("k"), &jwk);
		for (int own = 0; own < 2; own++) {
			size_t n = b64u_encode("{\"alg\":\"HS256\"}", 15, input);

			if (own)
				secret = buf_str(&jwk);
			n += (size_t)snprintf(input + n, sizeof input - n, ".%s", RFC7515_PAYLOAD);
			gnutls_hmac_fast(GNUTLS_MAC_SHA256, secret.p, secret.n, input, n, mac);
			assert_int_equal(checkz(raw_token("{\"alg\":\"HS256\"}", mac, 32), keys[i]),
			    E_UNAUTHENTICATED);
		}
		buf_release(&jwk);
		jws_key_free(keys[i]);
	}
}

static void headers_that_bring_keys_or_extensions_are_refused(void **state)
{
	static const char *const extra[] = {
		"\"jku\":\"https://evil.example/jwks\"", "\"x5u\":\"https://evil.example/cert\"",
		"\"jwk\":{" A3_PUBLIC "}", "\"jwk\":null", "\"x5c\":[\"MIIB\"]", "\"crit\":[\"exp\"]",
		"\"crit\":[]", "\"crit\":[\"b64\"],\"b64\":false", "\"b64\":true", "\"zip\":\"DEF\"",
		"\"\\u006aku\":\"https://evil.example/jwks\"",
		/* the same member twice, also when one is spelled with an escape or not known to us */
		"\"alg\":\"ES256\"", "\"\\u0061lg\":\"ES256\"", "\"alg\":\"none\"",
		"\"kid\":\"a\",\"kid\":\"a\"", "\"typ\":\"JWT\",\"typ\":\"at+jwt\"",
		"\"foo\":1,\"foo\":1", "\"foo\":1,\"f\\u006fo\":1",
		/* of the wrong type */
		"\"kid\":1", "\"kid\":null", "\"kid\":[\"a\"]", "\"typ\":{}", "\"typ\":true",
		/* not JSON */
		"\"a\":01", "\"a\":+1", "\"a\":.5", "\"a\":1.", "\"a\":1e", "\"a\":NaN", "\"a\":tru",
		"\"a\":\"\\x\"", "\"a\":\"\t\"", "\"a\":\"\\u0000\"", "\"a\":\"\\ud800\"", "\"a\":\"\xff\"",
		"\"a\":\"\xc0\x80\"", "\"a\":\"\\udc00\\ud800\"", "\"a\"", "\"a\":", "a:1", "'a':1", ",",
		"\"a\":1,", "\"a\":{\"b\":1", "\"a\":[1 2]", "\"a\":[1,]", "\"a\":1}{", "\"a\":/**/1",
	};
	struct jws_key *k = good_key(A3_PUBLIC "," A3_PRIVATE);
	char header[1024];

	(void)state;
	for (size_t i = 0; i < sizeof extra / sizeof *extra; i++) {
		snprintf(header, sizeof header, "{\"alg\":\"ES256\",%s}", extra[i]);
		if (checkz(signed_token(k, header, "{}"), k) != E_UNAUTHENTICATED)
			fail_msg("taken: %s", header);
	}
	jws_key_free(k);
}

static void odd_but_right_headers_are_read(void **state)
{
	struct jws_key *k = good_key(A3_PUBLIC "," A3_PRIVATE);
	const char *t = signed_token(k, " { \"typ\" : \"at\\/jwt\" ,\r\n\t\"kid\":\"\\u00e9\\ud83d\\ude00\","
	    "\"x5t\":\"abc\",\"n\":[-1.5e+3,{\"alg\":\"none\"},true,null,[]], \"al\\u0067\":\"ES256\"} ",
	    "{}");
	char scratch[1024];
	struct jws j;

	(void)state;
	assert_int_equal(jws_parse(str_c(t), scratch, sizeof scratch, &j), OK);
	assert_true(str_eqc(j.typ, "at/jwt"));
	assert_true(str_eqc(j.kid, "\xc3\xa9\xf0\x9f\x98\x80"));
	assert_true(str_eqc(j.alg, "ES256"));
	assert_true(str_eqc(j.payload, "{}"));
	assert_int_equal(jws_verify(&j, k), OK);
	jws_key_free(k);
}

static void deep_nesting_is_refused(void **state)
{
	struct jws_key *k = good_key(A3_PUBLIC "," A3_PRIVATE);
	char header[8192];

	(void)state;
	for (int depth = 1; depth <= 4000; depth = depth < 40 ? depth + 1 : depth * 4) {
		size_t n = (size_t)snprintf(header, sizeof header, "{\"alg\":\"ES256\",\"a\":");
		enum err want = depth < 32 ? OK : E_UNAUTHENTICATED;

		memset(header + n, '[', (size_t)depth);
		memset(header + n + depth, ']', (size_t)depth);
		strcpy(header + n + 2 * depth, "}");
		assert_int_equal(checkz(signed_token(k, header, "{}"), k), want);
	}
	jws_key_free(k);
}

static void r_and_s_out_of_range_are_refused(void **state)
{
	static const unsigned char n[32] = { 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff,
		0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca,
		0xc2, 0xfc, 0x63, 0x25, 0x51 };
	struct jws_key *k = good_key(A3_PUBLIC);
	unsigned char good[64], v[5][32], sig[64];
	size_t len;

	(void)state;
	assert_true(b64u_decode(str_c(strrchr(A3_TOKEN, '.') + 1), good, 64, &len));
	memset(v, 0, sizeof v);
	v[1][31] = 1;
	memcpy(v[2], n, 32);
	memset(v[3], 0xff, 32);
	memcpy(v[4], n, 32);
	v[4][31]++;
	for (int i = 0; i < 6; i++) {
		for (int j = 0; j < 6; j++) {
			memcpy(sig, i < 5 ? v[i] : good, 32);
			memcpy(sig + 32, j < 5 ? v[j] : good + 32, 32);
			assert_int_equal(checkz(raw_token("{\"alg\":\"ES256\"}", sig, 64), k),
			    i == 5 && j == 5 ? OK : E_UNAUTHENTICATED);
		}
	}
	jws_key_free(k);
}

static void signature_of_another_form_is_refused(void **state)
{
	struct jws_key *k = good_key(A3_PUBLIC);
	unsigned char good[64], der[80] = { 0x30, 0x46, 0x02, 0x21, 0 }, longer[132] = { 0 };
	size_t len, n = 4;

	(void)state;
	assert_true(b64u_decode(str_c(strrchr(A3_TOKEN, '.') + 1), good, 64, &len));
	/* DER of the right signature: r is positive as it is (0x0e..), s needs a zero byte (0xc5..) */
	der[3] = 0x20;
	memcpy(der + n, good, 32);
	n += 32;
	der[n++] = 0x02;
	der[n++] = 0x21;
	der[n++] = 0;
	memcpy(der + n, good + 32, 32);
	n += 32;
	der[1] = (unsigned char)(n - 2);
	assert_int_equal(checkz(raw_token("{\"alg\":\"ES256\"}", der, n), k), E_UNAUTHENTICATED);
	assert_int_equal(checkz(raw_token("{\"alg\":\"ES256\"}", good, 63), k), E_UNAUTHENTICATED);
	/* r and s padded to 66 bytes each */
	memcpy(longer + 34, good, 32);
	memcpy(longer + 100, good + 32, 32);
	assert_int_equal(checkz(raw_token("{\"alg\":\"ES256\"}", longer, 132), k), E_UNAUTHENTICATED);
	assert_int_equal(checkz(raw_token("{\"alg\":\"ES256\"}", good, 64), k), OK);
	jws_key_free(k);
}

static void key_of_another_algorithm_is_refused(void **state)
{
	struct jws_key *rs = good_key(A2_PUBLIC "," A2_PRIVATE);
	struct jws_key *ps = good_key(A2_PUBLIC "," A2_PRIVATE ",\"alg\":\"PS256\"");
	struct jws_key *es = good_key(A3_PUBLIC), *ed = good_key(R8037_PUBLIC);
	char t[1024];

	(void)state;
	snprintf(t, sizeof t, "%s", signed_token(ps, "{\"alg\":\"PS256\"}", "{}"));
	assert_int_equal(checkz(t, ps), OK);
	assert_int_equal(checkz(t, rs), E_UNAUTHENTICATED);
	assert_int_equal(checkz(A2_TOKEN, ps), E_UNAUTHENTICATED);
	assert_int_equal(checkz(A2_TOKEN, es), E_UNAUTHENTICATED);
	assert_int_equal(checkz(A3_TOKEN, ed), E_UNAUTHENTICATED);
	assert_int_equal(checkz(R8037_TOKEN, es), E_UNAUTHENTICATED);
	/* the header says what the key is, the signature is of another algorithm */
	snprintf(t, sizeof t, "%s", signed_token(ps, "{\"alg\":\"RS256\"}", "{}"));
	assert_int_equal(checkz(t, rs), E_UNAUTHENTICATED);
	jws_key_free(rs);
	jws_key_free(ps);
	jws_key_free(es);
	jws_key_free(ed);
}

static void long_tokens_are_refused_without_work(void **state)
{
	struct jws_key *k = good_key(A3_PUBLIC "," A3_PRIVATE);
	char *payload = malloc(1 << 20), *scratch = malloc(2 << 20);
	struct jws j;
	const char *t;

	(void)state;
	memset(payload, ' ', 1 << 20);
	payload[(1 << 20) - 1] = '\0';
	t = signed_token(k, "{\"alg\":\"ES256\"}", payload);
	assert_int_equal(jws_parse(str_c(t), scratch, 2 << 20, &j), E_UNAUTHENTICATED);
	payload[12000] = '\0';
	t = signed_token(k, "{\"alg\":\"ES256\"}", payload);
	assert_int_equal(jws_parse(str_c(t), scratch, 2 << 20, &j), OK);
	payload[12000] = ' ';
	payload[12500] = '\0';
	t = signed_token(k, "{\"alg\":\"ES256\"}", payload);
	assert_int_equal(jws_parse(str_c(t), scratch, 2 << 20, &j), E_UNAUTHENTICATED);
	/* nor is a token without a signature parsed, whatever would verify it */
	assert_int_equal(jws_parse(STR("eyJhbGciOiJFUzI1NiJ9.e30."), scratch, 100, &j), E_UNAUTHENTICATED);
	assert_int_equal(jws_parse(STR("eyJhbGciOiJFUzI1NiJ9.e30.AA"), scratch, 100, &j), OK);
	/* too little scratch is refused as well, never overrun */
	assert_int_equal(jws_parse(str_c(A3_TOKEN), scratch, 20, &j), E_UNAUTHENTICATED);
	free(payload);
	free(scratch);
	jws_key_free(k);
}

static void public_key_does_not_sign(void **state)
{
	struct jws_key *k = good_key(A3_PUBLIC);
	unsigned char d[32];
	struct buf b;

	(void)state;
	buf_init(&b, 4096);
	assert_int_equal(buf_addz(&b, "before"), OK);
	assert_int_equal(jws_sign(k, STR("{}"), STR("{}"), &b), E_INTERNAL);
	assert_true(str_eqc(buf_str(&b), "before"));
	assert_int_equal(jws_key_private(k, d), E_INVALID_FIELD);
	buf_release(&b);
	jws_key_free(k);
}

/* Keys are shared by all threads: several sign and verify with one at once. */
static void *sign_and_verify(void *key)
{
	struct buf b;
	bool ok = true;

	buf_init(&b, 4096);
	for (int i = 0; ok && i < 40; i++) {
		buf_clear(&b);
		ok = jws_sign(key, STR("{\"alg\":\"ES256\"}"), STR("{}"), &b) == OK &&
		    check(b.p, b.n, key) == OK && check(A3_TOKEN, sizeof A3_TOKEN - 1, key) == OK;
	}
	buf_release(&b);
	return ok ? key : NULL;
}

static void threads_share_a_key(void **state)
{
	struct jws_key *k = good_key(A3_PUBLIC "," A3_PRIVATE);
	pthread_t t[4];

	(void)state;
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&t[i], NULL, sign_and_verify, k), 0);
	for (int i = 0; i < 4; i++) {
		void *result = NULL;

		assert_int_equal(pthread_join(t[i], &result), 0);
		assert_ptr_equal(result, k);
	}
	jws_key_free(k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(published_tokens_verify),
		cmocka_unit_test(deterministic_signatures_are_the_published_ones),
		cmocka_unit_test(thumbprints_are_the_published_ones),
		cmocka_unit_test(failed_allocations_leave_nothing_behind),
		cmocka_unit_test(generated_key_signs_and_survives_storage),
		cmocka_unit_test(many_signatures_verify_and_are_64_bytes),
		cmocka_unit_test(written_jwk_is_public_and_reads_back),
		cmocka_unit_test(bad_keys_are_refused),
		cmocka_unit_test(every_edited_character_is_refused),
		cmocka_unit_test(other_shapes_are_refused),
		cmocka_unit_test(non_canonical_base64url_is_refused),
		cmocka_unit_test(alg_none_is_refused_in_every_spelling),
		cmocka_unit_test(hmac_with_the_public_key_is_refused),
		cmocka_unit_test(headers_that_bring_keys_or_extensions_are_refused),
		cmocka_unit_test(odd_but_right_headers_are_read),
		cmocka_unit_test(deep_nesting_is_refused),
		cmocka_unit_test(r_and_s_out_of_range_are_refused),
		cmocka_unit_test(signature_of_another_form_is_refused),
		cmocka_unit_test(key_of_another_algorithm_is_refused),
		cmocka_unit_test(long_tokens_are_refused_without_work),
		cmocka_unit_test(public_key_does_not_sign),
		cmocka_unit_test(threads_share_a_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
