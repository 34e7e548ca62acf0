#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/suggest.h"

static const char *nearest(const char *word)
{
	static const char *const candidates[] = { "list", "get", "create", "delete", "listen.http",
		"a-candidate-that-is-longer-than-any-word-that-people-would-mistype-in-a-terminal" };
	struct suggest s = suggest_for(str_c(word));

	for (size_t i = 0; i < sizeof candidates / sizeof *candidates; i++)
		suggest_offer(&s, candidates[i]);
	return suggest_get(&s);
}

static void test_near(void **state)
{
	(void)state;
	assert_string_equal(nearest("lst"), "list");
	assert_string_equal(nearest("lsit"), "list");
	assert_string_equal(nearest("gte"), "get");
	assert_string_equal(nearest("craete"), "create");
	assert_string_equal(nearest("deleet"), "delete");
	assert_string_equal(nearest("listn.htp"), "listen.http");
	assert_string_equal(nearest("get"), "get");
}

static void test_far(void **state)
{
	char huge[512];

	(void)state;
	memset(huge, 'a', sizeof huge - 1);
	huge[sizeof huge - 1] = '\0';
	assert_null(nearest("frobnicate"));
	assert_null(nearest("xyz"));
	assert_null(nearest(""));
	assert_null(nearest(huge));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_near),
		cmocka_unit_test(test_far),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
