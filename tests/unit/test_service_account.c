/* Service accounts and their credentials. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "iam/credential.h"
#include "iam/service_account.h"
#include "iam_fixture.h"

static const unsigned char hash[32] = "a hash";

static struct id account(struct iam *t, const char *name, const char *tenant, enum err expect)
{
	struct service_account sa = { .id = id_new(NOW), .name = str_c(name), .tenant = str_c(tenant) };
	struct write w;

	iam_begin(t, &w);
	service_account_insert(&w, &sa);
	assert_int_equal(iam_commit(t, &w), expect);
	return sa.id;
}

static enum err credential(struct iam *t, struct id account, enum credential_kind kind,
    const char *subject)
{
	struct credential c = { .id = id_new(NOW), .service_account = account, .kind = kind,
		.subject = str_c(subject) };
	struct write w;

	iam_begin(t, &w);
	credential_insert(&w, &c, subject == NULL ? hash : NULL);
	return iam_commit(t, &w);
}

static void names_are_unique_in_a_tenant(void **state)
{
	struct iam *t = *state;
	struct service_account_patch p = { .set_name = true, .name = STR("ci") };
	struct service_account row;
	struct write w;
	struct id id;

	iam_tenant(t, "acme");
	account(t, "ci", NULL, OK);
	account(t, "ci", NULL, E_CONFLICT);
	account(t, "ci", "acme", OK);
	account(t, "ci", "acme", E_CONFLICT);
	account(t, "ci", "nowhere", E_INVALID_FIELD);
	id = account(t, "cd", "acme", OK);
	iam_begin(t, &w);
	service_account_update(&w, id, 1, &p);
	assert_int_equal(iam_commit(t, &w), E_CONFLICT);
	p = (struct service_account_patch){ .set_disabled = true, .disabled = true };
	iam_begin(t, &w);
	service_account_update(&w, id, 1, &p);
	assert_int_equal(iam_commit(t, &w), OK);
	assert_int_equal(service_account_by_id(t->x.store, id, &t->x.arena, &row, NULL), OK);
	assert_true(row.disabled);
	assert_true(str_eq(row.name, STR("cd")));
}

static void credentials_live_side_by_side(void **state)
{
	struct iam *t = *state;
	struct id id = account(t, "ci", NULL, OK);
	struct credential *list;
	struct write w;
	size_t n;

	assert_int_equal(credential(t, id, CREDENTIAL_SECRET, NULL), OK);
	assert_int_equal(credential(t, id, CREDENTIAL_API_KEY, NULL), OK);
	assert_int_equal(credential(t, id, CREDENTIAL_CERTIFICATE, "CN=ci"), OK);
	assert_int_equal(credential(t, id, CREDENTIAL_CERTIFICATE, "CN=ci"), E_CONFLICT);
	assert_int_equal(credential(t, id_new(NOW), CREDENTIAL_SECRET, NULL), E_NOT_FOUND);
	assert_int_equal(credential_list(t->x.store, id, &t->x.arena, &list, &n, NULL), OK);
	assert_int_equal(n, 3);
	iam_begin(t, &w);
	credential_delete(&w, id_new(NOW), list[0].id); /* of another account */
	assert_int_equal(iam_commit(t, &w), E_NOT_FOUND);
	iam_begin(t, &w);
	credential_delete(&w, id, list[0].id);
	assert_int_equal(iam_commit(t, &w), OK);
	assert_int_equal(iam_count(t, "SELECT count(*) FROM credential"), 2);
}

static void credentials_are_bounded(void **state)
{
	struct iam *t = *state;
	struct id id = account(t, "ci", NULL, OK);

	for (int i = 0; i < CREDENTIALS_MAX; i++)
		assert_int_equal(credential(t, id, CREDENTIAL_API_KEY, NULL), OK);
	assert_int_equal(credential(t, id, CREDENTIAL_API_KEY, NULL), E_LIMIT);
	assert_int_equal(iam_count(t, "SELECT count(*) FROM credential"), CREDENTIALS_MAX);
}

static void goes_with_all_it_has(void **state)
{
	struct iam *t = *state;
	struct id id = account(t, "ci", NULL, OK);
	struct write w;

	iam_tenant(t, "acme");
	iam_assign(t, id, "acme", "tenant-member");
	assert_int_equal(credential(t, id, CREDENTIAL_SECRET, NULL), OK);
	iam_begin(t, &w);
	service_account_delete(&w, id, 0);
	assert_int_equal(iam_commit(t, &w), OK);
	assert_int_equal(iam_count(t, "SELECT (SELECT count(*) FROM credential)"
	    " + (SELECT count(*) FROM assignment)"), 0);
	assert_int_equal(iam_count(t, "SELECT count(*) FROM change WHERE kind = 'credential'"), 2);
}

static void lists_by_tenant(void **state)
{
	struct iam *t = *state;
	struct service_account_filter q = { .tenant = STR("acme"), .limit = 10 };
	struct service_account *list;
	size_t n;

	iam_tenant(t, "acme");
	account(t, "a", NULL, OK);
	account(t, "b", "acme", OK);
	account(t, "c", "acme", OK);
	assert_int_equal(service_account_list(t->x.store, &q, &t->x.arena, &list, &n, NULL), OK);
	assert_int_equal(n, 2);
	q = (struct service_account_filter){ .limit = 2 };
	assert_int_equal(service_account_list(t->x.store, &q, &t->x.arena, &list, &n, NULL), OK);
	assert_int_equal(n, 2);
	q.after_set = true;
	q.after = list[1].id;
	assert_int_equal(service_account_list(t->x.store, &q, &t->x.arena, &list, &n, NULL), OK);
	assert_int_equal(n, 1);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, iam_setup, iam_teardown)
	const struct CMUnitTest tests[] = {
		T(names_are_unique_in_a_tenant), T(credentials_live_side_by_side),
		T(credentials_are_bounded), T(goes_with_all_it_has), T(lists_by_tenant),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
