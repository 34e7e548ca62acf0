#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/str.h"

static void numbers(void **state)
{
	static const struct {
		struct str s;
		uint64_t max;
		int ok;
		uint64_t v;
	} rows[] = {
		{ { "0", 1 }, 10, 1, 0 },
		{ { "10", 2 }, 10, 1, 10 },
		{ { "11", 2 }, 10, 0, 0 },
		{ { "18446744073709551615", 20 }, UINT64_MAX, 1, UINT64_MAX },
		{ { "18446744073709551616", 20 }, UINT64_MAX, 0, 0 },
		{ { "", 0 }, 10, 0, 0 },
		{ { "+1", 2 }, 10, 0, 0 },
		{ { "1 ", 2 }, 10, 0, 0 },
		{ { "0x1", 3 }, 10, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		uint64_t v = 0;

		assert_int_equal(str_u64(rows[i].s, rows[i].max, &v), rows[i].ok);
		if (rows[i].ok)
			assert_true(v == rows[i].v);
	}
}

static void ends_of_lines_are_cut_off(void **state)
{
	(void)state;
	assert_true(str_eqc(str_chomp(STR("a b\r\n")), "a b"));
	assert_true(str_eqc(str_chomp(STR("a\nb \n\n")), "a\nb "));
	assert_true(str_eqc(str_chomp(STR("a")), "a"));
	assert_int_equal(str_chomp(STR("\r\n")).n, 0);
	assert_null(str_chomp(STR_NONE).p);
}

static void globs(void **state)
{
	(void)state;
	assert_true(str_glob(STR("*"), STR("")));
	assert_true(str_glob(STR("order*"), STR("order")));
	assert_true(str_glob(STR("order*"), STR("order-line")));
	assert_false(str_glob(STR("order*"), STR("preorder")));
	assert_true(str_glob(STR("*a*b*"), STR("xxaxxbxx")));
	assert_false(str_glob(STR("*a*b"), STR("ab ")));
	assert_true(str_glob(STR("a*a"), STR("aa")));
	assert_false(str_glob(STR("a*a"), STR("a")));
	assert_false(str_glob(STR(""), STR("a")));
	assert_false(str_glob(STR("Order"), STR("order")));
}

static void utf8(void **state)
{
	(void)state;
	assert_true(str_utf8(STR("gr\xc3\xbc\xc3\x9f")));
	assert_true(str_utf8(STR("\xf0\x9f\x98\x80")));
	assert_false(str_utf8(STR("\xc0\xaf")));         /* overlong */
	assert_false(str_utf8(STR("\xed\xa0\x80")));     /* surrogate */
	assert_false(str_utf8(STR("\xf4\x90\x80\x80"))); /* past U+10FFFF */
	assert_false(str_utf8(STR("a\xe2\x82")));        /* cut */
	assert_false(str_utf8(str_n("a\0b", 3)));
}

static void cuts(void **state)
{
	struct str rest, s = STR("a,,b");

	(void)state;
	assert_true(str_eq(str_cut(s, ',', &rest), STR("a")));
	assert_true(str_eq(str_cut(rest, ',', &rest), STR("")));
	assert_true(str_eq(str_cut(rest, ',', &rest), STR("b")));
	assert_null(rest.p);
	assert_true(str_eq(str_trim(STR(" \t x ")), STR("x")));
	assert_true(str_ieq(STR("AbC"), STR("aBc")));
	assert_false(str_ieq(STR("abc"), STR("ab")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers),
		cmocka_unit_test(globs),
		cmocka_unit_test(utf8),
		cmocka_unit_test(cuts),
		cmocka_unit_test(ends_of_lines_are_cut_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
