/* The guard that a write hangs on what somebody may do. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "iam/assignment.h"
#include "iam/principal.h"
#include "iam/role.h"
#include "iam/service_account.h"
#include "iam_fixture.h"

static struct principal *load(struct iam *t, struct id id)
{
	struct principal *p = NULL;
	struct fail f = { 0 };

	assert_ok(principal_load(t->x.store, id, &p, &f), &f);
	return p;
}

/* What a write comes to that hangs on p as it was; it leaves a change of p's own behind the guard. */
static enum err guarded(struct iam *t, const struct principal *p)
{
	struct write w;

	iam_begin(t, &w);
	principal_guard(&w, p);
	write_change_id(&w, CHANGE_PRINCIPAL, &p->id);
	return iam_commit(t, &w);
}

static struct id account(struct iam *t)
{
	struct service_account sa = { .id = id_new(NOW), .name = STR("robot") };
	struct write w;

	iam_begin(t, &w);
	service_account_insert(&w, &sa);
	assert_int_equal(iam_commit(t, &w), OK);
	return sa.id;
}

static void check(struct iam *t, struct id id)
{
	struct id other = iam_user(t, "other@example.test");
	struct principal *p = load(t, id), *again;
	struct role_def role = { .id = STR("clerk"), .name = STR("Clerk") };
	struct write w;

	(void)iam_assign(t, other, "acme", "tenant-member"); /* nothing to do with p */
	assert_int_equal(guarded(t, p), OK);
	assert_int_equal(guarded(t, p), E_PRECONDITION_FAILED); /* its own change */
	principal_unref(p);

	p = load(t, id);
	(void)iam_assign(t, id, "*", "platform-admin");
	assert_int_equal(guarded(t, p), E_PRECONDITION_FAILED);
	again = load(t, id);
	assert_int_equal(guarded(t, again), OK);
	principal_unref(again);
	principal_unref(p);

	p = load(t, id);
	iam_begin(t, &w);
	role_insert(&w, &role);
	assert_int_equal(iam_commit(t, &w), OK);
	assert_int_equal(guarded(t, p), E_PRECONDITION_FAILED);
	principal_unref(p);
}

static void rights_that_grow_stop_a_write(void **state)
{
	struct iam *t = *state;

	iam_tenant(t, "acme");
	check(t, iam_user(t, "ada@example.test"));
}

static void those_of_a_service_account_too(void **state)
{
	struct iam *t = *state;

	iam_tenant(t, "acme");
	check(t, account(t));
}

static void who_is_gone_stops_it(void **state)
{
	struct iam *t = *state;
	struct id id = iam_user(t, "ada@example.test");
	struct principal *p = load(t, id);

	fixture_exec(t->x.store, (struct store_stmt)STMT("DELETE FROM user WHERE id = ?", SV_ID(&id)));
	assert_int_equal(guarded(t, p), E_PRECONDITION_FAILED);
	principal_unref(p);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, iam_setup, iam_teardown)
	const struct CMUnitTest tests[] = {
		T(rights_that_grow_stop_a_write), T(those_of_a_service_account_too), T(who_is_gone_stops_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
