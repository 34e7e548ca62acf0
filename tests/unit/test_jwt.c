#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/heap.h"
#include "crypto/jws.h"
#include "crypto/jwt.h"
#include "crypto/keyring.h"
#include "keyring_fixture.h"

#define NOW INT64_C(1800000000)
#define ISS "https://gw.example"
#define AUD "gateway"
#define SUB "0190a000-0000-7000-8000-000000000001"
#define SID "0190a000-0000-7000-8000-000000000002"
#define JTI "0190a000-0000-7000-8000-000000000003"
#define GOOD \
	"\"iss\":\"" ISS "\",\"aud\":\"" AUD "\",\"sub\":\"" SUB "\",\"sid\":\"" SID "\"," \
	"\"iat\":1800000000,\"exp\":1800000300,\"jti\":\"" JTI "\",\"amr\":[\"pwd\"]," \
	"\"auth_time\":1799999990"

static struct keyring *ring;
static struct jws_key *signer; /* the ring's */
static char kid[44];
static char scratch[16384];

static int setup(void **state)
{
	struct keyring_entry e = keyring_entry_new(KEY_ACTIVE, 0);

	(void)state;
	signer = e.key;
	memcpy(kid, e.kid, sizeof kid);
	assert_int_equal(keyring_new_take(&e, 1, &ring), OK);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	keyring_unref(ring);
	return 0;
}

static struct id id_of(const char *text)
{
	struct id id;

	assert_true(id_parse(str_c(text), &id));
	return id;
}

static struct jwt_access claims(void)
{
	return (struct jwt_access){ .iss = STR(ISS), .aud = { STR(AUD) }, .sub = id_of(SUB),
		.sid = id_of(SID), .jti = id_of(JTI), .iat = NOW, .exp = NOW + 300,
		.auth_time = NOW - 10, .amr = JWT_AMR_PWD };
}

static const char *issue(const struct jwt_access *c)
{
	static struct buf b = { .max = 65536 };

	buf_clear(&b);
	assert_int_equal(jwt_access_issue(ring, c, &b), OK);
	return buf_cstr(&b);
}

/* A token by our key with any header members and any payload. */
static const char *forge_with(const char *typ_and_more, const char *payload)
{
	static struct buf b = { .max = 1 << 20 };
	char header[512];

	buf_clear(&b);
	snprintf(header, sizeof header, "{\"alg\":\"ES256\",\"kid\":\"%s\"%s}", kid, typ_and_more);
	assert_int_equal(jws_sign(signer, str_c(header), str_c(payload), &b), OK);
	return buf_cstr(&b);
}

static const char *forge(const char *payload)
{
	return forge_with(",\"typ\":\"at+jwt\"", payload);
}

static enum err verify_at(const char *token, int64_t now, struct jwt_access *out,
    const char **reason)
{
	struct jwt_verifier v = { .keys = ring, .issuer = STR(ISS), .audience = STR(AUD),
		.leeway = 0, .scratch = scratch, .cap = sizeof scratch };

	return jwt_access_verify(&v, str_c(token), now, out, reason);
}

static void refused(const char *token, const char *why)
{
	const char *reason = NULL;
	struct jwt_access c;

	if (verify_at(token, NOW * CLOCK_SEC, &c, &reason) != E_UNAUTHENTICATED)
		fail_msg("taken: %s", token);
	assert_string_equal(reason, why);
}

/* ---- tests ---- */

static void issued_token_comes_back(void **state)
{
	struct jwt_access c = claims(), got;
	const char *reason = "?";

	(void)state;
	c.amr = JWT_AMR_PWD | JWT_AMR_OTP | JWT_AMR_MFA | JWT_AMR_CERT;
	assert_int_equal(verify_at(issue(&c), NOW * CLOCK_SEC, &got, &reason), OK);
	assert_null(reason);
	assert_true(id_eq(got.sub, c.sub) && id_eq(got.sid, c.sid) && id_eq(got.jti, c.jti));
	assert_int_equal(got.iat, c.iat);
	assert_int_equal(got.exp, c.exp);
	assert_int_equal(got.auth_time, c.auth_time);
	assert_int_equal(got.amr, c.amr);
	assert_true(str_eq(got.iss, c.iss));
	assert_true(str_eqc(got.aud[0], AUD));
	assert_null(got.aud[1].p);
	/* a service account's: no session, several audiences, text that needs escapes */
	c = (struct jwt_access){ .iss = STR(ISS), .aud = { STR("a\"\\\n\xc3\xa9"), STR("b"), STR("c"),
		STR(AUD) }, .sub = id_of(SUB), .jti = id_of(JTI), .iat = NOW, .exp = NOW + 1,
		.amr = JWT_AMR_SECRET };
	assert_int_equal(verify_at(issue(&c), NOW * CLOCK_SEC, &got, NULL), OK);
	assert_true(str_eq(got.aud[0], c.aud[0]));
	assert_true(str_eqc(got.aud[3], AUD));
	assert_true(id_eq(got.sid, (struct id){ { 0 } }));
	assert_int_equal(got.auth_time, 0);
}

static void header_and_claims_are_those_of_the_contract(void **state)
{
	struct jwt_access c = claims();
	struct jws j;
	const char *t = issue(&c);

	(void)state;
	assert_int_equal(jws_parse(str_c(t), scratch, sizeof scratch, &j), OK);
	assert_true(str_eqc(j.payload, "{" GOOD "}"));
	assert_true(str_eqc(j.typ, "at+jwt"));
	assert_true(str_eqc(j.kid, kid));
}

static void keyring_without_a_signer_does_not_issue(void **state)
{
	struct jwt_access c = claims();
	struct keyring *none = NULL;
	struct buf b;

	(void)state;
	buf_init(&b, 8192);
	assert_int_equal(keyring_new_take(NULL, 0, &none), OK);
	assert_int_equal(jwt_access_issue(none, &c, &b), E_NOT_READY);
	assert_int_equal(b.n, 0);
	keyring_unref(none);
	for (long n = 1; n < 10; n++) {
		enum err e;

		heap_fail_after(n);
		buf_release(&b);
		e = jwt_access_issue(ring, &c, &b);
		if (!heap_fail_after(0))
			break;
		assert_int_equal(e, E_NOMEM);
		assert_int_equal(b.n, 0);
	}
	assert_true(b.n > 0);
	buf_release(&b);
}

static void only_the_type_at_jwt_is_an_access_token(void **state)
{
	static const char *const typ[] = { "", ",\"typ\":\"JWT\"", ",\"typ\":\"rt+jwt\"",
		",\"typ\":\"AT+JWT\"", ",\"typ\":\"application/at+jwt\"", ",\"typ\":\"at+jwt \"",
		",\"typ\":\"logout+jwt\"", ",\"typ\":\"\"", ",\"typ\":\"dpop+jwt\"" };

	(void)state;
	for (size_t i = 0; i < sizeof typ / sizeof *typ; i++)
		refused(forge_with(typ[i], "{" GOOD "}"), "claims");
	refused("grt_AZCgAAAAcACAAAAAAAAAAgAAAAAAAAABAAAAAAAAAAAAAAAAAAAAAA", "malformed");
	refused("gwk_0190a000_secret", "malformed");
	assert_int_equal(verify_at(forge("{" GOOD "}"), NOW * CLOCK_SEC, &(struct jwt_access){ .exp = 0 },
	    NULL), OK);
}

static void key_that_is_unknown_revoked_or_past_is_refused(void **state)
{
	struct keyring_entry e[2] = { keyring_entry_new(KEY_ACTIVE, 0), keyring_entry_new(KEY_RETIRED, NOW * CLOCK_SEC + 5) };
	struct keyring *own = ring, *other = NULL;
	struct jwt_access c = claims(), got;
	char token[4096];
	struct buf b;

	(void)state;
	buf_init(&b, 8192);
	assert_int_equal(jws_sign(e[1].key, STR("{\"alg\":\"ES256\",\"typ\":\"at+jwt\"}"),
	    STR("{" GOOD "}"), &b), OK);
	refused(buf_cstr(&b), "unknown_key"); /* no kid at all */
	buf_clear(&b);
	assert_int_equal(buf_printf(&b, "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"%s\"}",
	    e[1].kid), OK);
	snprintf(token, sizeof token, "%s", b.p);
	buf_clear(&b);
	assert_int_equal(jws_sign(e[1].key, str_c(token), STR("{" GOOD "}"), &b), OK);
	refused(buf_cstr(&b), "unknown_key"); /* a kid of another ring */
	snprintf(token, sizeof token, "%s", issue(&c));
	assert_int_equal(keyring_new_take(e, 2, &other), OK);
	ring = other;
	refused(token, "unknown_key");
	assert_int_equal(verify_at(buf_cstr(&b), NOW * CLOCK_SEC + 4, &got, NULL), OK);
	assert_int_equal(verify_at(buf_cstr(&b), NOW * CLOCK_SEC + 5, &got, NULL), E_UNAUTHENTICATED);
	ring = own;
	keyring_unref(other);
	buf_release(&b);
}

static void edited_claims_are_refused(void **state)
{
	struct jwt_access c = claims();
	char token[4096];
	size_t n;

	(void)state;
	snprintf(token, sizeof token, "%s", issue(&c));
	n = strlen(token);
	for (size_t i = (size_t)(strchr(token, '.') - token) + 1; token[i] != '.'; i++) {
		char old = token[i];

		token[i] = old == 'A' ? 'B' : 'A';
		refused(token, "signature");
		token[i] = old;
	}
	assert_int_equal(strlen(token), n);
	/* the signature of another token of ours */
	c.sub.b[15] ^= 1;
	memcpy(strrchr(token, '.'), strrchr(issue(&c), '.'), 88);
	refused(token, "signature");
}

static void times_decide_to_the_microsecond(void **state)
{
	struct jwt_access c;
	char token[4096];

	(void)state;
	snprintf(token, sizeof token, "%s", forge("{" GOOD ",\"nbf\":1800000010}"));
	assert_int_equal(verify_at(token, NOW * CLOCK_SEC + 10 * CLOCK_SEC - 1, &c, NULL),
	    E_UNAUTHENTICATED);
	assert_int_equal(verify_at(token, NOW * CLOCK_SEC + 10 * CLOCK_SEC, &c, NULL), OK);
	assert_int_equal(verify_at(token, NOW * CLOCK_SEC + 300 * CLOCK_SEC - 1, &c, NULL), OK);
	assert_int_equal(verify_at(token, NOW * CLOCK_SEC + 300 * CLOCK_SEC, &c, NULL),
	    E_UNAUTHENTICATED);
	snprintf(token, sizeof token, "%s", forge("{" GOOD "}"));
	assert_int_equal(verify_at(token, NOW * CLOCK_SEC - 1, &c, NULL), E_UNAUTHENTICATED); /* iat */
	assert_int_equal(verify_at(token, NOW * CLOCK_SEC, &c, NULL), OK);
}

static void leeway_moves_every_edge(void **state)
{
	struct jwt_access c = claims();
	int64_t iat = c.iat * CLOCK_SEC, exp = c.exp * CLOCK_SEC;
	static const int64_t leeways[] = { 0, 1, 5 * CLOCK_SEC };

	(void)state;
	for (int i = 0; i < 3; i++) {
		int64_t l = leeways[i];

		assert_int_equal(jwt_access_check(&c, c.iss, STR(AUD), iat - l, l), OK);
		assert_int_equal(jwt_access_check(&c, c.iss, STR(AUD), iat - l - 1, l),
		    E_UNAUTHENTICATED);
		assert_int_equal(jwt_access_check(&c, c.iss, STR(AUD), exp + l - 1, l), OK);
		assert_int_equal(jwt_access_check(&c, c.iss, STR(AUD), exp + l, l), E_UNAUTHENTICATED);
	}
}

static void issuer_and_audience_are_exact(void **state)
{
	static const char *const iss[] = { "https://gw.example/", "https://GW.example", "", "https://gw" };
	static const char *const aud[] = { "Gateway", "gateway ", "", "gate" };
	struct jwt_access c = claims();

	(void)state;
	for (int i = 0; i < 4; i++) {
		assert_int_equal(jwt_access_check(&c, str_c(iss[i]), STR(AUD), NOW * CLOCK_SEC, 0),
		    E_UNAUTHENTICATED);
		assert_int_equal(jwt_access_check(&c, c.iss, str_c(aud[i]), NOW * CLOCK_SEC, 0),
		    E_UNAUTHENTICATED);
	}
	c.aud[0] = STR("x");
	c.aud[1] = STR(AUD);
	assert_int_equal(jwt_access_check(&c, c.iss, STR(AUD), NOW * CLOCK_SEC, 0), OK);
	c.aud[1] = STR("y");
	assert_int_equal(jwt_access_check(&c, c.iss, STR(AUD), NOW * CLOCK_SEC, 0), E_UNAUTHENTICATED);
	/* nothing matches nothing */
	c.aud[0] = STR_NONE;
	assert_int_equal(jwt_access_check(&c, c.iss, STR_NONE, NOW * CLOCK_SEC, 0), E_UNAUTHENTICATED);
}

/* The good claims with one member replaced or left out: `value` NULL leaves it out. */
static const char *with(const char *name, const char *value)
{
	static char out[2048];
	char good[] = "{" GOOD "}", key[32], *p, *e;
	int depth = 0;
	size_t k = 0;

	k = (size_t)snprintf(key, sizeof key, "\"%s\":", name);
	p = strstr(good, key);
	assert_non_null(p);
	for (e = p + k; depth > 0 || (*e != ',' && *e != '}'); e++)
		depth += *e == '[' ? 1 : *e == ']' ? -1 : 0;
	if (value != NULL)
		snprintf(out, sizeof out, "%.*s%s%s%s", (int)(p - good), good, key, value, e);
	else if (*e == ',')
		snprintf(out, sizeof out, "%.*s%s", (int)(p - good), good, e + 1);
	else
		snprintf(out, sizeof out, "%.*s%s", (int)(p - good) - 1, good, e);
	return out;
}

static void claims_of_wrong_type_or_missing_are_refused(void **state)
{
	static const char *const required[] = { "iss", "aud", "sub", "iat", "exp", "jti" };
	static const char *const optional[] = { "sid", "amr", "auth_time" };
	static const struct {
		const char *name, *value;
	} bad[] = {
		{ "iss", "\"\"" }, { "iss", "1" }, { "iss", "null" }, { "iss", "[\"" ISS "\"]" },
		{ "iss", "\"https://evil.example\"" }, { "iss", "\"" ISS "\\u0000\"" },
		{ "aud", "\"\"" }, { "aud", "[]" }, { "aud", "[\"\"]" }, { "aud", "[1]" },
		{ "aud", "{\"gateway\":1}" }, { "aud", "[\"a\",\"b\",\"c\",\"d\",\"" AUD "\"]" },
		{ "aud", "[[\"" AUD "\"]]" }, { "aud", "\"other\"" }, { "aud", "true" },
		{ "sub", "\"\"" }, { "sub", "\"root\"" }, { "sub", "1" }, { "sub", "\"" SUB " \"" },
		{ "sub", "\"00000000-0000-0000-0000-000000000000\"" }, { "sub", "null" },
		{ "sid", "\"x\"" }, { "sid", "null" }, { "jti", "\"1\"" }, { "jti", "7" },
		{ "iat", "\"1800000000\"" }, { "iat", "1800000000.0" }, { "iat", "1.8e9" },
		{ "iat", "-1" }, { "iat", "01800000000" }, { "iat", "253402300800" }, { "iat", "null" },
		{ "exp", "1800000300.5" }, { "exp", "1e99" }, { "exp", "99999999999999999999" },
		{ "exp", "9223372036854775807" }, { "exp", "-9223372036854775809" }, { "exp", "true" },
		{ "exp", "\"never\"" }, { "exp", "[1800000300]" }, { "exp", "0x7fffffff" },
		{ "amr", "\"pwd\"" }, { "amr", "[1]" }, { "amr", "{}" }, { "amr", "null" },
		{ "auth_time", "1.5" }, { "auth_time", "\"x\"" }, { "auth_time", "-5" },
	};
	struct jwt_access c;

	(void)state;
	for (size_t i = 0; i < sizeof required / sizeof *required; i++)
		refused(forge(with(required[i], NULL)), "claims");
	for (size_t i = 0; i < sizeof optional / sizeof *optional; i++)
		assert_int_equal(verify_at(forge(with(optional[i], NULL)), NOW * CLOCK_SEC, &c, NULL), OK);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		refused(forge(with(bad[i].name, bad[i].value)), "claims");
}

static void empty_text_is_refused_by_the_parser_itself(void **state)
{
	static const struct {
		const char *name, *value;
	} bad[] = { { "iss", "\"\"" }, { "aud", "[]" }, { "aud", "\"\"" }, { "aud", "[\"\"]" } };

	(void)state;
	for (int i = 0; i < 4; i++) {
		const char *t = forge(with(bad[i].name, bad[i].value));
		struct jwt_access c;
		struct jws j;

		assert_int_equal(jws_parse(str_c(t), scratch, sizeof scratch, &j), OK);
		assert_int_equal(jwt_access_parse(&j, &c), E_UNAUTHENTICATED);
	}
}

static void payloads_that_are_no_strict_object_are_refused(void **state)
{
	static const char *const bad[] = { "", "null", "[]", "\"x\"", "{}", "{", "{" GOOD, GOOD "}",
		"{" GOOD "}}", "{" GOOD "},", "{" GOOD ",}", "{," GOOD "}", "{" GOOD "}{" GOOD "}",
		"[{" GOOD "}]", "\xef\xbb\xbf{" GOOD "}", "{" GOOD ",\"x\":\"\xff\"}",
		"{" GOOD ",'x':1}", "{" GOOD ",\"x\":undefined}", "{" GOOD ",\"x\"}",
		/* a claim twice: same value, other value, spelled with an escape, one that we ignore */
		"{" GOOD ",\"sub\":\"" SUB "\"}", "{" GOOD ",\"exp\":1900000000}",
		"{\"exp\":1900000000," GOOD "}", "{" GOOD ",\"\\u0065xp\":1900000000}",
		"{" GOOD ",\"role\":\"a\",\"role\":\"b\"}" };
	struct jwt_access c;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		refused(forge(bad[i]), "claims");
	assert_int_equal(verify_at(forge(" {" GOOD ",\"role\":\"admin\",\"nest\":{\"exp\":1,\"a\":[1,{}]},"
	    "\"amr2\":null} \r\n"), NOW * CLOCK_SEC, &c, NULL), OK);
	assert_int_equal(c.exp, NOW + 300);
	assert_int_equal(verify_at(forge(with("amr", "[\"otp\",\"face\",\"otp\",\"mfa\"]")),
	    NOW * CLOCK_SEC, &c, NULL), OK);
	assert_int_equal(c.amr, JWT_AMR_OTP | JWT_AMR_MFA);
}

static void many_members_and_deep_nesting_are_refused(void **state)
{
	char payload[8192];
	size_t n;

	(void)state;
	n = (size_t)snprintf(payload, sizeof payload, "{" GOOD);
	for (int i = 0; i < 64; i++)
		n += (size_t)snprintf(payload + n, sizeof payload - n, ",\"m%d\":%d", i, i);
	strcpy(payload + n, "}");
	refused(forge(payload), "claims");
	for (int depth = 31; depth < 3000; depth *= 3) {
		struct jwt_access c;

		n = (size_t)snprintf(payload, sizeof payload, "{" GOOD ",\"x\":");
		for (int i = 0; i < depth; i++)
			payload[n++] = '[';
		for (int i = 0; i < depth; i++)
			payload[n++] = ']';
		strcpy(payload + n, "}");
		assert_int_equal(verify_at(forge(payload), NOW * CLOCK_SEC, &c, NULL),
		    depth < 32 ? OK : E_UNAUTHENTICATED);
	}
}

static void megabyte_is_refused(void **state)
{
	char *t = malloc((1 << 20) + 1);

	(void)state;
	memset(t, 'A', 1 << 20);
	t[1 << 20] = '\0';
	refused(t, "malformed");
	t[1000] = '.';
	t[500000] = '.';
	refused(t, "malformed");
	free(t);
}

static void methods_are_written_by_name(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 256);
	jwt_amr_write(JWT_AMR_PWD | JWT_AMR_RECOVERY | JWT_AMR_MFA, &b);
	assert_true(str_eqc(buf_str(&b), "[\"pwd\",\"mfa\",\"rcv\"]"));
	buf_clear(&b);
	jwt_amr_write(0, &b);
	assert_true(str_eqc(buf_str(&b), "[]"));
	buf_release(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(issued_token_comes_back),
		cmocka_unit_test(header_and_claims_are_those_of_the_contract),
		cmocka_unit_test(keyring_without_a_signer_does_not_issue),
		cmocka_unit_test(only_the_type_at_jwt_is_an_access_token),
		cmocka_unit_test(key_that_is_unknown_revoked_or_past_is_refused),
		cmocka_unit_test(edited_claims_are_refused),
		cmocka_unit_test(times_decide_to_the_microsecond),
		cmocka_unit_test(leeway_moves_every_edge),
		cmocka_unit_test(issuer_and_audience_are_exact),
		cmocka_unit_test(claims_of_wrong_type_or_missing_are_refused),
		cmocka_unit_test(empty_text_is_refused_by_the_parser_itself),
		cmocka_unit_test(payloads_that_are_no_strict_object_are_refused),
		cmocka_unit_test(many_members_and_deep_nesting_are_refused),
		cmocka_unit_test(megabyte_is_refused),
		cmocka_unit_test(methods_are_written_by_name),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
