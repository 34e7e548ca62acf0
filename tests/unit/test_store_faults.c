/* The n-th allocation fails, for every n, and so does the n-th call of the store: each call ends with
 * an error that says so, nothing is half written, nothing stays open (AddressSanitizer looks). */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/heap.h"
#include "base/log.h"
#include "store/change.h"
#include "store/migrate.h"
#include "store/rqlite_wire.h"
#include "store_fixture.h"

#define S(...) ((struct store_stmt)STMT(__VA_ARGS__))

static int setup(void **state)
{
	struct fixture *x = calloc(1, sizeof *x);

	fixture_sqlite(x);
	fixture_exec(x->store, S("CREATE TABLE t (id INTEGER PRIMARY KEY, b BLOB) STRICT"));
	store_close(x->store);
	x->store = NULL;
	*state = x;
	return 0;
}

static int teardown(void **state)
{
	fixture_release(*state);
	free(*state);
	return 0;
}

/* Opens, writes a batch of two rows, reads them back, closes. */
static enum err write_and_read(const char *url, struct fail *f)
{
	struct store_stmt w[] = { STMT1(0, "INSERT INTO t (b) VALUES (?)", SV_BLOB(STR("one"))),
		STMT1(0, "INSERT INTO t (b) VALUES (?)", SV_BLOB(STR("two"))) };
	struct store_stmt q[] = { STMT("SELECT id, b FROM t ORDER BY id"), STMT("SELECT 1") };
	struct store_batch batch = { id_new(clock_wall()), w, 2 };
	struct store_config c = { .url = url };
	struct store_rows r[2];
	struct store *s;
	struct arena a;
	enum err e = store_open(&s, &c, f);

	if (e != OK)
		return e;
	arena_init(&a, 1 << 20);
	e = store_write(s, &batch, NULL, f);
	if (e == OK)
		e = store_read(s, STORE_LINEAR, q, 2, &a, r, f);
	if (e == OK && (r[0].nrows % 2 != 0 || r[0].nrows == 0))
		e = E_INTERNAL;
	arena_release(&a);
	store_close(s);
	return e;
}

static int64_t rows_in(struct fixture *x)
{
	int64_t n;

	fixture_reopen(x);
	n = fixture_int(x->store, S("SELECT count(*) FROM t"));
	store_close(x->store);
	x->store = NULL;
	return n;
}

static void any_allocation_of_a_write_or_read_may_fail(void **state)
{
	struct fixture *x = *state;
	int64_t before = 0, after;
	int failed = 0;
	bool hit;
	long n = 0;

	do {
		struct fail f = { 0 };
		enum err e;

		heap_fail_after(++n);
		e = write_and_read(x->url, &f);
		hit = heap_fail_after(0);
		after = rows_in(x);
		if (e != OK && e != E_NOMEM)
			fail_msg("%s: %s", err_code(e), f.text);
		assert_true(hit || e == OK);
		assert_true(after == before + 2 || (after == before && e != OK));
		failed += e != OK;
		before = after;
		fail_clear(&f);
	} while (hit && n < 10000);
	print_message("%d allocations\n", failed);
	assert_true(failed > 5);
}

static void any_allocation_of_a_migration_may_fail(void **state)
{
	struct fixture *x = *state;
	static const struct migration list[] = {
		{ 1, "one", "CREATE TABLE a (x INTEGER) STRICT; INSERT INTO a VALUES (1);", 59 },
		{ 2, "two", "INSERT INTO a VALUES (2); INSERT INTO a VALUES (3);", 51 },
		{ 0 },
	};
	bool hit;
	long n = 0;

	do {
		struct fail f = { 0 };
		enum err e;

		fixture_reopen(x);
		fixture_exec(x->store, S("DROP TABLE IF EXISTS a"));
		fixture_exec(x->store, S("DROP TABLE IF EXISTS schema_migrations"));
		heap_fail_after(++n);
		e = migrate_up(x->store, list, 1, NULL, &f);
		hit = heap_fail_after(0);
		assert_true(e == OK || (hit && e == E_NOMEM));
		assert_ok(migrate_up(x->store, list, 1, NULL, &f), &f);
		assert_int_equal(fixture_int(x->store, S("SELECT count(*) FROM a")), 3);
		fail_clear(&f);
	} while (hit && n < 10000);
	assert_true(n > 3);
}

static void any_call_of_a_migration_may_fail(void **state)
{
	struct fixture *x = *state;
	bool hit;
	long n = 0;

	do {
		struct fail f = { 0 };
		enum err e;

		temp_remove(x->dir);
		store_close(x->store);
		fixture_sqlite(x);
		store_fail_after(x->store, ++n);
		e = migrate_up(x->store, migrations_embedded, 1, NULL, &f);
		hit = store_fail_after(x->store, 0);
		assert_int_equal(e, hit ? E_STORE_UNAVAILABLE : OK);
		assert_ok(migrate_up(x->store, migrations_embedded, 1, NULL, &f), &f);
		assert_ok(migrate_check(x->store, migrations_embedded, &f), &f);
		fail_clear(&f);
	} while (hit && n < 10000);
	assert_true(n > 3);
}

static void any_allocation_of_the_wire_may_fail(void **state)
{
	struct store_stmt st[] = { STMT("A ? ?", SV_BLOB(STR("blob")), SV_Z("text")),
		STMT1(0, "B") };
	struct store_batch b = { { { 1 } }, st, 2 };
	bool hit;
	long n = 0;

	(void)state;
	do {
		struct fail f = { 0 };
		struct buf out;
		enum err e;

		buf_init(&out, 1 << 20);
		heap_fail_after(++n);
		e = wire_batch(&out, &b, &f);
		hit = heap_fail_after(0);
		assert_int_equal(e, hit ? E_NOMEM : OK);
		buf_release(&out);
		fail_clear(&f);
	} while (hit && n < 1000);
	assert_true(n > 3);
}

static void nothing(void *ctx, const struct change *c, size_t n, bool flush, int64_t seq)
{
	(void)ctx, (void)c, (void)n, (void)flush, (void)seq;
}

static void any_allocation_of_the_feed_may_fail(void **state)
{
	struct fixture *x = *state;
	struct feed_config c = { .poll_us = 3600 * CLOCK_SEC };
	struct feed_hooks h = { .apply = nothing };
	struct fail f = { 0 };
	struct feed *feed;
	bool hit;
	long n = 0;
	enum err e;

	fixture_reopen(x);
	assert_ok(migrate_up(x->store, migrations_embedded, 1, NULL, &f), &f);
	do {
		heap_fail_after(++n);
		e = feed_start(&feed, x->store, &c, &h, &f);
		if (e == OK)
			e = feed_sync(feed, 20 * CLOCK_MS);
		hit = heap_fail_after(0);
		/* on a busy machine 20 ms may be too short for a read that does not fail */
		assert_true(e == OK || e == E_STATE_STALE || (hit && e == E_NOMEM));
		if (feed != NULL)
			assert_int_equal(feed_sync(feed, 60 * CLOCK_SEC), OK);
		feed_stop(feed);
		fail_clear(&f);
	} while ((hit || e != OK) && n < 1000);
	assert_true(n > 1);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(any_allocation_of_a_write_or_read_may_fail),
		T(any_allocation_of_a_migration_may_fail),
		T(any_call_of_a_migration_may_fail),
		T(any_allocation_of_the_wire_may_fail),
		T(any_allocation_of_the_feed_may_fail),
	};

	log_configure(LOG_ERROR, true);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
