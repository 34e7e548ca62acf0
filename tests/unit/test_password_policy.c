#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <jansson.h>
#include <string.h>

#include "crypto/password_policy.h"

/* The reason why the password is refused, or "". */
static const char *reason(const char *password, const char *email, const char *name)
{
	static char out[32];
	struct fail f = { 0 };

	out[0] = '\0';
	if (password_policy_check(str_c(password), str_c(email), str_c(name), &f) != OK) {
		assert_int_equal(f.err, E_WEAK_PASSWORD);
		if (strcmp(password, "password") != 0) /* the text says the word */
			assert_null(strstr(fail_text(&f), password));
		strncpy(out, json_string_value(json_object_get(f.details, "reason")), sizeof out - 1);
	}
	fail_clear(&f);
	return out;
}

static void every_line_of_the_list_is_found_and_nothing_between(void **state)
{
	const char *p = password_common + 1, *end = password_common + password_common_len;
	size_t lines = 0;

	(void)state;
	assert_int_equal(password_common[0], '\n');
	while (p < end) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));
		char longer[128];
		size_t n = (size_t)(nl - p);

		assert_non_null(nl);
		assert_true(n > 0 && n < sizeof longer - 2);
		assert_true(password_is_common(str_n(p, n)));
		memcpy(longer, p, n);
		memcpy(longer + n, "\x01", 2);
		assert_false(password_is_common(str_n(longer, n + 1)));
		lines++;
		p = nl + 1;
	}
	assert_true(lines > 20000);
	assert_false(password_is_common(STR("")));
	assert_false(password_is_common(STR_NONE));
	assert_false(password_is_common(STR("\n")));
	assert_false(password_is_common(STR("123456\npassword")));
	assert_false(password_is_common(STR("\xff\xff")));
	assert_false(password_is_common(STR("\x01")));
}

static void common_ones_are_refused_in_any_case(void **state)
{
	static const char *const common[] = { "password", "PASSWORD", "Password1", "12345678",
		"qwertyuiop", "iloveyou", "Sunshine", "trustno1", "football" };

	(void)state;
	for (size_t i = 0; i < sizeof common / sizeof *common; i++)
		assert_string_equal(reason(common[i], "ada@example.com", ""), "common");
}

static void the_address_is_refused_in_any_form(void **state)
{
	static const struct {
		const char *password, *email;
	} v[] = {
		{ "ada.lovelace", "ada.lovelace@example.com" },
		{ "my-ADA.Lovelace-9x!kq", "ada.lovelace@example.com" },
		{ "ada.lovelace@example.com", "Ada.Lovelace@Example.COM" },
		{ "x9$ada@example.com", "ada@example.com" },
		{ "q7-J\xc3\x9cRGEN-v5kz", "j\xc3\xbcrgen@example.com" },
		{ "ab@example.com#77pQ", "ab@example.com" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof v / sizeof *v; i++)
		assert_string_equal(reason(v[i].password, v[i].email, ""), "contains_email");
	/* a local part of two letters is in every other word */
	assert_string_equal(reason("the cab stands at the harbour", "ab@example.com", ""), "");
}

static void guessable_ones_are_refused(void **state)
{
	static const char *const weak[] = { "aaaaaaaaaaaa", "abcdefghijkl", "P4ssw0rd!2024", "19840512",
		"qwerty1234567", "monkeymonkey1", "asdfghjkl;1", "gateway 2024", "gatewayd2024" };

	(void)state;
	for (size_t i = 0; i < sizeof weak / sizeof *weak; i++)
		if (strcmp(reason(weak[i], "ada@example.org", ""), "guessable") != 0)
			fail_msg("not guessable: %s", weak[i]);
	/* what would do for a stranger is a guess for the one whose name it is */
	assert_string_equal(reason("wolfeschlegel7", "x@example.org", ""), "");
	assert_string_equal(reason("wolfeschlegel7", "x@example.org", "Hubert Wolfeschlegel"), "guessable");
}

static void good_ones_of_any_shape_pass(void **state)
{
	static const char *const good[] = { "correct horse battery staple", "xK9#mPq2", "xkqzvbnw",
		"a-strong-passphrase", "tr\xc3\xa4umerei am kamin", "\xd0\xbf\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82"
		"-\xd0\xbc\xd0\xb8\xd1\x80-42", "no digits no capitals no marks" };
	char many[257];

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		assert_string_equal(reason(good[i], "ada@example.com", "Ada Lovelace"), "");
	for (int i = 0; i < 256; i++)
		many[i] = "kq7w-zp3m x9vt"[(i * 5 + i / 14) % 14];
	many[256] = '\0';
	assert_string_equal(reason(many, "ada@example.com", "Ada"), "");
	assert_string_equal(reason("xK9#mPq2", "", ""), "");
	assert_int_equal(password_policy_check(STR("password"), STR_NONE, STR_NONE, NULL),
	    E_WEAK_PASSWORD);
}

static void names_of_any_length_do_no_harm(void **state)
{
	static char name[4096];

	(void)state;
	for (size_t i = 0; i < sizeof name - 1; i++)
		name[i] = i % 5 == 4 ? ' ' : (char)('a' + i % 26);
	assert_string_equal(reason("xK9#mPq2", "ada@example.com", name), "");
	memset(name, 'a', sizeof name - 1);
	assert_string_equal(reason("xK9#mPq2", "ada@example.com", name), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_line_of_the_list_is_found_and_nothing_between),
		cmocka_unit_test(common_ones_are_refused_in_any_case),
		cmocka_unit_test(the_address_is_refused_in_any_form),
		cmocka_unit_test(guessable_ones_are_refused),
		cmocka_unit_test(good_ones_of_any_shape_pass),
		cmocka_unit_test(names_of_any_length_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
