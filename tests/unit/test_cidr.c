#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/cidr.h"

static bool inside(const char *net, const char *addr)
{
	struct cidr c;
	uint8_t a[16];

	assert_true(cidr_parse(str_c(net), &c));
	assert_true(cidr_parse_addr(str_c(addr), a));
	return cidr_match(&c, a);
}

static void test_match(void **state)
{
	(void)state;
	assert_true(inside("10.0.0.0/8", "10.255.255.255"));
	assert_false(inside("10.0.0.0/8", "11.0.0.0"));
	assert_true(inside("192.168.4.0/22", "192.168.7.1"));
	assert_false(inside("192.168.4.0/22", "192.168.8.1"));
	assert_true(inside("192.0.2.7", "192.0.2.7"));
	assert_false(inside("192.0.2.7", "192.0.2.8"));
	assert_true(inside("0.0.0.0/0", "203.0.113.9"));
	assert_false(inside("0.0.0.0/0", "2001:db8::1"));
	assert_true(inside("::/0", "203.0.113.9"));
	assert_true(inside("fd00::/8", "fdff::1"));
	assert_false(inside("fd00::/8", "fe00::1"));
	assert_true(inside("2001:db8::/33", "2001:db8:7fff::1"));
	assert_false(inside("2001:db8::/33", "2001:db8:8000::1"));
	/* the two ways to write one address */
	assert_true(inside("10.0.0.0/8", "::ffff:10.1.2.3"));
}

static void test_refused(void **state)
{
	static const char *const rows[] = { "", "10", "10.0.0.0/", "10.0.0.0/33", "10.0.0.1/8",
		"10.0.0.0/8/8", "10.0.0.0/-1", "fd00::/129", "fd00::1/8", "localhost", "256.0.0.0/8",
		" 10.0.0.0/8", "1111:2222:3333:4444:5555:6666:7777:8888:9999" };
	struct cidr c;

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		assert_false(cidr_parse(str_c(rows[i]), &c));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_match),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
