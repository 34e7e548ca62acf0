/* Migrations, on both engines: order, checksums, refusals, migrators at once, kill -9 at any point, and
 * schema/schema.sql. UPDATE_SCHEMA=1 in the environment rewrites that file. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "rqlited.h"
#include "store/migrate.h"
#include "store_fixture.h"

#define M(version_, name_, sql_) { version_, name_, sql_, sizeof sql_ - 1 }

static const struct migration three[] = {
	M(1, "one", "CREATE TABLE a (x INTEGER) STRICT; INSERT INTO a VALUES (1);"),
	M(2, "two", "INSERT INTO a VALUES (2);\n-- no; statement\nINSERT INTO a VALUES (';' = '');"),
	M(4, "four", "CREATE TRIGGER t AFTER INSERT ON a BEGIN UPDATE a SET x = x + 10; END;"
	    "INSERT INTO a VALUES (3)"),
	{ 0 },
};

static struct rqlited cluster;
static bool on_rqlite;

#define S(...) ((struct store_stmt)STMT(__VA_ARGS__))

static void drop_all(struct fixture *x)
{
	struct store_stmt q = STMT("SELECT 'DROP TABLE ' || name FROM sqlite_schema"
	    " WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"), drop[128];
	struct store_rows r;
	struct fail f = { 0 };

	assert_ok(store_read(x->store, STORE_LINEAR, &q, 1, &x->arena, &r, &f), &f);
	assert_true(r.nrows < 128);
	for (size_t i = 0; i < r.nrows; i++)
		drop[i] = (struct store_stmt){ .sql = store_str(&r, i, 0).p, .expect = STORE_ANY };
	/* op and guard are among them; the next write makes them again */
	if (r.nrows > 0)
		assert_ok(fixture_write(x->store, drop, r.nrows, &f), &f);
	arena_clear(&x->arena);
}

/* A store without a table. */
static void fresh(struct fixture *x)
{
	if (!on_rqlite) {
		fixture_sqlite(x);
		return;
	}
	*x = (struct fixture){ 0 };
	snprintf(x->url, sizeof x->url, "%s", cluster.url);
	arena_init(&x->arena, 64 << 20);
	fixture_reopen(x);
	drop_all(x);
}

static int setup(void **state)
{
	struct fixture *x = calloc(1, sizeof *x);

	fresh(x);
	*state = x;
	return 0;
}

static int teardown(void **state)
{
	fixture_release(*state);
	free(*state);
	return 0;
}

static void applies_in_order_and_once(void **state)
{
	struct fixture *x = *state;
	struct fail f = { 0 };
	int applied;

	assert_ok(migrate_up(x->store, three, 77, &applied, &f), &f);
	assert_int_equal(applied, 3);
	assert_int_equal(fixture_int(x->store, S("SELECT sum(x) FROM a")),
	    1 + 2 + 0 + 3 + 40);
	assert_ok(migrate_up(x->store, three, 78, &applied, &f), &f);
	assert_int_equal(applied, 0);
	assert_ok(migrate_check(x->store, three, &f), &f);
}

static void status_tells_what_is_pending(void **state)
{
	struct fixture *x = *state;
	struct migration two[] = { three[0], three[1], { 0 } };
	struct migration_status *st;
	struct fail f = { 0 };
	size_t n;

	assert_ok(migrate_status(x->store, three, &x->arena, &st, &n, &f), &f);
	assert_int_equal(n, 3);
	assert_int_equal(st[0].state, MIGRATION_PENDING);
	assert_int_equal(migrate_check(x->store, three, &f), E_SCHEMA);
	assert_non_null(strstr(f.text, "0001"));
	assert_ok(migrate_up(x->store, two, 77, NULL, &f), &f);
	assert_ok(migrate_status(x->store, three, &x->arena, &st, &n, &f), &f);
	assert_int_equal(n, 3);
	assert_int_equal(st[1].state, MIGRATION_APPLIED);
	assert_int_equal(st[1].applied_at, 77);
	assert_int_equal(st[2].state, MIGRATION_PENDING);
	assert_int_equal(st[2].version, 4);
	assert_int_equal(migrate_check(x->store, three, &f), E_SCHEMA);
	assert_non_null(strstr(f.text, "0004"));
}

static void assert_refused(struct store *s, const struct migration *list, const char *words)
{
	struct fail f = { 0 };

	assert_int_equal(migrate_up(s, list, 1, NULL, &f), E_SCHEMA);
	assert_non_null(strstr(f.text, words));
	assert_int_equal(migrate_check(s, list, &f), E_SCHEMA);
	assert_non_null(strstr(f.text, words));
}

static void refuses_a_store_that_does_not_fit(void **state)
{
	struct fixture *x = *state;
	struct migration older[] = { three[0], three[1], { 0 } };
	struct migration changed[] = { three[0], M(2, "two", "SELECT 1;"), three[2], { 0 } };
	struct migration between[] = { three[0], three[1], M(3, "new", "SELECT 1;"), three[2], { 0 } };
	struct migration unknown[] = { three[0], three[2], { 0 } };
	struct fail f = { 0 };

	assert_ok(migrate_up(x->store, three, 77, NULL, &f), &f);
	assert_refused(x->store, older, "newer");
	assert_refused(x->store, changed, "checksum");
	assert_refused(x->store, between, "skipped");
	assert_refused(x->store, unknown, "does not know");
}

static void a_bad_migration_leaves_nothing(void **state)
{
	struct fixture *x = *state;
	struct migration bad[] = { three[0],
		M(2, "bad", "CREATE TABLE b (x INTEGER) STRICT; INSERT INTO nowhere VALUES (1)"), { 0 } };
	struct fail f = { 0 };
	int applied;

	assert_int_equal(migrate_up(x->store, bad, 1, &applied, &f), E_SCHEMA);
	assert_int_equal(applied, 1);
	assert_non_null(strstr(f.text, "migration 0002 (bad), statement 2: no such table: nowhere"));
	assert_int_equal(fixture_int(x->store, S(
	    "SELECT count(*) FROM sqlite_schema WHERE name = 'b'")), 0);
	assert_int_equal(fixture_int(x->store, S(
	    "SELECT count(*) FROM schema_migrations")), 1);
}

/* ---- many migrations, killed and raced ---------------------------------------------------- */

#define MANY 24
#define ROWS 40

/* Each makes a table, fills it row by row and checks the one before it by a guard of its own: the
 * insert into `sum` violates its CHECK unless the earlier table is complete. */
static struct migration *many_make(void)
{
	struct migration *list = calloc(MANY + 1, sizeof *list);

	for (int i = 0; i < MANY; i++) {
		struct buf b;

		buf_init(&b, 1 << 20);
		buf_printf(&b, "CREATE TABLE m%d (x INTEGER) STRICT;\n", i);
		for (int r = 0; r < ROWS; r++)
			buf_printf(&b, "INSERT INTO m%d VALUES (%d);\n", i, r);
		buf_printf(&b, "CREATE TABLE s%d (n INTEGER CHECK (n = %d)) STRICT;\n", i, ROWS);
		buf_printf(&b, "INSERT INTO s%d SELECT count(*) FROM m%d;\n", i, i > 0 ? i - 1 : 0);
		list[i] = (struct migration){ i + 1, "many", buf_cstr(&b), b.n };
	}
	return list;
}

static void many_free(struct migration *list)
{
	for (int i = 0; i < MANY; i++)
		free((char *)list[i].sql);
	free(list);
}

static void assert_many_applied(struct store *s, const struct migration *list)
{
	struct fail f = { 0 };

	assert_ok(migrate_check(s, list, &f), &f);
	for (int i = 0; i < MANY; i++) {
		char sql[64];

		snprintf(sql, sizeof sql, "SELECT count(*) FROM m%d", i);
		assert_int_equal(fixture_int(s, (struct store_stmt){ .sql = sql }), ROWS);
	}
}

static pid_t migrate_in_child(const char *url, const struct migration *list)
{
	pid_t pid = fork();

	if (pid == 0) {
		struct store_config c = { .url = url };
		struct store *s;
		struct fail f = { 0 };
		enum err e = store_open(&s, &c, &f);

		if (e == OK)
			e = migrate_up(s, list, 1, NULL, &f);
		if (e != OK)
			fprintf(stderr, "child: %s: %s\n", err_code(e), f.text);
		_exit(e == OK ? 0 : 1);
	}
	return pid;
}

/* How long a whole run takes, so that kills can be spread over it. */
static int64_t time_of_a_run(const struct migration *list)
{
	struct fixture x;
	int64_t start;
	int status;

	fresh(&x);
	store_close(x.store);
	x.store = NULL;
	start = clock_mono();
	waitpid(migrate_in_child(x.url, list), &status, 0);
	start = clock_mono() - start;
	assert_int_equal(status, 0);
	fixture_reopen(&x);
	fixture_release(&x);
	return start;
}

static void a_kill_leaves_either_side_of_a_migration(void **state)
{
	struct migration *list = many_make();
	int64_t whole = time_of_a_run(list);
	int killed = 0, middle = 0, rounds = on_rqlite ? 12 : 40;

	(void)state;
	for (int i = 0; i < rounds; i++) {
		int64_t after = whole * i * 11 / (10 * rounds);
		struct timespec nap = { after / CLOCK_SEC, after % CLOCK_SEC * 1000 };
		struct migration_status *st;
		struct fail f = { 0 };
		struct fixture x;
		size_t n, done = 0;
		int status;
		pid_t pid;

		fresh(&x);
		store_close(x.store);
		x.store = NULL;
		pid = migrate_in_child(x.url, list);
		nanosleep(&nap, NULL); /* the point of the kill (lint: poll) */
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
		killed += WIFSIGNALED(status);
		fixture_reopen(&x);
		assert_ok(migrate_status(x.store, list, &x.arena, &st, &n, &f), &f);
		while (done < n && st[done].state == MIGRATION_APPLIED)
			done++;
		middle += done > 0 && done < n;
		assert_ok(migrate_up(x.store, list, 2, NULL, &f), &f);
		assert_many_applied(x.store, list);
		fixture_release(&x);
	}
	print_message("killed %d of %d runs, %d of them between migrations\n", killed, rounds, middle);
	assert_true(killed > 0 && middle > 0);
	many_free(list);
}

static void migrators_at_once_share_the_work(void **state)
{
	struct fixture *x = *state;
	struct migration *list = many_make();
	pid_t pid[4];
	int status;

	store_close(x->store);
	x->store = NULL;
	for (int i = 0; i < 4; i++)
		pid[i] = migrate_in_child(x->url, list);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(waitpid(pid[i], &status, 0), pid[i]);
		assert_int_equal(status, 0);
	}
	fixture_reopen(x);
	assert_many_applied(x->store, list);
	many_free(list);
}

struct racer {
	struct store *s;
	const struct migration *list;
	enum err err;
	int applied;
};

static void *race(void *arg)
{
	struct racer *r = arg;

	r->err = migrate_up(r->s, r->list, 1, &r->applied, NULL);
	return NULL;
}

static void threads_at_once_share_the_work(void **state)
{
	struct fixture *x = *state;
	struct migration *list = many_make();
	struct racer r[4];
	pthread_t t[4];
	int sum = 0;

	for (int i = 0; i < 4; i++) {
		r[i] = (struct racer){ x->store, list, OK, 0 };
		pthread_create(&t[i], NULL, race, &r[i]);
	}
	for (int i = 0; i < 4; i++) {
		pthread_join(t[i], NULL);
		assert_int_equal(r[i].err, OK);
		sum += r[i].applied;
	}
	assert_int_equal(sum, MANY);
	assert_many_applied(x->store, list);
	many_free(list);
}

/* ---- schema/schema.sql -------------------------------------------------------------------- */

static void dump_schema(struct fixture *x, struct buf *out)
{
	struct store_stmt st = STMT("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL"
	    " AND name NOT LIKE 'sqlite_%' ORDER BY tbl_name, type <> 'table', name");
	struct store_rows r;
	struct fail f = { 0 };

	buf_addz(out, "-- What migrations/ produces: the schema in force. Made by tests/unit/test_migrate"
	    " with\n-- UPDATE_SCHEMA=1; change it by a new migration.\n");
	assert_ok(store_read(x->store, STORE_LINEAR, &st, 1, &x->arena, &r, &f), &f);
	for (size_t i = 0; i < r.nrows; i++) {
		buf_addz(out, "\n");
		buf_adds(out, store_str(&r, i, 0));
		buf_addz(out, ";\n");
	}
}

static void schema_sql_is_what_the_migrations_produce(void **state)
{
	static const char path[] = "schema/schema.sql";
	struct fixture *x = *state;
	struct fail f = { 0 };
	struct buf is, want;
	FILE *file;

	buf_init(&is, 1 << 20);
	buf_init(&want, 1 << 20);
	assert_ok(migrate_up(x->store, migrations_embedded, clock_wall(), NULL, &f), &f);
	dump_schema(x, &want);
	if (getenv("UPDATE_SCHEMA") != NULL) {
		assert_non_null(file = fopen(path, "w"));
		fwrite(want.p, 1, want.n, file);
		fclose(file);
	}
	assert_non_null(file = fopen(path, "r"));
	buf_reserve(&is, 1 << 19);
	is.n = fread(is.p, 1, 1 << 19, file);
	fclose(file);
	if (!str_eq(buf_str(&is), buf_str(&want)))
		fail_msg("%s is not what the migrations produce: run UPDATE_SCHEMA=1"
		    " build/release/unit/test_migrate and look at the difference", path);
	buf_release(&is);
	buf_release(&want);
}

static void embedded_migrations_are_in_order(void **state)
{
	int last = 0;

	(void)state;
	for (const struct migration *m = migrations_embedded; m->version != 0; m++) {
		assert_int_equal(m->version, last + 1);
		assert_int_equal(strlen(m->sql), m->len);
		last = m->version;
	}
	assert_true(last > 0);
}

static int rqlite_up(void **state)
{
	(void)state;
	on_rqlite = true;
	rqlited_start(&cluster, 3);
	return 0;
}

static int rqlite_down(void **state)
{
	(void)state;
	rqlited_stop(&cluster);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(applies_in_order_and_once, setup, teardown),
		cmocka_unit_test_setup_teardown(status_tells_what_is_pending, setup, teardown),
		cmocka_unit_test_setup_teardown(refuses_a_store_that_does_not_fit, setup, teardown),
		cmocka_unit_test_setup_teardown(a_bad_migration_leaves_nothing, setup, teardown),
		cmocka_unit_test(a_kill_leaves_either_side_of_a_migration),
		cmocka_unit_test_setup_teardown(migrators_at_once_share_the_work, setup, teardown),
		cmocka_unit_test_setup_teardown(threads_at_once_share_the_work, setup, teardown),
		cmocka_unit_test_setup_teardown(schema_sql_is_what_the_migrations_produce, setup, teardown),
		cmocka_unit_test(embedded_migrations_are_in_order),
	};

	return cmocka_run_group_tests_name("sqlite", tests, NULL, NULL) +
	    cmocka_run_group_tests_name("rqlite", tests, rqlite_up, rqlite_down);
}
