/* What a token of another issuer may claim. Signatures are test_jwks.c's. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/hex.h"
#include "crypto/jws.h"
#include "crypto/jwt_external.h"

#define GOOD "\"iss\":\"https://i.test\",\"aud\":\"gw\",\"sub\":\"robot\",\"exp\":2000"

static const struct jwt_external_rules rules = { STR("gw"), STR("sub"), STR("scope") };

struct token {
	char text[4096], scratch[4096], copy[4096];
	struct jws jws;
	struct jwt_external claims;
};

static void encode(struct str s, char *out, size_t *n)
{
	*n += b64u_encode(s.p, s.n, out + *n);
	out[(*n)++] = '.';
}

/* The outcome for these claims under this `typ` (NULL: none). */
static enum err read_as(struct token *t, const char *typ, const char *claims)
{
	struct buf head;
	size_t n = 0;

	buf_init(&head, 1024);
	assert_int_equal(buf_printf(&head, "{\"alg\":\"ES256\"%s%s%s}", typ != NULL ? ",\"typ\":\"" : "",
	    typ != NULL ? typ : "", typ != NULL ? "\"" : ""), OK);
	encode(buf_str(&head), t->text, &n);
	encode(str_c(claims), t->text, &n);
	memcpy(t->text + n, "AAAA", 4);
	buf_release(&head);
	assert_int_equal(jws_parse(str_n(t->text, n + 4), t->scratch, sizeof t->scratch, &t->jws), OK);
	return jwt_external_parse(&t->jws, &rules, &t->claims);
}

static void what_is_read(void **state)
{
	struct token t;

	(void)state;
	assert_int_equal(read_as(&t, "at+jwt", "{" GOOD ",\"nbf\":5,\"iat\":6,\"scope\":\"a b\"}"), OK);
	assert_true(str_eqc(t.claims.subject, "robot") && str_eqc(t.claims.scopes, "a b"));
	assert_true(t.claims.for_us && t.claims.exp == 2000 && t.claims.nbf == 5 && t.claims.iat == 6);
	assert_int_equal(read_as(&t, NULL, "{" GOOD "}"), OK);
	assert_null(t.claims.scopes.p);
	assert_int_equal(read_as(&t, NULL, "{" GOOD ",\"scope\":[]}"), OK);
	assert_true(t.claims.scopes.p != NULL && t.claims.scopes.n == 0);
	assert_int_equal(read_as(&t, NULL, "{" GOOD ",\"scope\":[ \"a\" , \"b\\u0063\",\"d\"]}"), OK);
	assert_true(str_eqc(t.claims.scopes, "a bc d"));
	assert_int_equal(read_as(&t, NULL, "{\"aud\":[\"x\",\"gw\",\"y\"],\"sub\":\"r\",\"exp\":1}"), OK);
	assert_true(t.claims.for_us);
	assert_int_equal(read_as(&t, NULL, "{\"aud\":[\"x\"],\"sub\":\"r\",\"exp\":1}"), OK);
	assert_false(t.claims.for_us);
}

static void typ(void **state)
{
	static const char *const good[] = { NULL, "at+jwt", "AT+JWT", "application/at+jwt", "JWT", "jwt" };
	static const char *const bad[] = { "", "id+jwt", "logout+jwt", "dpop+jwt", "secevent+jwt", "at+jwtx",
		"application/", "text/at+jwt", "JOSE" };
	struct token t;

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		assert_int_equal(read_as(&t, good[i], "{" GOOD "}"), OK);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(read_as(&t, bad[i], "{" GOOD "}"), E_UNAUTHENTICATED);
}

static void what_is_refused(void **state)
{
	static const char *const bad[] = {
		"", "null", "[]", "{}", "{" GOOD, "{" GOOD "} ]", "{" GOOD ",\"sub\":\"robot\"}",
		"{" GOOD ",\"s\\u0075b\":\"robot\"}", "{" GOOD ",\"x\":1,\"x\":1}",
		"{\"sub\":\"r\",\"exp\":1}", "{\"aud\":\"gw\",\"exp\":1}", "{\"aud\":\"gw\",\"sub\":\"r\"}",
		"{\"aud\":{},\"sub\":\"r\",\"exp\":1}", "{\"aud\":[1],\"sub\":\"r\",\"exp\":1}",
		"{\"aud\":\"gw\",\"sub\":\"\",\"exp\":1}", "{\"aud\":\"gw\",\"sub\":7,\"exp\":1}",
		"{\"aud\":\"gw\",\"sub\":\"a\\nb\",\"exp\":1}", "{\"aud\":\"gw\",\"sub\":\"r\",\"exp\":1.5}",
		"{\"aud\":\"gw\",\"sub\":\"r\",\"exp\":\"1\"}", "{\"aud\":\"gw\",\"sub\":\"r\",\"exp\":-1}",
		"{\"aud\":\"gw\",\"sub\":\"r\",\"exp\":1e3}", "{\"aud\":\"gw\",\"sub\":\"r\",\"exp\":99999999999999}",
		"{" GOOD ",\"nbf\":null}", "{" GOOD ",\"iat\":\"\"}", "{" GOOD ",\"scope\":7}",
		"{" GOOD ",\"scope\":[\"a b\"]}", "{" GOOD ",\"scope\":{}}", "{" GOOD ",\"cnf\":{}}",
		"{" GOOD ",\"events\":{}}", "{" GOOD ",\"typ\":\"ID\"}", "{" GOOD ",\"token_use\":\"id\"}",
		"{" GOOD ",\"nonce\":\"n\"}", "{" GOOD ",\"at_hash\":\"n\"}",
	};
	struct token t;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		print_message("%s\n", bad[i]);
		assert_int_equal(read_as(&t, "JWT", bad[i]), E_UNAUTHENTICATED);
	}
	/* what only ID tokens have does no harm where the header says what it is */
	assert_int_equal(read_as(&t, "at+jwt", "{" GOOD ",\"nonce\":\"n\"}"), OK);
	assert_int_equal(read_as(&t, "JWT", "{" GOOD ",\"nonce\":\"n\",\"typ\":\"Bearer\"}"), OK);
}

static void times(void **state)
{
	static const struct {
		int64_t exp, nbf, iat, now, leeway;
		bool good;
	} cases[] = {
		{ 100, 0, 0, 100 * CLOCK_SEC - 1, 0, true },
		{ 100, 0, 0, 100 * CLOCK_SEC, 0, false },
		{ 100, 0, 0, 100 * CLOCK_SEC, 60 * CLOCK_SEC, false }, /* no leeway at the end */
		{ 100, 90, 0, 90 * CLOCK_SEC - 1, 0, false },
		{ 100, 90, 0, 90 * CLOCK_SEC, 0, true },
		{ 100, 90, 0, 30 * CLOCK_SEC, 60 * CLOCK_SEC, true },
		{ 100, 90, 0, 30 * CLOCK_SEC - 1, 60 * CLOCK_SEC, false },
		{ 100, 0, 90, 90 * CLOCK_SEC - 1, 0, false },
		{ 100, 0, 90, 30 * CLOCK_SEC, 60 * CLOCK_SEC, true },
		{ 100, 0, 90, 30 * CLOCK_SEC - 1, 60 * CLOCK_SEC, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct jwt_external t = { .for_us = true, .exp = cases[i].exp, .nbf = cases[i].nbf,
			.iat = cases[i].iat };

		assert_int_equal(jwt_external_check(&t, cases[i].now, cases[i].leeway),
		    cases[i].good ? OK : E_UNAUTHENTICATED);
		t.for_us = false;
		assert_int_equal(jwt_external_check(&t, cases[i].now, cases[i].leeway), E_UNAUTHENTICATED);
	}
}

static void whose_it_is(void **state)
{
	static const char *const bad[] = { "{\"iss\":\"\"}", "{}", "[]", "{\"iss\":7}",
		"{\"iss\":\"a\",\"iss\":\"b\"}", "{\"iss\":\"a\",\"is\\u0073\":\"b\"}", "{\"iss\":\"a\"" };
	struct token t;
	struct str iss;

	(void)state;
	(void)read_as(&t, NULL, "{" GOOD "}");
	(void)jws_parse(str_c(t.text), t.scratch, sizeof t.scratch, &t.jws);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		t.jws.payload = str_c(bad[i]);
		assert_int_equal(jwt_external_issuer(&t.jws, t.copy, sizeof t.copy, &iss), E_UNAUTHENTICATED);
	}
	t.jws.payload = STR("{\"x\":[{}],\"iss\":\"https:\\/\\/i.test\"}");
	assert_int_equal(jwt_external_issuer(&t.jws, t.copy, sizeof t.copy, &iss), OK);
	assert_true(str_eqc(iss, "https://i.test"));
	assert_int_equal(jwt_external_issuer(&t.jws, t.copy, 3, &iss), E_UNAUTHENTICATED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_read), cmocka_unit_test(typ), cmocka_unit_test(what_is_refused),
		cmocka_unit_test(times), cmocka_unit_test(whose_it_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
