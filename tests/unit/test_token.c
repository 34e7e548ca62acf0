#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rnd.h"
#include "crypto/api_key.h"
#include "crypto/recovery_code.h"
#include "crypto/seal.h"
#include "crypto/token.h"

static unsigned char rnd32[32];

static int setup(void **state)
{
	static const unsigned char key[32] = "0123456789abcdef0123456789abcde";
	struct seal *s = NULL;

	rnd_bytes(rnd32, sizeof rnd32);
	assert_int_equal(seal_new(key, &s), OK);
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	seal_free(*state);
	return 0;
}

static void token_is_found_by_its_hash(void **state)
{
	unsigned char hash[TOKEN_HASH], again[TOKEN_HASH];
	char text[TOKEN_LEN];

	(void)state;
	token_make("reset", rnd32, text, hash);
	assert_int_equal(strlen(text), TOKEN_LEN - 1);
	assert_int_equal(token_hash("reset", str_c(text), again), OK);
	assert_memory_equal(hash, again, TOKEN_HASH);
	assert_memory_not_equal(hash, rnd32, TOKEN_HASH);
	/* of another purpose, or another token */
	assert_int_equal(token_hash("verify", str_c(text), again), OK);
	assert_memory_not_equal(hash, again, TOKEN_HASH);
	text[0] = text[0] == 'A' ? 'B' : 'A';
	assert_int_equal(token_hash("reset", str_c(text), again), OK);
	assert_memory_not_equal(hash, again, TOKEN_HASH);
}

static void what_is_no_token_is_refused(void **state)
{
	char text[TOKEN_LEN + 1];
	unsigned char hash[TOKEN_HASH];

	(void)state;
	token_make("x", rnd32, text, hash);
	for (size_t n = 0; n < TOKEN_LEN - 1; n++)
		assert_int_equal(token_hash("x", str_n(text, n), hash), E_TOKEN_INVALID);
	text[TOKEN_LEN - 1] = 'A';
	assert_int_equal(token_hash("x", str_n(text, TOKEN_LEN), hash), E_TOKEN_INVALID);
	text[TOKEN_LEN - 1] = '=';
	assert_int_equal(token_hash("x", str_n(text, TOKEN_LEN), hash), E_TOKEN_INVALID);
	text[5] = '+';
	assert_int_equal(token_hash("x", str_n(text, TOKEN_LEN - 1), hash), E_TOKEN_INVALID);
	text[5] = 'A';
	text[TOKEN_LEN - 2] = '9'; /* bits that nothing uses are set */
	assert_int_equal(token_hash("x", str_n(text, TOKEN_LEN - 1), hash), E_TOKEN_INVALID);
	assert_int_equal(token_hash("x", STR_NONE, hash), E_TOKEN_INVALID);
}

static void api_key_comes_back(void **state)
{
	struct id id = { { 0x01, 0x90, 0xab, 0xcd, 0xef }, }, got;
	unsigned char hash[TOKEN_HASH], again[TOKEN_HASH];
	char key[API_KEY_LEN];

	(void)state;
	api_key_make(id, rnd32, key, hash);
	assert_int_equal(strlen(key), API_KEY_LEN - 1);
	assert_memory_equal(key, "gwk_0190abcdef0000000000000000000000_", 37);
	assert_int_equal(api_key_parse(str_c(key), &got, again), OK);
	assert_true(id_eq(id, got));
	assert_memory_equal(hash, again, TOKEN_HASH);
}

static void edited_api_key_is_refused_or_another(void **state)
{
	struct id id = { { 0x01, 0x90, 0xab, 0xcd, 0xef }, }, got;
	unsigned char hash[TOKEN_HASH], again[TOKEN_HASH];
	char key[API_KEY_LEN + 1];

	(void)state;
	api_key_make(id, rnd32, key, hash);
	for (size_t i = 0; i < API_KEY_LEN - 1; i++) {
		char old = key[i];

		for (const char *c = "aA0-_. \n"; *c != '\0'; c++) {
			if (*c == old)
				continue;
			key[i] = *c;
			if (api_key_parse(str_c(key), &got, again) == OK)
				assert_false(id_eq(id, got) && memcmp(hash, again, TOKEN_HASH) == 0);
		}
		key[i] = old;
	}
	for (size_t n = 0; n < API_KEY_LEN - 1; n++) {
		char *exact = malloc(n > 0 ? n : 1); /* so that a sanitizer sees a byte too many */

		memcpy(exact, key, n);
		assert_int_equal(api_key_parse(str_n(exact, n), &got, again), E_UNAUTHENTICATED);
		free(exact);
	}
	key[API_KEY_LEN - 1] = 'A';
	assert_int_equal(api_key_parse(str_n(key, API_KEY_LEN), &got, again), E_UNAUTHENTICATED);
	/* upper-case digits name the same id, but are not what was issued */
	key[API_KEY_LEN - 1] = '\0';
	memcpy(key + 8, "ABCDEF", 6);
	assert_int_equal(api_key_parse(str_c(key), &got, again), E_UNAUTHENTICATED);
	assert_true(api_key_looks_like(str_c(key)));
	assert_false(api_key_looks_like(STR("gwk")));
	assert_false(api_key_looks_like(STR("eyJhbGciOiJFUzI1NiJ9")));
}

static void recovery_code_is_read_as_people_type(void **state)
{
	static const unsigned char random[RECOVERY_CODE_RANDOM] = { 0, 1, 2, 3, 4, 5, 6 };
	struct id ada = { { 1 } }, bob = { { 2 } };
	unsigned char hash[RECOVERY_CODE_HASH], again[RECOVERY_CODE_HASH];
	char code[RECOVERY_CODE_LEN], typed[64];

	recovery_code_make(random, code);
	assert_int_equal(strlen(code), 11);
	assert_int_equal(code[5], '-');
	assert_int_equal(recovery_code_hash(*state, ada, str_c(code), hash), OK);
	snprintf(typed, sizeof typed, " %.5s %s ", code, code + 6);
	for (size_t i = 0; typed[i] != '\0'; i++) {
		if (typed[i] >= 'a' && typed[i] <= 'z')
			typed[i] = (char)(typed[i] - 32);
		else if (typed[i] == '0')
			typed[i] = 'O';
		else if (typed[i] == '1')
			typed[i] = i % 2 ? 'l' : 'I';
	}
	assert_int_equal(recovery_code_hash(*state, ada, str_c(typed), again), OK);
	assert_memory_equal(hash, again, RECOVERY_CODE_HASH);
	assert_int_equal(recovery_code_hash(*state, bob, str_c(code), again), OK);
	assert_memory_not_equal(hash, again, RECOVERY_CODE_HASH);
}

static void what_is_no_recovery_code_is_refused(void **state)
{
	static const char *const bad[] = { "", "-", "abcde-fghj", "abcde-fghjkm", "abcde-fghju",
		"abcde-fgh*k", "\xc3\xa4" "bcdefghj", "abcdefghjk abcdefghjk" };
	unsigned char hash[RECOVERY_CODE_HASH];
	char many[4096];

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(recovery_code_hash(*state, (struct id){ { 1 } }, str_c(bad[i]), hash),
		    E_MFA_INVALID);
	memset(many, ' ', sizeof many);
	memcpy(many, "abcdefghjk", 10);
	assert_int_equal(recovery_code_hash(*state, (struct id){ { 1 } }, str_n(many, 64), hash), OK);
	assert_int_equal(recovery_code_hash(*state, (struct id){ { 1 } }, str_n(many, sizeof many), hash),
	    E_MFA_INVALID);
}

static void recovery_codes_use_all_their_bits(void **state)
{
	unsigned char random[RECOVERY_CODE_RANDOM];
	char code[RECOVERY_CODE_LEN];
	static const char alphabet[] = "0123456789abcdefghjkmnpqrstvwxyz";
	unsigned seen[10] = { 0 };

	(void)state;
	for (int i = 0; i < 4000; i++) {
		rnd_bytes(random, sizeof random);
		recovery_code_make(random, code);
		for (int j = 0, k = 0; code[k] != '\0'; k++)
			if (code[k] != '-')
				seen[j++] |= 1u << (strchr(alphabet, code[k]) - alphabet);
	}
	for (int j = 0; j < 10; j++)
		assert_int_equal(seen[j], 0xffffffffu);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(token_is_found_by_its_hash),
		cmocka_unit_test(what_is_no_token_is_refused),
		cmocka_unit_test(api_key_comes_back),
		cmocka_unit_test(edited_api_key_is_refused_or_another),
		cmocka_unit_test(recovery_code_is_read_as_people_type),
		cmocka_unit_test(what_is_no_recovery_code_is_refused),
		cmocka_unit_test(recovery_codes_use_all_their_bits),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
