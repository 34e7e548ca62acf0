/* Key sets of others: what is taken, what is passed over, what is refused, and which key a token finds. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "crypto/jwks.h"
#include "crypto/jws.h"
#include "jws_vectors.h"

static enum err parse(const char *text, struct jwks **out)
{
	struct fail f = { 0 };
	enum err e = jwks_parse(str_c(text), out, &f);

	assert_true(e == OK || (f.err == e && f.text[0] != '\0'));
	fail_clear(&f);
	return e;
}

static struct jwks *good(const char *text)
{
	struct jwks *s = NULL;

	assert_int_equal(parse(text, &s), OK);
	return s;
}

#define EC(more) "{" A3_PUBLIC more "}"
#define RSA(more) "{" A2_PUBLIC more "}"
#define OKP(more) "{" R8037_PUBLIC more "}"
#define SET(keys) "{\"keys\":[" keys "]}"

static void what_cannot_be_used_is_passed_over(void **state)
{
	static const struct {
		const char *text;
		size_t n;
	} sets[] = {
		{ SET(EC("")), 1 },
		{ SET(EC("") "," OKP("")), 2 },
		{ SET(RSA("")), 2 }, /* for RS256 and PS256 */
		{ SET(RSA(",\"alg\":\"PS256\"")), 1 },
		{ SET(EC("") ",{\"kty\":\"oct\",\"k\":\"AAAA\"}"), 1 },
		{ SET(EC("") ",{\"kty\":\"oct\",\"k\":\"AAAA\",\"alg\":\"HS256\"}"), 1 },
		{ SET(EC("") ",{\"kty\":\"new\"},7,null,\"x\",[]"), 1 },
		{ SET(EC("") "," EC(",\"use\":\"enc\"")), 1 },
		{ SET(EC("") "," EC("," A3_PRIVATE)), 1 },
		{ SET(EC("") "," EC(",\"kid\":7")), 1 },
		{ SET(EC("") ",{" RSA_1024 ",\"e\":\"AQAB\"}"), 1 },
		{ SET(EC("") "," RSA(",\"alg\":\"RS512\"")), 1 },
		{ SET(EC("") "," RSA(",\"alg\":7")), 1 },
		{ "{\"keys\":[" EC("") "],\"more\":{}}", 1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
		struct jwks *s = good(sets[i].text);

		print_message("%zu\n", i);
		assert_int_equal(jwks_count(s), sets[i].n);
		jwks_free(s);
	}
}

static void what_is_no_key_set_is_refused(void **state)
{
	static const char *const texts[] = {
		"", "null", "[]", "{}", "{\"keys\":{}}", "{\"keys\":[]}", "{\"keys\":[]", "not json",
		SET(EC("")) " x", SET(EC("," A3_PRIVATE)), SET("{\"kty\":\"oct\",\"k\":\"AAAA\"}"),
		"{\"keys\":[" EC("") "],\"keys\":[" EC("") "]}", SET(EC(",\"kty\":\"EC\"")),
	};
	struct jwks *s = NULL;
	char *large, *many;
	size_t n;

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		print_message("%s\n", texts[i]);
		assert_int_equal(parse(texts[i], &s), E_INVALID_FIELD);
	}
	large = malloc(JWKS_TEXT_MAX + 1);
	memset(large, ' ', JWKS_TEXT_MAX + 1);
	assert_int_equal(jwks_parse(str_n(large, JWKS_TEXT_MAX + 1), &s, NULL), E_INVALID_FIELD);
	free(large);
	many = calloc(1, 64 * 1024);
	n = (size_t)sprintf(many, "{\"keys\":[");
	for (int i = 0; i < JWKS_KEYS; i++)
		n += (size_t)sprintf(many + n, EC("") ",");
	sprintf(many + n, EC("") "]}");
	assert_int_equal(parse(many, &s), E_INVALID_FIELD);
	sprintf(many + n - 1, "]}");
	jwks_free(good(many));
	free(many);
}

static void a_token_finds_its_key(void **state)
{
	static const struct {
		const char *kid, *alg;
		bool found;
	} rows[] = {
		{ "a", "ES256", true }, { "b", "RS256", true }, { "b", "PS256", true },
		{ "b", "ES256", false }, { "a", "RS256", false }, { "a", "HS256", false },
		{ "a", "none", false }, { "c", "ES256", false }, { "", "ES256", false },
		{ NULL, "ES256", true },  /* the only one of its algorithm */
		{ NULL, "EdDSA", false }, /* there are two */
		{ "d", "EdDSA", true },
	};
	struct jwks *s = good(SET(EC(",\"kid\":\"a\"") "," RSA(",\"kid\":\"b\"") ","
	    OKP(",\"kid\":\"d\"") "," OKP("")));

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		print_message("%s %s\n", rows[i].kid != NULL ? rows[i].kid : "-", rows[i].alg);
		assert_int_equal(jwks_find(s, rows[i].kid != NULL ? str_c(rows[i].kid) : STR_NONE,
		    str_c(rows[i].alg)) != NULL, rows[i].found);
	}
	jwks_free(s);
}

static enum err verify(const struct jwks *s, const char *token)
{
	char scratch[4096];
	struct jws j;

	assert_int_equal(jws_parse(str_c(token), scratch, sizeof scratch, &j), OK);
	return jwks_verify(s, &j);
}

static void published_tokens_verify(void **state)
{
	struct jwks *both = good(SET(EC("") "," RSA(""))), *other = good(SET("{" R7638_PUBLIC "}"));

	(void)state;
	assert_int_equal(verify(both, A2_TOKEN), OK);
	assert_int_equal(verify(both, A3_TOKEN), OK);
	assert_int_equal(verify(both, R8037_TOKEN), E_NOT_FOUND);
	assert_int_equal(verify(other, A2_TOKEN), E_UNAUTHENTICATED);
	jwks_free(both);
	jwks_free(other);
}

static void memory_may_run_out_anywhere(void **state)
{
	struct jwks *s = NULL;
	enum err e = E_NOMEM;

	(void)state;
	for (long n = 1; e != OK; n++) {
		heap_fail_after(n);
		e = jwks_parse(str_c(SET(EC(",\"kid\":\"a\"") "," RSA(",\"kid\":\"b\""))), &s, NULL);
		heap_fail_after(0);
		assert_true(e == OK || e == E_NOMEM);
	}
	assert_int_equal(jwks_count(s), 3);
	jwks_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_cannot_be_used_is_passed_over),
		cmocka_unit_test(what_is_no_key_set_is_refused),
		cmocka_unit_test(a_token_finds_its_key),
		cmocka_unit_test(published_tokens_verify),
		cmocka_unit_test(memory_may_run_out_anywhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
