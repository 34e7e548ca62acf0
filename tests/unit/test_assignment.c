/* Assignments, and what holds them up: tenants and roles. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "iam/assignment.h"
#include "iam/role.h"
#include "iam/service_account.h"
#include "iam/tenant.h"
#include "iam_fixture.h"

static enum err assign(struct iam *t, struct id principal, const char *tenant, const char *role,
    bool built_in)
{
	struct assignment as = { .id = id_new(NOW), .principal = principal, .tenant = str_c(tenant),
		.role = str_c(role) };
	struct write w;

	iam_begin(t, &w);
	assignment_insert(&w, &as, built_in);
	return iam_commit(t, &w);
}

static enum err make_role(struct iam *t, const char *id, const char *tenant)
{
	const struct role_grant g[] = { { STR("command.submit"), STR("order*") },
		{ STR("query.execute"), STR("*") } };
	struct role_def d = { .id = str_c(id), .name = str_c(id), .tenant = str_c(tenant), .grants = g,
		.n = 2 };
	struct write w;

	iam_begin(t, &w);
	role_insert(&w, &d);
	return iam_commit(t, &w);
}

static void names_must_exist(void **state)
{
	struct iam *t = *state;
	struct id user = iam_user(t, "a@x.org");

	iam_tenant(t, "acme");
	assert_int_equal(assign(t, user, "acme", "tenant-member", true), OK);
	assert_int_equal(assign(t, user, "acme", "tenant-member", true), E_CONFLICT);
	assert_int_equal(assign(t, user, "nowhere", "tenant-member", true), E_INVALID_FIELD);
	assert_int_equal(assign(t, id_new(NOW), "acme", "tenant-member", true), E_INVALID_FIELD);
	assert_int_equal(assign(t, user, "acme", "no-such-role", false), E_INVALID_FIELD);
	assert_int_equal(iam_count(t, "SELECT count(*) FROM assignment"), 1);
}

static void a_role_stays_in_its_tenant(void **state)
{
	struct iam *t = *state;
	struct id user = iam_user(t, "a@x.org");

	iam_tenant(t, "acme");
	iam_tenant(t, "other");
	assert_int_equal(make_role(t, "clerk", "acme"), OK);
	assert_int_equal(make_role(t, "reader", NULL), OK);
	assert_int_equal(assign(t, user, "acme", "clerk", false), OK);
	assert_int_equal(assign(t, user, "other", "clerk", false), E_INVALID_FIELD);
	assert_int_equal(assign(t, user, "*", "clerk", false), E_INVALID_FIELD);
	assert_int_equal(assign(t, user, "other", "reader", false), OK);
	assert_int_equal(assign(t, user, "*", "reader", false), OK);
}

static void roles_change_whole(void **state)
{
	struct iam *t = *state;
	const struct role_grant g[] = { { STR("audit.read"), STR("*") } };
	struct role_patch p = { .set_grants = true, .grants = g, .n = 1 };
	struct role_def *defs;
	struct write w;
	size_t n;

	assert_int_equal(make_role(t, "clerk", "nowhere"), E_INVALID_FIELD);
	assert_int_equal(make_role(t, "clerk", NULL), OK);
	assert_int_equal(make_role(t, "clerk", NULL), E_CONFLICT);
	iam_begin(t, &w);
	role_update(&w, STR("clerk"), 7, &p);
	assert_int_equal(iam_commit(t, &w), E_PRECONDITION_FAILED);
	iam_begin(t, &w);
	role_update(&w, STR("clerk"), 1, &p);
	assert_int_equal(iam_commit(t, &w), OK);
	assert_int_equal(role_read_all(t->x.store, &t->x.arena, &defs, &n, NULL), OK);
	assert_int_equal(n, 1);
	assert_int_equal(defs[0].n, 1);
	assert_int_equal(defs[0].version, 2);
	assert_true(str_eq(defs[0].grants[0].right, STR("audit.read")));
}

static void a_role_in_use_is_not_deleted(void **state)
{
	struct iam *t = *state;
	struct id user = iam_user(t, "a@x.org");
	struct write w;

	assert_int_equal(make_role(t, "clerk", NULL), OK);
	assert_int_equal(assign(t, user, "*", "clerk", false), OK);
	iam_begin(t, &w);
	role_delete(&w, STR("clerk"), 0);
	assert_int_equal(iam_commit(t, &w), E_CONFLICT);
	fixture_exec(t->x.store, (struct store_stmt)STMT("DELETE FROM assignment"));
	iam_begin(t, &w);
	role_delete(&w, STR("clerk"), 0);
	assert_int_equal(iam_commit(t, &w), OK);
	assert_int_equal(iam_count(t, "SELECT count(*) FROM role_grant"), 0);
	iam_begin(t, &w);
	role_delete(&w, STR("clerk"), 0);
	assert_int_equal(iam_commit(t, &w), E_NOT_FOUND);
}

static void a_tenant_goes_with_its_assignments(void **state)
{
	struct iam *t = *state;
	struct id user = iam_user(t, "a@x.org"), other = iam_user(t, "b@x.org");
	int64_t before;
	struct write w;

	iam_tenant(t, "acme");
	iam_assign(t, user, "acme", "tenant-member");
	iam_assign(t, user, "acme", "tenant-admin");
	iam_assign(t, other, "acme", "tenant-member");
	assert_int_equal(make_role(t, "clerk", "acme"), OK);
	iam_begin(t, &w);
	tenant_delete(&w, STR("acme"), 0);
	assert_int_equal(iam_commit(t, &w), E_CONFLICT); /* its role */
	fixture_exec(t->x.store, (struct store_stmt)STMT("DELETE FROM role"));
	before = iam_count(t, "SELECT count(*) FROM change WHERE kind = 'principal'");
	iam_begin(t, &w);
	tenant_delete(&w, STR("acme"), 0);
	assert_int_equal(iam_commit(t, &w), OK);
	assert_int_equal(iam_count(t, "SELECT count(*) FROM assignment"), 0);
	assert_int_equal(iam_count(t, "SELECT count(*) FROM change WHERE kind = 'principal'"),
	    before + 2);
	iam_begin(t, &w);
	tenant_delete(&w, STR("acme"), 0);
	assert_int_equal(iam_commit(t, &w), E_NOT_FOUND);
}

static void tenants_have_etags(void **state)
{
	struct iam *t = *state;
	struct tenant row;
	struct write w;

	iam_tenant(t, "acme");
	iam_begin(t, &w);
	tenant_insert(&w, STR("acme"), STR("again"));
	assert_int_equal(iam_commit(t, &w), E_CONFLICT);
	iam_begin(t, &w);
	tenant_update(&w, STR("acme"), 1, &(struct tenant_patch){ .name = STR("Acme") });
	assert_int_equal(iam_commit(t, &w), OK);
	iam_begin(t, &w);
	tenant_update(&w, STR("acme"), 1, &(struct tenant_patch){ .name = STR("stale") });
	assert_int_equal(iam_commit(t, &w), E_PRECONDITION_FAILED);
	assert_int_equal(tenant_by_id(t->x.store, STORE_LINEAR, STR("acme"), &t->x.arena, &row, NULL),
	    OK);
	assert_true(str_eq(row.name, STR("Acme")));
	assert_int_equal(row.version, 2);
}

static void tenant_ids(void **state)
{
	static const char *const bad[] = { "", "-a", "A", "a_b", "a.b", "a b", "\xc3\xa4" };

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_false(tenant_id_is_valid(str_c(bad[i])));
	assert_true(tenant_id_is_valid(STR("0")));
	assert_true(tenant_id_is_valid(STR("a-b-9")));
}

/* Deleting the user and assigning it at the same moment leaves no assignment of nobody. */
struct race {
	struct iam *t;
	struct id user;
	enum err e[2];
};

static void delete_or_assign(void *arg, int i)
{
	struct race *r = arg;
	struct assignment as = { .id = id_new(NOW), .principal = r->user, .tenant = STR("acme"),
		.role = STR("tenant-member") };
	struct arena a;
	struct write w;

	arena_init(&a, 1 << 16);
	write_init(&w, &a, NOW);
	if (i == 0)
		user_delete(&w, r->user, 0);
	else
		assignment_insert(&w, &as, true);
	r->e[i] = write_run(&w, iam_store(r->t, i), NULL);
	arena_release(&a);
}

static void no_assignment_of_nobody(void **state)
{
	struct iam *t = *state;

	iam_tenant(t, "acme");
	iam_assign(t, iam_user(t, "root@x.org"), "*", "platform-admin");
	for (int i = 0; i < 10; i++) {
		struct race r = { .t = t, .user = iam_user(t, "a@x.org") };

		iam_together(2, delete_or_assign, &r);
		assert_int_equal(r.e[0], OK);
		assert_true(r.e[1] == OK || r.e[1] == E_INVALID_FIELD);
		assert_int_equal(iam_count(t, "SELECT count(*) FROM assignment"), 1);
	}
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, iam_setup, iam_teardown)
#define R(f) cmocka_unit_test_setup_teardown(f, iam_setup_rqlite, iam_teardown)
	const struct CMUnitTest on_sqlite[] = {
		T(names_must_exist), T(a_role_stays_in_its_tenant), T(roles_change_whole),
		T(a_role_in_use_is_not_deleted), T(a_tenant_goes_with_its_assignments),
		T(tenants_have_etags), T(tenant_ids), T(no_assignment_of_nobody),
	};
	const struct CMUnitTest on_rqlite[] = {
		R(names_must_exist), R(roles_change_whole), R(a_role_in_use_is_not_deleted),
		R(a_tenant_goes_with_its_assignments), R(no_assignment_of_nobody),
	};

	return cmocka_run_group_tests(on_sqlite, NULL, NULL) +
	    cmocka_run_group_tests(on_rqlite, iam_cluster_up, iam_cluster_down);
}
