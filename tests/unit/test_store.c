/* The store's promises, alike on both engines: SQLite, and rqlite on three real nodes. STORE_URL in
 * the environment runs them on that store alone. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/heap.h"
#include "rqlited.h"
#include "store/migrate.h"
#include "store_fixture.h"

static struct rqlited cluster;
static struct fixture fix;

#define S(...) ((struct store_stmt)STMT(__VA_ARGS__))

static int reset(void **state)
{
	(void)state;
	arena_clear(&fix.arena);
	fixture_exec(fix.store, S("DROP TABLE IF EXISTS t"));
	fixture_exec(fix.store, S("CREATE TABLE t (id INTEGER PRIMARY KEY, s TEXT UNIQUE, b BLOB,"
	    " n INTEGER CHECK (n > -5 OR n < -1000)) STRICT"));
	return 0;
}

static struct store_rows read1(struct store_stmt st)
{
	struct store_rows r;
	struct fail f = { 0 };

	assert_ok(store_read(fix.store, STORE_LINEAR, &st, 1, &fix.arena, &r, &f), &f);
	return r;
}

/* ---- values -------------------------------------------------------------------------------- */

static void integers_are_exact(void **state)
{
	static const int64_t v[] = { 0, 1, -1, INT64_C(9007199254740993), INT64_C(-9007199254740993),
		INT64_MAX, INT64_MIN, INT64_C(1700000000000000) };

	(void)state;
	for (size_t i = 0; i < sizeof v / sizeof *v; i++) {
		struct store_rows r;

		fixture_exec(fix.store, S("INSERT INTO t (id) VALUES (?)", SV_INT(v[i])));
		r = read1(S("SELECT id, id = ?, ? FROM t WHERE id = ?", SV_INT(v[i]), SV_INT(v[i]),
		    SV_INT(v[i])));
		assert_int_equal(r.nrows, 1);
		assert_int_equal(store_int(&r, 0, 0), v[i]);
		assert_int_equal(store_int(&r, 0, 1), 1);
		assert_int_equal(store_int(&r, 0, 2), v[i]);
	}
}

static void text_is_text_whatever_it_looks_like(void **state)
{
	static const char *const v[] = { "", "plain", "x'6869'", "X'6869'", "x''", "x'68", "x'zz'", "x",
		"X'68' OR 1", "'; DROP TABLE t; --", "\"quoted\"", "back\\slash", "line\nbreak\ttab",
		"\x01\x1f\x7f", "caf\xc3\xa9", "\xf0\x9f\x98\x80", "\xe2\x80\xa8", "?", "null", "12", "1.5",
		"[1,2]", "<&>", "2026-11-21T00:00:00Z" };

	(void)state;
	for (size_t i = 0; i < sizeof v / sizeof *v; i++) {
		struct store_rows r;

		fixture_exec(fix.store, S("INSERT INTO t (id, s) VALUES (?, ?)", SV_INT((int64_t)i),
		    SV_Z(v[i])));
		r = read1(S("SELECT s, typeof(s), typeof(?), id FROM t WHERE s = ? AND s IN (?, ?)",
		    SV_Z(v[i]), SV_Z(v[i]), SV_Z("x'00'"), SV_Z(v[i])));
		assert_int_equal(r.nrows, 1);
		assert_int_equal(store_at(&r, 0, 0)->type, STORE_TEXT);
		assert_true(str_eqc(store_str(&r, 0, 0), v[i]));
		assert_true(str_eqc(store_str(&r, 0, 1), "text"));
		assert_true(str_eqc(store_str(&r, 0, 2), "text"));
		assert_int_equal(store_int(&r, 0, 3), i);
	}
}

static void blobs_come_back_byte_for_byte(void **state)
{
	char all[256];
	struct str v[] = { STR(""), STR("\0"), STR("x'6869'"), STR("hi"), { all, sizeof all } };
	struct id id = id_new(clock_wall());
	struct store_rows r;

	(void)state;
	for (int i = 0; i < 256; i++)
		all[i] = (char)i;
	for (size_t i = 0; i < sizeof v / sizeof *v; i++) {
		fixture_exec(fix.store, S("INSERT INTO t (id, b) VALUES (?, ?)", SV_INT((int64_t)i),
		    SV_BLOB(v[i])));
		r = read1(S("SELECT b, typeof(b), id FROM t WHERE b = ?", SV_BLOB(v[i])));
		assert_int_equal(r.nrows, 1);
		assert_int_equal(store_at(&r, 0, 0)->type, STORE_BLOB);
		assert_true(str_eq(store_str(&r, 0, 0), v[i]));
		assert_true(str_eqc(store_str(&r, 0, 1), "blob"));
		assert_int_equal(store_int(&r, 0, 2), i);
	}
	fixture_exec(fix.store, S("INSERT INTO t (id, b) VALUES (99, ?)", SV_ID(&id)));
	r = read1(S("SELECT b FROM t WHERE b = ?", SV_ID(&id)));
	assert_int_equal(r.nrows, 1);
	assert_true(id_eq(store_id(&r, 0, 0), id));
}

static void null_is_null(void **state)
{
	struct store_rows r;

	(void)state;
	fixture_exec(fix.store, S("INSERT INTO t (id, s, b, n) VALUES (1, ?, ?, ?)", SV_TEXT(STR_NONE),
	    SV_BLOB(STR_NONE), SV_NULL));
	r = read1(S("SELECT s, b, n FROM t WHERE s IS ?", SV_NULL));
	assert_int_equal(r.nrows, 1);
	for (size_t i = 0; i < 3; i++)
		assert_true(store_is_null(&r, 0, i));
	assert_null(store_str(&r, 0, 0).p);
	assert_int_equal(store_int(&r, 0, 2), 0);
}

static void large_values_pass(void **state)
{
	size_t n = 1 << 20;
	char *big = heap_alloc(n);
	struct store_rows r;

	(void)state;
	memset(big, 'a', n);
	fixture_exec(fix.store, S("INSERT INTO t (id, s, b) VALUES (1, ?, ?)", SV_TEXT(str_n(big, n)),
	    SV_BLOB(str_n(big, n))));
	r = read1(S("SELECT s, b FROM t"));
	assert_true(str_eq(store_str(&r, 0, 0), str_n(big, n)));
	assert_true(str_eq(store_str(&r, 0, 1), str_n(big, n)));
	heap_free(big);
}

static void what_cannot_be_stored_is_refused(void **state)
{
	struct fail f = { 0 };
	struct store_stmt bad = S("INSERT INTO t (id, s) VALUES (1, ?)", SV_TEXT(STR("\xff")));
	struct store_stmt few = S("INSERT INTO t (id, s) VALUES (?, ?)", SV_INT(1));
	struct store_stmt real = S("SELECT 1.5");
	struct store_rows r;

	(void)state;
	assert_int_equal(fixture_write(fix.store, &bad, 1, &f), E_INTERNAL);
	assert_int_equal(fixture_write(fix.store, &few, 1, &f), E_INTERNAL);
	assert_int_equal(store_read(fix.store, STORE_LINEAR, &real, 1, &fix.arena, &r, &f), E_INTERNAL);
	assert_int_equal(fixture_int(fix.store, S("SELECT count(*) FROM t")), 0);
}

/* ---- batches ------------------------------------------------------------------------------- */

static enum err write_at(const struct store_stmt *st, size_t n, size_t *at, struct fail *f)
{
	struct store_batch b = { id_new(clock_wall()), st, n };

	return store_write(fix.store, &b, at, f);
}

static void a_failed_guard_undoes_its_batch(void **state)
{
	struct store_stmt st[] = {
		STMT("INSERT INTO t (id, n) VALUES (1, 10)"),
		STMT1(E_VERSION_CONFLICT, "UPDATE t SET n = 11 WHERE id = ?", SV_INT(1)),
		STMT1(E_NOT_FOUND, "UPDATE t SET n = 12 WHERE id = ?", SV_INT(2)),
		STMT("INSERT INTO t (id) VALUES (3)"),
	};
	struct fail f = { 0 };
	size_t at;

	(void)state;
	assert_int_equal(write_at(st, 4, &at, &f), E_NOT_FOUND);
	assert_int_equal(at, 2);
	assert_string_equal(fail_text(&f), err_info(E_NOT_FOUND)->text);
	assert_int_equal(fixture_int(fix.store, S("SELECT count(*) FROM t")), 0);
	assert_ok(write_at(st, 2, &at, &f), &f);
	assert_int_equal(at, 2);
	assert_int_equal(fixture_int(fix.store, S("SELECT n FROM t WHERE id = 1")), 11);
}

static void a_guard_counts_rows_exactly(void **state)
{
	struct store_stmt st = STMT("UPDATE t SET n = n + 1 WHERE id <= ?", SV_INT(2));
	struct fail f = { 0 };
	size_t at;

	(void)state;
	fixture_exec(fix.store, S("INSERT INTO t (id, n) VALUES (1, 0), (2, 0), (3, 0)"));
	for (st.expect = 0; st.expect < 4; st.expect++) {
		assert_int_equal(write_at(&st, 1, &at, &f), st.expect == 2 ? OK : E_GUARD);
		assert_int_equal(at, st.expect == 2 ? 1 : 0);
	}
	st = S("DELETE FROM t WHERE id = 77");
	st.expect = 0;
	assert_ok(write_at(&st, 1, &at, &f), &f);
	assert_int_equal(fixture_int(fix.store, S("SELECT sum(n) FROM t")), 2);
}

static void a_constraint_names_itself(void **state)
{
	struct store_stmt twice[] = { STMT("INSERT INTO t (id, s) VALUES (1, 'a')"),
		STMT("INSERT INTO t (id, s) VALUES (2, 'a')") };
	struct store_stmt check = STMT("INSERT INTO t (id, n) VALUES (1, -7)");
	struct store_stmt strict = STMT("INSERT INTO t (id, n) VALUES (1, 'text')");
	struct fail f = { 0 };
	size_t at;

	(void)state;
	assert_int_equal(write_at(twice, 2, &at, &f), E_CONSTRAINT);
	assert_int_equal(at, 1);
	assert_string_equal(f.text, "UNIQUE constraint failed: t.s");
	assert_int_equal(write_at(&check, 1, &at, &f), E_CONSTRAINT);
	assert_int_equal(write_at(&strict, 1, &at, &f), E_CONSTRAINT);
	assert_int_equal(fixture_int(fix.store, S("SELECT count(*) FROM t")), 0);
}

static void faults_in_sql_are_told(void **state)
{
	struct store_stmt table = STMT("INSERT INTO nowhere VALUES (1)");
	struct store_stmt column = STMT("UPDATE t SET nosuch = 1");
	struct store_stmt syntax = STMT("UPDATE UPDATE");
	struct store_stmt select = STMT("SELECT x FROM nowhere");
	struct store_rows r;
	struct fail f = { 0 };
	size_t at;

	(void)state;
	assert_int_equal(write_at(&table, 1, &at, &f), E_SCHEMA);
	assert_int_equal(write_at(&column, 1, &at, &f), E_SCHEMA);
	assert_int_equal(write_at(&syntax, 1, &at, &f), E_INTERNAL);
	assert_int_equal(store_read(fix.store, STORE_FRESH, &select, 1, &fix.arena, &r, &f), E_SCHEMA);
	assert_int_equal(store_read(fix.store, STORE_FRESH, &syntax, 1, &fix.arena, &r, &f), E_INTERNAL);
}

static void a_read_never_writes(void **state)
{
	struct store_stmt st = STMT("INSERT INTO t (id) VALUES (1)");
	struct store_rows r;
	struct fail f = { 0 };

	(void)state;
	assert_int_not_equal(store_read(fix.store, STORE_LINEAR, &st, 1, &fix.arena, &r, &f), OK);
	assert_int_equal(fixture_int(fix.store, S("SELECT count(*) FROM t")), 0);
}

static void rows_come_in_order_and_by_the_arena(void **state)
{
	struct store_rows r;
	struct store_stmt many = STMT("SELECT id, s FROM t ORDER BY id");
	struct fail f = { 0 };
	struct arena tiny;

	(void)state;
	fixture_exec(fix.store, S("INSERT INTO t (id, s) WITH RECURSIVE c (x) AS (SELECT 1 UNION ALL"
	    " SELECT x + 1 FROM c WHERE x < 1000) SELECT x, 'row ' || x FROM c"));
	r = read1(many);
	assert_int_equal(r.nrows, 1000);
	assert_int_equal(r.ncols, 2);
	for (size_t i = 0; i < r.nrows; i++)
		assert_int_equal(store_int(&r, i, 0), i + 1);
	assert_true(str_eqc(store_str(&r, 999, 1), "row 1000"));
	arena_init(&tiny, 4096);
	assert_int_equal(store_read(fix.store, STORE_LINEAR, &many, 1, &tiny, &r, &f), E_NOMEM);
	arena_release(&tiny);
	r = read1(S("SELECT id, s FROM t WHERE id < 0"));
	assert_int_equal(r.nrows, 0);
	assert_int_equal(r.ncols, 2);
}

/* ---- many at once -------------------------------------------------------------------------- */

#define THREADS 8

static void in_threads(int n, void *(*run)(void *), void *arg)
{
	pthread_t t[64];

	for (int i = 0; i < n; i++)
		assert_int_equal(pthread_create(&t[i], NULL, run, arg), 0);
	for (int i = 0; i < n; i++)
		pthread_join(t[i], NULL);
}

#define WINS 12
static atomic_int lost_races, broken;

/* Reads the version, then sets it to the next one, until it has won WINS times. */
static void *compare_and_set(void *arg)
{
	(void)arg;
	for (int won = 0; won < WINS;) {
		int64_t v = fixture_int(fix.store, S("SELECT n FROM t WHERE id = 1"));
		struct store_stmt st = STMT1(E_VERSION_CONFLICT,
		    "UPDATE t SET n = ? WHERE id = 1 AND n = ?", SV_INT(v + 1), SV_INT(v));
		enum err e = fixture_write(fix.store, &st, 1, NULL);

		if (e == OK)
			won++;
		else if (e == E_VERSION_CONFLICT)
			lost_races++;
		else
			broken++;
	}
	return NULL;
}

static void compare_and_set_counts_right(void **state)
{
	(void)state;
	lost_races = broken = 0;
	fixture_exec(fix.store, S("INSERT INTO t (id, n) VALUES (1, 0)"));
	in_threads(THREADS, compare_and_set, NULL);
	assert_int_equal(broken, 0);
	assert_int_equal(fixture_int(fix.store, S("SELECT n FROM t WHERE id = 1")), THREADS * WINS);
	print_message("%d won, %d lost\n", THREADS * WINS, lost_races);
}

static atomic_int winners, next_writer;

static void *take_once(void *arg)
{
	struct store_stmt st[] = {
		STMT1(E_CONFLICT, "UPDATE t SET n = 1 WHERE id = 1 AND n = 0"),
		STMT("INSERT INTO t (id, n) SELECT max(id) + 1, 5 FROM t"),
	};
	enum err e = fixture_write(fix.store, st, 2, NULL);

	(void)arg;
	winners += e == OK;
	broken += e != OK && e != E_CONFLICT;
	return NULL;
}

static void of_many_one_wins(void **state)
{
	(void)state;
	winners = broken = 0;
	fixture_exec(fix.store, S("INSERT INTO t (id, n) VALUES (1, 0)"));
	in_threads(32, take_once, NULL);
	assert_int_equal(winners, 1);
	assert_int_equal(broken, 0);
	assert_int_equal(fixture_int(fix.store, S("SELECT count(*) FROM t")), 2);
}

/* Writers of single statements that meet in groups: one row (told of by RETURNING), none, too many. */
static void *write_singles(void *arg)
{
	int me = next_writer++;
	struct arena a;

	(void)arg;
	arena_init(&a, 1 << 20);
	for (int i = 0; i < 12; i++) {
		struct store_stmt st[] = {
			STMT1(E_NOT_FOUND, "UPDATE t SET n = n + 1 WHERE id = ? RETURNING n, hex(b)", SV_INT(me)),
			STMT1(E_NOT_FOUND, "UPDATE t SET n = n + 1 WHERE id = ?", SV_INT(-1 - me)),
			STMT1(E_CONFLICT, "UPDATE t SET n = n + 1 WHERE id IN (?, 100)", SV_INT(me)),
		};
		static const enum err want[] = { OK, E_NOT_FOUND, E_CONFLICT };
		struct store_rows r;
		struct store_batch b = { id_new(clock_wall()), &st[i % 3], 1, &a, &r };
		size_t at = 9;

		broken += store_write(fix.store, &b, &at, NULL) != want[i % 3];
		broken += at != (i % 3 == 0);
		if (i % 3 == 0 && r.ncols > 0) /* else the answer was lost */
			broken += store_int(&r, 0, 0) != i / 3 + 1 || !str_eq(store_str(&r, 0, 1), STR("6162"));
	}
	arena_release(&a);
	return NULL;
}

static void singles_stand_alone_in_a_group(void **state)
{
	(void)state;
	next_writer = broken = 0;
	for (int i = 0; i < 32; i++)
		fixture_exec(fix.store, S("INSERT INTO t (id, n, b) VALUES (?, 0, X'6162')", SV_INT(i)));
	fixture_exec(fix.store, S("INSERT INTO t (id, n) VALUES (100, 0)"));
	in_threads(32, write_singles, NULL);
	assert_int_equal(broken, 0);
	assert_int_equal(fixture_int(fix.store, S("SELECT count(*) FROM t WHERE n = 4")), 32);
	assert_int_equal(fixture_int(fix.store, S("SELECT n FROM t WHERE id = 100")), 0);
}

static atomic_bool done_writing;

/* Moves 1 from row 1 to row 2, in one batch. */
static void *transfer(void *arg)
{
	struct store_stmt st[] = { STMT1(0, "UPDATE t SET n = n - 1 WHERE id = 1"),
		STMT1(0, "UPDATE t SET n = n + 1 WHERE id = 2") };

	(void)arg;
	for (int i = 0; i < 40; i++)
		if (fixture_write(fix.store, st, 2, NULL) != OK)
			broken++;
	done_writing = true;
	return NULL;
}

static void *watch_the_sum(void *arg)
{
	struct store_stmt st[] = { STMT("SELECT n FROM t WHERE id = 1"),
		STMT("SELECT n FROM t WHERE id = 2"), STMT("SELECT sum(n) FROM t") };
	struct store_rows r[3];
	struct arena a;
	bool last;

	(void)arg;
	arena_init(&a, 1 << 20);
	do {
		last = done_writing;
		if (store_read(fix.store, STORE_FRESH, st, 3, &a, r, NULL) != OK ||
		    store_int(&r[0], 0, 0) + store_int(&r[1], 0, 0) != 1000 ||
		    store_int(&r[2], 0, 0) != 1000)
			broken++;
		arena_clear(&a);
	} while (!last);
	arena_release(&a);
	return NULL;
}

static void *transfer_or_watch(void *arg)
{
	return next_writer++ % 2 ? transfer(arg) : watch_the_sum(arg);
}

static void a_read_sees_one_moment(void **state)
{
	(void)state;
	broken = 0;
	done_writing = false;
	next_writer = 0;
	fixture_exec(fix.store, S("INSERT INTO t (id, n) VALUES (1, 1000), (2, 0)"));
	in_threads(4, transfer_or_watch, NULL);
	assert_int_equal(broken, 0);
}

/* What a thread has written it can read at once, at every level but STALE. */
static void *read_own_writes(void *arg)
{
	int64_t me = next_writer++;

	(void)arg;
	for (int i = 0; i < 20; i++) {
		struct store_stmt w = STMT("INSERT INTO t (id, n) VALUES (?, ?)",
		    SV_INT(me * 1000 + i), SV_INT(i));
		struct store_stmt q = STMT("SELECT count(*) FROM t WHERE id = ?", SV_INT(me * 1000 + i));
		struct store_rows r;
		struct arena a;

		arena_init(&a, 1 << 16);
		if (fixture_write(fix.store, &w, 1, NULL) != OK ||
		    store_read(fix.store, STORE_FRESH, &q, 1, &a, &r, NULL) != OK ||
		    store_int(&r, 0, 0) != 1)
			broken++;
		arena_release(&a);
	}
	return NULL;
}

static void one_reads_what_one_wrote(void **state)
{
	(void)state;
	broken = 0;
	next_writer = 0;
	in_threads(THREADS, read_own_writes, NULL);
	assert_int_equal(broken, 0);
	assert_int_equal(fixture_int(fix.store, S("SELECT count(*) FROM t")), THREADS * 20);
}

/* ---- the rest ------------------------------------------------------------------------------ */

static void the_nth_call_fails_as_told(void **state)
{
	struct store_stmt w = STMT("INSERT INTO t (n) VALUES (1)");
	struct fail f = { 0 };
	size_t failed = 0;

	(void)state;
	assert_int_equal(store_fail_after(fix.store, 3), 0);
	for (size_t i = 0; i < 5; i++) {
		enum err e = fixture_write(fix.store, &w, 1, &f);

		failed += e != OK;
		assert_int_equal(e, i == 2 ? E_STORE_UNAVAILABLE : OK);
	}
	assert_int_equal(store_fail_after(fix.store, 0), 1);
	assert_int_equal(store_fail_after(fix.store, 0), 0);
	assert_int_equal(failed, 1);
	assert_int_equal(fixture_int(fix.store, S("SELECT count(*) FROM t")), 4);
}

static void stats_count(void **state)
{
	struct store_stats before, after;

	(void)state;
	store_stats(fix.store, &before);
	fixture_exec(fix.store, S("INSERT INTO t (id) VALUES (1)"));
	fixture_int(fix.store, S("SELECT 1"));
	store_stats(fix.store, &after);
	assert_int_equal(after.writes - before.writes, 1);
	assert_int_equal(after.commits - before.commits, 1);
	assert_int_equal(after.reads - before.reads, 1);
	assert_int_equal(after.write_hist[11] - before.write_hist[11], 1);
	assert_int_equal(after.read_hist[11] - before.read_hist[11], 1);
	assert_int_equal(after.batch_hist[0] - before.batch_hist[0], 1);
	assert_int_equal(after.batch_hist[8], after.commits);
	assert_int_equal(after.write_errors, before.write_errors);
}

static void the_schema_is_made_here_too(void **state)
{
	struct fail f = { 0 };
	int applied;

	(void)state;
	assert_ok(migrate_up(fix.store, migrations_embedded, clock_wall(), &applied, &f), &f);
	assert_true(applied > 0);
	assert_ok(migrate_up(fix.store, migrations_embedded, clock_wall(), &applied, &f), &f);
	assert_int_equal(applied, 0);
	assert_ok(migrate_check(fix.store, migrations_embedded, &f), &f);
	assert_ok(store_tidy(fix.store, clock_wall(), &f), &f);
}

static int open_store(void)
{
	arena_init(&fix.arena, 64 << 20);
	fixture_reopen(&fix);
	return 0;
}

static int close_store(void **state)
{
	(void)state;
	store_close(fix.store);
	fix.store = NULL;
	arena_release(&fix.arena);
	return 0;
}

static int sqlite_up(void **state)
{
	(void)state;
	fixture_sqlite(&fix);
	return 0;
}

static int sqlite_down(void **state)
{
	(void)state;
	fixture_release(&fix);
	return 0;
}

static int rqlite_up(void **state)
{
	(void)state;
	rqlited_start(&cluster, 3);
	fix = (struct fixture){ 0 };
	snprintf(fix.url, sizeof fix.url, "%s", cluster.url);
	return open_store();
}

static int rqlite_down(void **state)
{
	close_store(state);
	rqlited_stop(&cluster);
	return 0;
}

static int given_up(void **state)
{
	(void)state;
	fix = (struct fixture){ 0 };
	snprintf(fix.url, sizeof fix.url, "%s", getenv("STORE_URL"));
	return open_store();
}

#define T(name) cmocka_unit_test_setup(name, reset)

int main(void)
{
	const struct CMUnitTest on_each_engine[] = {
		T(integers_are_exact),
		T(text_is_text_whatever_it_looks_like),
		T(blobs_come_back_byte_for_byte),
		T(null_is_null),
		T(large_values_pass),
		T(what_cannot_be_stored_is_refused),
		T(a_failed_guard_undoes_its_batch),
		T(a_guard_counts_rows_exactly),
		T(a_constraint_names_itself),
		T(faults_in_sql_are_told),
		T(a_read_never_writes),
		T(rows_come_in_order_and_by_the_arena),
		T(compare_and_set_counts_right),
		T(of_many_one_wins),
		T(singles_stand_alone_in_a_group),
		T(a_read_sees_one_moment),
		T(one_reads_what_one_wrote),
		T(the_nth_call_fails_as_told),
		T(stats_count),
		T(the_schema_is_made_here_too),
	};

	if (getenv("STORE_URL") != NULL)
		return cmocka_run_group_tests_name("given", on_each_engine, given_up, close_store);
	return cmocka_run_group_tests_name("sqlite", on_each_engine, sqlite_up, sqlite_down) +
	    cmocka_run_group_tests_name("rqlite", on_each_engine, rqlite_up, rqlite_down);
}
