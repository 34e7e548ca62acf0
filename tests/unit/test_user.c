#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "iam/assignment.h"
#include "iam/email.h"
#include "iam_fixture.h"

static void folds_addresses(void **state)
{
	struct iam *t = *state;
	struct str a, b;

	assert_int_equal(email_fold(STR("Ann.STRASSE@Example.com"), &t->x.arena, &a), OK);
	assert_true(str_eq(a, STR("ann.strasse@example.com")));
	/* composed and decomposed, capital and small: one account */
	assert_int_equal(email_fold(STR("\xc3\x84nn@x.org"), &t->x.arena, &a), OK);
	assert_int_equal(email_fold(STR("a\xcc\x88nn@x.org"), &t->x.arena, &b), OK);
	assert_true(str_eq(a, b));
}

static void refuses_what_is_no_address(void **state)
{
	static const char *const bad[] = { "", "a", "@", "a@", "@b", "a@b@c", "a b@c", "a@b\n", "a@b,c",
		"\xff@x", "<a@b>", "a\xe2\x80\x8b@b" /* zero width */, "a\xe2\x80\xae@b" /* right to left */,
		"a@b\xc2\xad" /* soft hyphen */, "a\xc2\x9b@b" /* CSI */, "a\xc2\xa0@b" /* no-break space */,
		"a\xef\xb8\x8f@b" /* variation selector */, "a@b..c", "a@.b", "a@b.", "a@.",
		"a@[127.0.0.1]", "a@b(c)", "a@b:c", "a@b\\c" };

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_false(email_is_valid(str_c(bad[i])));
	assert_true(email_is_valid(STR("a@b")));
	assert_true(email_is_valid(STR("j\xc3\xb6rg@b\xc3\xbc" "cher.example")));
	assert_true(email_is_valid(STR("\xe7\x94\xa8\xe6\x88\xb7@\xe4\xbe\x8b.test")));
}

static void one_account_for_an_address(void **state)
{
	struct iam *t = *state;
	struct user u = { .id = id_new(NOW), .email = STR("ANN@x.org") };
	struct str fold;
	struct write w;

	iam_user(t, "ann@X.org");
	assert_int_equal(email_fold(u.email, &t->x.arena, &fold), OK);
	iam_begin(t, &w);
	user_insert(&w, &u, fold);
	assert_int_equal(iam_commit(t, &w), E_EMAIL_TAKEN);
	assert_int_equal(iam_count(t, "SELECT count(*) FROM user"), 1);
	assert_int_equal(iam_count(t, "SELECT count(*) FROM change"), 1);
}

/* ---- signup x signup ------------------------------------------------------------------------ */

struct race {
	struct iam *t;
	struct id ids[64];
	enum err e[64];
};

static void sign_up(void *arg, int i)
{
	struct race *r = arg;
	struct user u = { .id = id_new(NOW), .email = STR("same@x.org"), .phc = STR("phc") };
	struct arena a;
	struct write w;

	arena_init(&a, 1 << 16);
	write_init(&w, &a, NOW);
	user_insert(&w, &u, STR("same@x.org"));
	r->e[i] = write_run(&w, iam_store(r->t, i), NULL);
	arena_release(&a);
}

static void only_one_of_many_signs_up(void **state)
{
	struct race r = { .t = *state };
	int ok = 0;

	iam_together(16, sign_up, &r);
	for (int i = 0; i < 16; i++) {
		ok += r.e[i] == OK;
		assert_true(r.e[i] == OK || r.e[i] == E_EMAIL_TAKEN);
	}
	assert_int_equal(ok, 1);
}

/* ---- the last administrator ----------------------------------------------------------------- */

static enum err disable_on(struct store *s, struct arena *a, struct id id, bool disabled)
{
	struct user_patch p = { .set_disabled = true, .disabled = disabled };
	struct write w;

	write_init(&w, a, NOW);
	user_update(&w, id, 0, &p);
	return write_run(&w, s, NULL);
}

static enum err disable(struct iam *t, struct arena *a, struct id id, bool disabled)
{
	return disable_on(t->x.store, a, id, disabled);
}

static void last_admin_stays(void **state)
{
	struct iam *t = *state;
	struct id admin = iam_user(t, "root@x.org"), other = iam_user(t, "other@x.org");
	struct id as = iam_assign(t, admin, "*", "platform-admin");
	struct assignment row;
	struct write w;

	assert_int_equal(disable(t, &t->x.arena, admin, true), E_LAST_ADMIN);
	iam_begin(t, &w);
	user_delete(&w, admin, 0);
	assert_int_equal(iam_commit(t, &w), E_LAST_ADMIN);
	assert_int_equal(assignment_by_id(t->x.store, as, &t->x.arena, &row, NULL), OK);
	iam_begin(t, &w);
	assignment_delete(&w, &row);
	assert_int_equal(iam_commit(t, &w), E_LAST_ADMIN);
	assert_int_equal(iam_count(t, "SELECT count(*) FROM user WHERE disabled = 0"), 2);
	assert_int_equal(disable(t, &t->x.arena, other, true), OK);
	/* a disabled administrator is none */
	iam_assign(t, other, "*", "platform-admin");
	assert_int_equal(disable(t, &t->x.arena, admin, true), E_LAST_ADMIN);
	assert_int_equal(disable(t, &t->x.arena, other, false), OK);
	assert_int_equal(disable(t, &t->x.arena, admin, true), OK);
	assert_int_equal(disable(t, &t->x.arena, other, true), E_LAST_ADMIN);
}

static void admin_of_one_tenant_is_no_platform_admin(void **state)
{
	struct iam *t = *state;
	struct id admin = iam_user(t, "root@x.org"), other = iam_user(t, "other@x.org");

	iam_tenant(t, "acme");
	iam_assign(t, admin, "*", "platform-admin");
	iam_assign(t, other, "acme", "platform-admin");
	assert_int_equal(disable(t, &t->x.arena, admin, true), E_LAST_ADMIN);
}

static void disable_one(void *arg, int i)
{
	struct race *r = arg;
	struct arena a;

	arena_init(&a, 1 << 16);
	r->e[i] = disable_on(iam_store(r->t, i), &a, r->ids[i], true);
	arena_release(&a);
}

static void one_admin_survives_the_race(void **state)
{
	struct iam *t = *state;
	struct race r = { .t = t };
	char email[32];
	int refused = 0;

	for (int i = 0; i < 8; i++) {
		snprintf(email, sizeof email, "admin%d@x.org", i);
		r.ids[i] = iam_user(t, email);
		iam_assign(t, r.ids[i], "*", "platform-admin");
	}
	iam_together(8, disable_one, &r);
	for (int i = 0; i < 8; i++)
		refused += r.e[i] == E_LAST_ADMIN;
	assert_int_equal(refused, 1);
	assert_int_equal(iam_count(t, "SELECT count(*) FROM user WHERE disabled = 0"), 1);
}

/* ---- changes and lists ---------------------------------------------------------------------- */

static void patch_keeps_what_is_not_set(void **state)
{
	struct iam *t = *state;
	struct id id = iam_user(t, "a@x.org");
	struct user_patch name = { .set_display_name = true, .display_name = STR("Ann") };
	struct user_patch none = { 0 };
	struct user_patch email = { .set_email = true, .email = STR("B@x.org"), .fold = STR("b@x.org") };
	struct user u;
	struct write w;

	iam_begin(t, &w);
	user_update(&w, id, 1, &name);
	assert_int_equal(iam_commit(t, &w), OK);
	iam_begin(t, &w);
	user_update(&w, id, 1, &none);
	assert_int_equal(iam_commit(t, &w), E_PRECONDITION_FAILED);
	iam_begin(t, &w);
	user_update(&w, id, 2, &email);
	assert_int_equal(iam_commit(t, &w), OK);
	assert_int_equal(user_by_id(t->x.store, STORE_LINEAR, id, &t->x.arena, &u, NULL), OK);
	assert_true(str_eq(u.display_name, STR("Ann")));
	assert_true(str_eq(u.email, STR("B@x.org")));
	assert_int_equal(u.version, 3);
	assert_int_equal(u.email_verified_at, 0);
}

static void gone_is_not_found(void **state)
{
	struct iam *t = *state;
	struct user u;
	struct write w;

	iam_begin(t, &w);
	user_delete(&w, id_new(NOW), 0);
	assert_int_equal(iam_commit(t, &w), E_NOT_FOUND);
	assert_int_equal(user_by_id(t->x.store, STORE_LINEAR, id_new(NOW), &t->x.arena, &u, NULL),
	    E_NOT_FOUND);
}

static void lists_by_page_and_tenant(void **state)
{
	struct iam *t = *state;
	struct user_filter q = { .limit = 3, .tenant = STR("acme") };
	struct user *u;
	struct id ids[6];
	char email[32];
	size_t n;

	iam_tenant(t, "acme");
	for (int i = 0; i < 6; i++) {
		snprintf(email, sizeof email, "u%d@x.org", i);
		ids[i] = iam_user(t, email);
		if (i != 2)
			iam_assign(t, ids[i], "acme", "tenant-member");
	}
	iam_assign(t, ids[0], "acme", "tenant-admin"); /* twice in the tenant, once on the page */
	assert_int_equal(user_list(t->x.store, &q, &t->x.arena, &u, &n, NULL), OK);
	assert_int_equal(n, 3);
	q.after_set = true;
	q.after = u[2].id;
	assert_int_equal(user_list(t->x.store, &q, &t->x.arena, &u, &n, NULL), OK);
	assert_int_equal(n, 2);
	q = (struct user_filter){ .limit = 10, .email_fold = STR("u3@x.org") };
	assert_int_equal(user_list(t->x.store, &q, &t->x.arena, &u, &n, NULL), OK);
	assert_int_equal(n, 1);
	assert_true(id_eq(u[0].id, ids[3]));
	q.tenant = STR("other");
	assert_int_equal(user_list(t->x.store, &q, &t->x.arena, &u, &n, NULL), OK);
	assert_int_equal(n, 0);
}

/* A list costs the same at any size: no step of a plan sorts or walks a whole table. */
static void lists_walk_an_index(void **state)
{
	static const char *const plans[] = {
		"EXPLAIN QUERY PLAN SELECT u.id FROM assignment a CROSS JOIN user u ON u.id = a.principal"
		" WHERE a.tenant = 'a' AND a.principal > x'00' AND (0 = 0 OR u.disabled = 1)"
		" GROUP BY a.principal ORDER BY a.principal LIMIT 3",
		"EXPLAIN QUERY PLAN SELECT id FROM user u WHERE u.disabled = 1 AND u.id > x'00'"
		" ORDER BY u.id LIMIT 3",
		"EXPLAIN QUERY PLAN SELECT id FROM assignment WHERE role = 'r' AND tenant = 't'"
		" AND id > x'00' ORDER BY id LIMIT 3",
		"EXPLAIN QUERY PLAN SELECT id FROM assignment WHERE tenant = 't' AND id > x'00'"
		" ORDER BY id LIMIT 3",
		"EXPLAIN QUERY PLAN SELECT id FROM assignment WHERE role = 'r' AND id > x'00'"
		" ORDER BY id LIMIT 3",
		"EXPLAIN QUERY PLAN SELECT id FROM session WHERE principal = x'00' AND id > x'00'"
		" ORDER BY id LIMIT 3",
	};
	struct iam *t = *state;
	struct store_rows rows;

	for (size_t i = 0; i < sizeof plans / sizeof *plans; i++) {
		struct store_stmt s = { .sql = plans[i], .expect = STORE_ANY };

		assert_int_equal(store_read(t->x.store, STORE_LINEAR, &s, 1, &t->x.arena, &rows, NULL), OK);
		for (size_t k = 0; k < rows.nrows; k++) {
			struct str step = store_str(&rows, k, 3);

			if (memmem(step.p, step.n, "TEMP B-TREE", 11) != NULL)
				fail_msg("%s: %.*s", plans[i], STR_ARG(step));
			if (str_starts(step, STR("SCAN")))
				fail_msg("%s: %.*s", plans[i], STR_ARG(step));
		}
	}
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, iam_setup, iam_teardown)
	const struct CMUnitTest tests[] = {
		T(folds_addresses), T(refuses_what_is_no_address), T(one_account_for_an_address),
		T(only_one_of_many_signs_up), T(last_admin_stays),
		T(admin_of_one_tenant_is_no_platform_admin), T(one_admin_survives_the_race),
		T(patch_keeps_what_is_not_set), T(gone_is_not_found), T(lists_by_page_and_tenant),
		T(lists_walk_an_index),
	};

#define R(f) cmocka_unit_test_setup_teardown(f, iam_setup_rqlite, iam_teardown)
	const struct CMUnitTest on_rqlite[] = {
		R(one_account_for_an_address), R(only_one_of_many_signs_up), R(last_admin_stays),
		R(one_admin_survives_the_race), R(patch_keeps_what_is_not_set), R(lists_by_page_and_tenant),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) +
	    cmocka_run_group_tests(on_rqlite, iam_cluster_up, iam_cluster_down);
}
