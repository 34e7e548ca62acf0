#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/siphash.h"

/* Key 00..0f, input 00..(n-1): the first vectors and the fifteen-byte one of the authors' paper. */
static void test_vectors(void **state)
{
	static const struct {
		size_t n;
		uint64_t want;
	} v[] = {
		{ 0, UINT64_C(0x726fdb47dd0e0e31) },
		{ 1, UINT64_C(0x74f839c593dc67fd) },
		{ 8, UINT64_C(0x93f5f5799a932462) },
		{ 15, UINT64_C(0xa129ca6149be45e5) },
	};
	struct siphash_key key = { UINT64_C(0x0706050403020100), UINT64_C(0x0f0e0d0c0b0a0908) };
	char in[15];

	(void)state;
	for (size_t i = 0; i < sizeof in; i++)
		in[i] = (char)i;
	for (size_t i = 0; i < sizeof v / sizeof v[0]; i++)
		assert_int_equal(siphash(&key, str_n(in, v[i].n)), v[i].want);
}

static void test_keys_differ(void **state)
{
	struct siphash_key a = siphash_key_new(), b = siphash_key_new();

	(void)state;
	assert_int_not_equal(siphash(&a, STR("acme")), siphash(&b, STR("acme")));
	assert_int_equal(siphash(&a, STR("acme")), siphash(&a, STR("acme")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_keys_differ),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
