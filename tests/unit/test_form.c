#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "api/form.h"
#include "request/request.h"

static void finds_a_field_once_however_its_name_is_written(void **state)
{
	static const struct {
		const char *text;
		enum err e;
		const char *value; /* NULL: absent */
	} cases[] = {
		{ "a_b=1", OK, "1" },
		{ "x=2&a_b=1&y", OK, "1" },
		{ "a%5fb=1", OK, "1" },
		{ "%61%5F%62=1", OK, "1" },
		{ "a_b=%41+c", OK, "A c" },
		{ "", OK, NULL },
		{ "a_b", OK, NULL },
		{ "a_b=", OK, NULL },
		{ "A_b=1&a_b_=1&a_=1&a%5f=1&a_bc=1&a%5fb%00=1", OK, NULL },
		/* no name at all */
		{ "a%5=1&a%zzb=1&a_b%=1&a_%6=1&%=1&=1", OK, NULL },
		{ "a_b=1&a_b=1", E_BAD_REQUEST, NULL },
		{ "a_b=1&a%5fb=2", E_BAD_REQUEST, NULL },
		{ "a%5fb=1&a_b=1", E_BAD_REQUEST, NULL },
		{ "a_b=&a%5Fb", E_BAD_REQUEST, NULL },
		{ "a_b=%zz", E_BAD_REQUEST, NULL },
		{ "a_b=%ff", E_BAD_REQUEST, NULL },
	};
	struct request r;

	(void)state;
	request_init(&r);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct str value;

		print_message("%s\n", cases[i].text);
		assert_int_equal(form_value(&r, str_c(cases[i].text), "a_b", &value), cases[i].e);
		if (cases[i].value != NULL)
			assert_true(str_eqc(value, cases[i].value));
		else if (cases[i].e == OK)
			assert_null(value.p);
	}
	arena_release(&r.arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_a_field_once_however_its_name_is_written),
	};

	return cmocka_run_group_tests_name("form", tests, NULL, NULL);
}
