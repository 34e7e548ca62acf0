#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "store/list.h"
#include "store_fixture.h"

struct pair {
	int64_t n;
	struct str name;
};

static void pair_of(const struct store_rows *r, size_t i, void *item)
{
	*(struct pair *)item = (struct pair){ store_int(r, i, 0), store_str(r, i, 1) };
}

static int set_up(void **state)
{
	static struct fixture x;

	fixture_sqlite(&x);
	*state = &x;
	return 0;
}

static int tear_down(void **state)
{
	fixture_release(*state);
	return 0;
}

static const struct store_stmt two = { .sql = "SELECT 1, 'one' UNION ALL SELECT 2, 'two' ORDER BY 1" };
static const struct store_stmt none = { .sql = "SELECT 1, 'one' WHERE 0" };

static void lists_rows_in_their_order(void **state)
{
	struct fixture *x = *state;
	struct pair *p = NULL;
	size_t n = 0;

	assert_int_equal(STORE_LIST(x->store, STORE_FRESH, &two, &x->arena, pair_of, &p, &n, NULL), OK);
	assert_int_equal(n, 2);
	assert_true(p[0].n == 1 && str_eqc(p[0].name, "one"));
	assert_true(p[1].n == 2 && str_eqc(p[1].name, "two"));
	p = NULL;
	assert_int_equal(STORE_LIST(x->store, STORE_FRESH, &none, &x->arena, pair_of, &p, &n, NULL), OK);
	assert_int_equal(n, 0);
	assert_non_null(p);
}

static void one_is_the_first_or_not_found(void **state)
{
	struct fixture *x = *state;
	struct fail f = { 0 };
	struct pair p = { 0 };

	assert_ok(store_one(x->store, STORE_LINEAR, &two, &x->arena, pair_of, "no %s pair", &p, &f), &f);
	assert_true(p.n == 1 && str_eqc(p.name, "one"));
	assert_int_equal(store_one(x->store, STORE_LINEAR, &none, &x->arena, pair_of, "no %s pair", &p, &f),
	    E_NOT_FOUND);
	assert_string_equal(fail_text(&f), "no %s pair");
	fail_clear(&f);
}

static void what_fails_changes_nothing(void **state)
{
	struct fixture *x = *state;
	struct pair one = { .n = 7 }, *p = &one;
	size_t n = 7;

	store_fail_after(x->store, 1);
	assert_int_equal(STORE_LIST(x->store, STORE_FRESH, &two, &x->arena, pair_of, &p, &n, NULL),
	    E_STORE_UNAVAILABLE);
	store_fail_after(x->store, 1);
	assert_int_equal(store_one(x->store, STORE_FRESH, &two, &x->arena, pair_of, "none", &one, NULL),
	    E_STORE_UNAVAILABLE);
	assert_true(p == &one && one.n == 7 && n == 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(lists_rows_in_their_order, set_up, tear_down),
		cmocka_unit_test_setup_teardown(one_is_the_first_or_not_found, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_fails_changes_nothing, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("list", tests, NULL, NULL);
}
