/* Claims of ID tokens: what is read, what is refused, and which fault is found first. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "authn/id_token.h"
#include "base/clock.h"
#include "crypto/jws.h"

#define NOW INT64_C(1700000000)
#define GOOD "\"iss\":\"https://op.test\",\"sub\":\"ann\",\"aud\":\"me\",\"exp\":1700000300,\"iat\":1700000000"
#define ALL GOOD ",\"nonce\":\"n\""

/* In memory of its own, because it is decoded in place. */
static enum err parse(const char *payload, const char *typ, struct id_token *out)
{
	static char copy[4096];
	struct jws j = { .typ = typ != NULL ? str_c(typ) : STR_NONE };

	assert_true(strlen(payload) < sizeof copy);
	strcpy(copy, payload);
	j.payload = str_c(copy);
	return id_token_parse(&j, out);
}

static void what_is_read(void **state)
{
	struct id_token t;

	(void)state;
	assert_int_equal(parse("{" ALL ",\"email\":\"a\\u0040b\",\"email_verified\":true,\"name\":\"Ann\","
	    "\"azp\":\"me\",\"at_hash\":\"h\",\"nbf\":5,\"x\":[{}]}", "JWT", &t), OK);
	assert_true(str_eqc(t.iss, "https://op.test") && str_eqc(t.sub, "ann") && str_eqc(t.aud, "me"));
	assert_true(str_eqc(t.email, "a@b") && str_eqc(t.name, "Ann") && str_eqc(t.azp, "me"));
	assert_true(str_eqc(t.nonce, "n") && str_eqc(t.at_hash, "h") && t.email_verified);
	assert_int_equal(t.exp, NOW + 300);
	assert_int_equal(t.nbf, 5);
}

static void what_is_taken_and_what_is_not(void **state)
{
	static const struct {
		const char *payload, *typ;
		bool ok, verified;
	} rows[] = {
		{ "{" GOOD "}", NULL, true },
		{ "{" GOOD "}", "jwt", true },
		{ "{" GOOD "}", "at+jwt", false },
		{ "{" GOOD "}", "logout+jwt", false },
		{ "{" GOOD ",\"email_verified\":true}", NULL, true, true },
		{ "{" GOOD ",\"email_verified\":false}", NULL, true },
		{ "{" GOOD ",\"email_verified\":\"true\"}", NULL, true },
		{ "{" GOOD ",\"email_verified\":1}", NULL, true },
		{ "{" GOOD ",\"email_verified\":tru}", NULL, false },
		{ "{" GOOD ",\"email\":null,\"name\":7}", NULL, true },
		{ "{" GOOD ",\"sub\":\"ann\"}", NULL, false },
		{ "{" GOOD ",\"nonce\":7}", NULL, false },
		{ "{" GOOD ",\"nonce\":\"\"}", NULL, false },
		{ "{" GOOD ",\"azp\":[]}", NULL, false },
		{ "{" GOOD ",\"nbf\":1}", NULL, true },
		{ "{" GOOD ",\"nbf\":0}", NULL, false },
		{ "{" GOOD "} ", NULL, true },
		{ "{" GOOD "}x", NULL, false },
		{ "[]", NULL, false },
		{ "", NULL, false },
		{ "{\"iss\":\"i\",\"sub\":\"s\",\"aud\":[\"me\"],\"exp\":2,\"iat\":1}", NULL, true },
		{ "{\"iss\":\"i\",\"sub\":\"s\",\"aud\":[\"me\",\"you\"],\"exp\":2,\"iat\":1}", NULL, false },
		{ "{\"iss\":\"i\",\"sub\":\"s\",\"aud\":[],\"exp\":2,\"iat\":1}", NULL, false },
		{ "{\"iss\":\"i\",\"sub\":\"s\",\"aud\":[1],\"exp\":2,\"iat\":1}", NULL, false },
		{ "{\"iss\":\"i\",\"sub\":\"s\",\"aud\":{},\"exp\":2,\"iat\":1}", NULL, false },
		{ "{\"iss\":\"i\",\"sub\":\"s\",\"aud\":\"me\",\"exp\":-2,\"iat\":1}", NULL, false },
		{ "{\"iss\":\"i\",\"sub\":\"s\",\"aud\":\"me\",\"exp\":0,\"iat\":1}", NULL, false },
		{ "{\"iss\":\"i\",\"sub\":\"s\",\"aud\":\"me\",\"exp\":2.0,\"iat\":1}", NULL, false },
		{ "{\"iss\":\"i\",\"sub\":\"s\",\"aud\":\"me\",\"exp\":99999999999999999,\"iat\":1}", NULL, false },
		{ "{\"iss\":\"i\",\"sub\":\"s\",\"aud\":\"me\",\"iat\":1}", NULL, false },
		{ "{\"iss\":\"i\",\"sub\":\"s\",\"aud\":\"me\",\"exp\":1}", NULL, false },
		{ "{\"iss\":\"i\",\"aud\":\"me\",\"exp\":2,\"iat\":1}", NULL, false },
		{ "{\"sub\":\"s\",\"aud\":\"me\",\"exp\":2,\"iat\":1}", NULL, false },
		{ "{\"iss\":\"i\",\"sub\":\"s\",\"exp\":2,\"iat\":1}", NULL, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct id_token t;

		print_message("%s\n", rows[i].payload);
		assert_int_equal(parse(rows[i].payload, rows[i].typ, &t), rows[i].ok ? OK : E_OIDC_INVALID);
		if (rows[i].ok)
			assert_int_equal(t.email_verified, rows[i].verified);
	}
}

static const char *fault(struct id_token t, const char *alg)
{
	struct id_token_wanted w = { .issuer = STR("https://op.test"), .client_id = STR("me"),
		.nonce = STR("n"), .access_token = STR("jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y"),
		.begun_at = (NOW - 30) * CLOCK_SEC, .now = NOW * CLOCK_SEC + 999999 };
	const char *why = id_token_fault(&t, str_c(alg), &w);

	return why != NULL ? why : "none";
}

static void which_fault(void **state)
{
	struct id_token good, t;

	(void)state;
	assert_int_equal(parse("{" ALL "}", NULL, &good), OK);
	assert_string_equal(fault(good, "ES256"), "none");
#define WITH(member, value) (t = good, t.member = (value), t)
	assert_string_equal(fault(WITH(iss, STR("https://op.test/")), "ES256"), "iss");
	assert_string_equal(fault(WITH(iss, STR("https://op.tes")), "ES256"), "iss");
	assert_string_equal(fault(WITH(aud, STR("you")), "ES256"), "aud");
	assert_string_equal(fault(WITH(azp, STR("you")), "ES256"), "azp");
	assert_string_equal(fault(WITH(azp, STR("me")), "ES256"), "none");
	assert_string_equal(fault(WITH(nonce, STR("m")), "ES256"), "nonce");
	assert_string_equal(fault(WITH(nonce, STR_NONE), "ES256"), "nonce");
	assert_string_equal(fault(WITH(exp, NOW - 60), "ES256"), "exp");
	assert_string_equal(fault(WITH(exp, NOW - 59), "ES256"), "none");
	assert_string_equal(fault(WITH(iat, NOW + 60), "ES256"), "none");
	assert_string_equal(fault(WITH(iat, NOW + 61), "ES256"), "iat");
	assert_string_equal(fault(WITH(iat, NOW - 90), "ES256"), "none");
	assert_string_equal(fault(WITH(iat, NOW - 91), "ES256"), "iat");
	assert_string_equal(fault(WITH(nbf, NOW + 60), "ES256"), "none");
	assert_string_equal(fault(WITH(nbf, NOW + 61), "ES256"), "nbf");
	/* OpenID Connect Core 1.0, A.3; the other made with openssl */
	assert_string_equal(fault(WITH(at_hash, STR("77QmUPtjPfzWtF2AnpK9RQ")), "RS256"), "none");
	assert_string_equal(fault(WITH(at_hash, STR("77QmUPtjPfzWtF2AnpK9RQ")), "EdDSA"), "at_hash");
	assert_string_equal(fault(WITH(at_hash, STR("77QmUPtjPfzWtF2AnpK9Rg")), "RS256"), "at_hash");
	assert_string_equal(fault(WITH(at_hash, STR("77QmUPtjPfzWtF2AnpK9R")), "RS256"), "at_hash");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_read),
		cmocka_unit_test(what_is_taken_and_what_is_not),
		cmocka_unit_test(which_fault),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
