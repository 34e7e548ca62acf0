#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "base/buf.h"
#include "base/clock.h"
#include "iam/audit.h"
#include "iam/tenant.h"
#include "iam_fixture.h"

static const struct id replica = { { 1 } };

static struct audit_record record(const char *action)
{
	return (struct audit_record){ .at = NOW, .method = STR("access_token"), .action = str_c(action),
		.outcome = STR("ok"), .after = STR("{\"id\":\"x\"}"), .request_id = STR("r") };
}

static struct audit *open_audit(struct store *s)
{
	struct audit *a;

	assert_int_equal(audit_new(s, replica, &a), OK);
	return a;
}

/* The whole log as an export, newest first, checked line by line; its number of records. */
static enum err verify(struct iam *t, int64_t *n)
{
	struct audit_filter q = { .limit = 100000 };
	struct audit_verify v = { 0 };
	struct audit_row *rows;
	struct buf line;
	enum err e = OK;
	size_t count;

	buf_init(&line, 1 << 20);
	assert_int_equal(audit_list(t->x.store, &q, &t->x.arena, &rows, &count, NULL), OK);
	for (size_t i = 0; e == OK && i < count; i++) {
		struct jsonw w = jsonw_on(&line);

		buf_clear(&line);
		audit_record_write(&w, &rows[i].r, rows[i].prev, rows[i].hash);
		e = audit_verify_line(&v, buf_str(&line), NULL);
	}
	buf_release(&line);
	*n = v.lines;
	return e;
}

static enum err make_tenant(struct iam *t, struct audit *a, const char *id)
{
	struct audit_record r = record("tenants.create");
	struct write w;

	iam_begin(t, &w);
	tenant_insert(&w, str_c(id), str_c(id));
	return audit_commit(a, &w, &r, NULL);
}

static void joins_the_batch_of_its_mutation(void **state)
{
	struct iam *t = *state;
	struct audit *a = open_audit(t->x.store);
	int64_t n;

	assert_int_equal(make_tenant(t, a, "acme"), OK);
	assert_int_equal(make_tenant(t, a, "acme"), E_CONFLICT); /* no tenant, no record */
	assert_int_equal(make_tenant(t, a, "other"), OK);
	assert_int_equal(verify(t, &n), OK);
	assert_int_equal(n, 2);
	audit_free(a);
}

static void posts_arrive_in_order(void **state)
{
	struct iam *t = *state;
	struct audit *a = open_audit(t->x.store);
	struct audit_record r = record("auth.signin");
	int64_t n;

	for (int i = 0; i < 100; i++) {
		r.at = NOW + i * 1000;
		assert_int_equal(audit_post(a, &r), OK);
	}
	assert_true(audit_flush(a, 60 * CLOCK_SEC));
	assert_int_equal(verify(t, &n), OK);
	assert_int_equal(n, 100);
	assert_int_equal(iam_count(t, "SELECT count(*) FROM audit a JOIN audit b ON b.seq = a.seq + 1"
	    " WHERE b.at <= a.at"), 0);
	audit_free(a);
}

static void the_end_stores_what_waits(void **state)
{
	struct iam *t = *state;
	struct audit *a = open_audit(t->x.store);
	struct audit_record r = record("auth.signin");

	for (int i = 0; i < 50; i++)
		assert_int_equal(audit_post(a, &r), OK);
	audit_free(a);
	assert_int_equal(iam_count(t, "SELECT count(*) FROM audit"), 50);
}

static void a_store_that_fails_loses_nothing(void **state)
{
	struct iam *t = *state;
	struct audit *a = open_audit(t->x.store);
	struct audit_record r = record("auth.signin");
	int64_t n;

	for (int i = 1; i <= 3; i++) {
		store_fail_after(t->x.store, i);
		assert_int_equal(audit_post(a, &r), OK);
		assert_true(audit_flush(a, 60 * CLOCK_SEC));
	}
	store_fail_after(t->x.store, 0);
	assert_int_equal(verify(t, &n), OK);
	assert_int_equal(n, 3);
	audit_free(a);
}

/* ---- tampering ------------------------------------------------------------------------------ */

static void tampering_shows(void **state)
{
	static const char *const harm[] = {
		"UPDATE audit SET outcome = 'forbidden' WHERE seq = 3",
		"UPDATE audit SET at = at + 1000 WHERE seq = 3",
		"UPDATE audit SET after = NULL WHERE seq = 3",
		"UPDATE audit SET target = '' WHERE seq = 3", /* absent is not empty */
		"UPDATE audit SET actor_name = action, action = 'x' WHERE seq = 3",
		"UPDATE audit SET prev_hash = zeroblob(32) WHERE seq = 3",
		"DELETE FROM audit WHERE seq = 3",
		"UPDATE audit SET seq = seq + 1 WHERE seq = 5",
	};
	struct iam *t = *state;
	struct audit *a;
	struct audit_record r = record("auth.signin");
	int64_t n;

	for (size_t i = 0; i < sizeof harm / sizeof *harm; i++) {
		fixture_exec(t->x.store, (struct store_stmt)STMT("DELETE FROM audit"));
		a = open_audit(t->x.store);
		for (int k = 0; k < 5; k++)
			audit_post(a, &r);
		audit_free(a);
		assert_int_equal(verify(t, &n), OK);
		fixture_exec(t->x.store, (struct store_stmt){ .sql = harm[i], .expect = STORE_ANY });
		if (verify(t, &n) == OK)
			fail_msg("not seen: %s", harm[i]);
	}
}

static void an_export_is_checked_both_ways(void **state)
{
	unsigned char hash[3][AUDIT_HASH], zeros[AUDIT_HASH] = { 0 };
	struct audit_record r = record("a");
	struct audit_verify up = { 0 }, down = { 0 }, gap = { 0 };
	struct buf line[3];

	(void)state;
	for (int i = 0; i < 3; i++) {
		const unsigned char *prev = i == 0 ? zeros : hash[i - 1];
		struct jsonw w;

		r.seq = i + 1;
		audit_record_hash(&r, prev, hash[i]);
		buf_init(&line[i], 4096);
		w = jsonw_on(&line[i]);
		audit_record_write(&w, &r, prev, hash[i]);
	}
	for (int i = 0; i < 3; i++)
		assert_int_equal(audit_verify_line(&up, buf_str(&line[i]), NULL), OK);
	for (int i = 2; i >= 0; i--)
		assert_int_equal(audit_verify_line(&down, buf_str(&line[i]), NULL), OK);
	assert_int_equal(audit_verify_line(&gap, buf_str(&line[0]), NULL), OK);
	assert_int_equal(audit_verify_line(&gap, buf_str(&line[2]), NULL), E_INVALID_FIELD);
	assert_int_equal(audit_verify_line(&gap, STR("{}"), NULL), E_INVALID_FIELD);
	assert_int_equal(audit_verify_line(&gap, STR("nonsense"), NULL), E_INVALID_FIELD);
	for (int i = 0; i < 3; i++)
		buf_release(&line[i]);
}

static void secrets_do_not_enter(void **state)
{
	struct iam *t = *state;
	struct str s = audit_json(STR("{\"id\":\"1\",\"secret\":\"hunter2\",\"a\":[{\"password\":\"x\"}]}"),
	    &t->x.arena);

	assert_true(str_eq(s, STR("{\"a\":[{}],\"id\":\"1\"}")));
	assert_null(audit_json(STR("nonsense"), &t->x.arena).p);
}

/* ---- two replicas --------------------------------------------------------------------------- */

struct race {
	struct iam *t;
	struct audit *a[2];
	enum err e[64];
};

static void mutate(void *arg, int i)
{
	struct race *r = arg;
	struct audit_record rec = record("tenants.create");
	char id[16];
	struct arena a;
	struct write w;

	for (int k = 0; k < 5; k++) {
		arena_init(&a, 1 << 20);
		write_init(&w, &a, NOW);
		snprintf(id, sizeof id, "t%d-%d", i, k);
		tenant_insert(&w, str_c(id), str_c(id));
		r->e[i] = audit_commit(r->a[i % 2], &w, &rec, NULL);
		arena_release(&a);
		(void)audit_post(r->a[i % 2], &rec);
		if (r->e[i] != OK)
			return;
	}
}

static void replicas_make_one_chain(void **state)
{
	struct iam *t = *state;
	struct race r = { .t = t };
	int64_t n;

	r.a[0] = open_audit(iam_store(t, 0));
	r.a[1] = open_audit(iam_store(t, 1));
	iam_together(8, mutate, &r);
	for (int i = 0; i < 8; i++)
		assert_int_equal(r.e[i], OK);
	audit_free(r.a[0]);
	audit_free(r.a[1]);
	assert_int_equal(verify(t, &n), OK);
	assert_int_equal(n, 80);
	assert_int_equal(iam_count(t, "SELECT count(*) FROM tenant"), 40);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, iam_setup, iam_teardown)
#define R(f) cmocka_unit_test_setup_teardown(f, iam_setup_rqlite, iam_teardown)
	const struct CMUnitTest on_sqlite[] = {
		T(joins_the_batch_of_its_mutation), T(posts_arrive_in_order), T(the_end_stores_what_waits),
		T(a_store_that_fails_loses_nothing), T(tampering_shows), T(an_export_is_checked_both_ways),
		T(secrets_do_not_enter), T(replicas_make_one_chain),
	};
	const struct CMUnitTest on_rqlite[] = {
		R(joins_the_batch_of_its_mutation), R(posts_arrive_in_order), R(replicas_make_one_chain),
	};

	return cmocka_run_group_tests(on_sqlite, NULL, NULL) +
	    cmocka_run_group_tests(on_rqlite, iam_cluster_up, iam_cluster_down);
}
