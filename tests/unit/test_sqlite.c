/* What is SQLite's alone: the file, other processes, a full disk, kill -9, group commit, closing. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/heap.h"
#include "store_fixture.h"

#define S(...) ((struct store_stmt)STMT(__VA_ARGS__))

static int setup(void **state)
{
	struct fixture *x = calloc(1, sizeof *x);

	fixture_sqlite(x);
	fixture_exec(x->store, S("CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER, b BLOB) STRICT"));
	*state = x;
	return 0;
}

static int teardown(void **state)
{
	fixture_release(*state);
	free(*state);
	return 0;
}

static enum err open_at(const char *dir, const char *name, struct store_config c, struct store **s,
    struct fail *f)
{
	char url[128];

	snprintf(url, sizeof url, "sqlite:%s/%s", dir, name);
	c.url = url;
	return store_open(s, &c, f);
}

/* ---- the file ------------------------------------------------------------------------------ */

static void the_file_is_ours_alone(void **state)
{
	static const char *const suffix[] = { "", "-wal", "-shm" };
	struct fixture *x = *state;
	mode_t old = umask(0);
	struct store *s;
	struct fail f = { 0 };

	assert_ok(open_at(x->dir, "new.db", (struct store_config){ 0 }, &s, &f), &f);
	fixture_exec(s, S("CREATE TABLE t (id INTEGER) STRICT"));
	for (size_t i = 0; i < 3; i++) {
		char path[128];
		struct stat st;

		snprintf(path, sizeof path, "%s/new.db%s", x->dir, suffix[i]);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mode & 0777, 0600);
	}
	umask(old);
	store_close(s);
}

static void settings_are_as_promised(void **state)
{
	struct fixture *x = *state;
	struct store_rows r[3];
	struct store_stmt q[] = { STMT("PRAGMA journal_mode"), STMT("PRAGMA synchronous"),
		STMT("PRAGMA foreign_keys") };
	struct fail f = { 0 };

	assert_ok(store_read(x->store, STORE_FRESH, q, 3, &x->arena, r, &f), &f);
	assert_true(str_eqc(store_str(&r[0], 0, 0), "wal"));
	assert_int_equal(store_int(&r[1], 0, 0), 2);
	assert_int_equal(store_int(&r[2], 0, 0), 0);
}

static void write_file(const char *dir, const char *name, const void *p, size_t n)
{
	char path[128];
	int fd;

	snprintf(path, sizeof path, "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_int_equal(write(fd, p, n), n);
	close(fd);
}

static void what_is_no_database_is_told(void **state)
{
	struct fixture *x = *state;
	struct fail f = { 0 };
	struct store *s;

	write_file(x->dir, "text.db", "this is a text file and no database\n", 36);
	for (int ro = 0; ro < 2; ro++) {
		assert_int_equal(open_at(x->dir, "text.db", (struct store_config){ .read_only = ro }, &s,
		    &f), E_STORE_UNAVAILABLE);
		assert_non_null(strstr(f.text, "text.db"));
		assert_non_null(strstr(f.text, "restore a backup"));
		assert_null(s);
	}
	assert_int_equal(open_at(x->dir, "none.db", (struct store_config){ .read_only = true }, &s, &f),
	    E_STORE_UNAVAILABLE);
	assert_non_null(strstr(f.text, "none.db: No such file"));
	assert_int_equal(open_at(x->dir, "no/such/dir.db", (struct store_config){ 0 }, &s, &f),
	    E_STORE_UNAVAILABLE);
	assert_non_null(strstr(f.text, "No such file"));
}

static void a_damaged_file_is_told(void **state)
{
	struct fixture *x = *state;
	struct store_stmt q = STMT("SELECT count(*), sum(length(b)) FROM t");
	struct store_rows r;
	struct fail f = { 0 };
	char junk[4096];
	char path[96];
	int fd;

	fixture_exec(x->store, S("INSERT INTO t (n, b) WITH RECURSIVE c (x) AS (SELECT 1 UNION ALL"
	    " SELECT x + 1 FROM c WHERE x < 400) SELECT x, zeroblob(500) FROM c"));
	store_close(x->store); /* checkpoints */
	x->store = NULL;
	snprintf(path, sizeof path, "%s/store.db", x->dir);
	fd = open(path, O_WRONLY);
	memset(junk, 0xa5, sizeof junk);
	for (off_t at = 4096; at < 40 * 4096; at += 4096)
		assert_int_equal(pwrite(fd, junk, sizeof junk, at), sizeof junk);
	close(fd);
	fixture_reopen(x);
	assert_int_equal(store_read(x->store, STORE_FRESH, &q, 1, &x->arena, &r, &f),
	    E_STORE_UNAVAILABLE);
	assert_non_null(strstr(f.text, "damaged"));
}

static void read_only_does_not_write(void **state)
{
	struct fixture *x = *state;
	struct store_stmt w = STMT("INSERT INTO t (n) VALUES (1)");
	struct fail f = { 0 };
	struct store *s;

	assert_ok(open_at(x->dir, "store.db", (struct store_config){ .read_only = true }, &s, &f), &f);
	assert_int_equal(fixture_int(s, S("SELECT count(*) FROM t")), 0);
	assert_int_equal(fixture_write(s, &w, 1, &f), E_INTERNAL);
	store_close(s);
}

/* ---- other processes ----------------------------------------------------------------------- */

/* Another connection, as gwctl's would be, holds the write lock. */
static sqlite3 *lock_elsewhere(const struct fixture *x)
{
	char path[96];
	sqlite3 *db;

	snprintf(path, sizeof path, "%s/store.db", x->dir);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE; INSERT INTO t (id, n) VALUES (500, 1)", NULL,
	    NULL, NULL), SQLITE_OK);
	return db;
}

static void *unlock_soon(void *db)
{
	for (int i = 0; i < 50; i++) /* long enough to be waited for, any time is right */
		poll_again();
	sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
	return NULL;
}

static void another_writer_is_waited_for(void **state)
{
	struct fixture *x = *state;
	sqlite3 *db = lock_elsewhere(x);
	pthread_t t;

	assert_int_equal(fixture_int(x->store, S("SELECT count(*) FROM t")), 0); /* readers go on */
	pthread_create(&t, NULL, unlock_soon, db);
	fixture_exec(x->store, S("INSERT INTO t (id, n) SELECT id + 1, n FROM t WHERE id = 500"));
	pthread_join(t, NULL);
	assert_int_equal(fixture_int(x->store, S("SELECT max(id) FROM t")), 501);
	sqlite3_close(db);
}

static void another_writer_is_not_waited_for_without_end(void **state)
{
	struct fixture *x = *state;
	struct store_stmt w = STMT("INSERT INTO t (n) VALUES (1)");
	sqlite3 *db = lock_elsewhere(x);
	struct fail f = { 0 };
	struct store *s;

	assert_ok(open_at(x->dir, "store.db", (struct store_config){ .timeout_us = 100 * CLOCK_MS }, &s,
	    &f), &f);
	assert_int_equal(fixture_write(s, &w, 1, &f), E_STORE_UNAVAILABLE);
	assert_non_null(strstr(f.text, "locked by another process"));
	sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
	sqlite3_close(db);
	assert_ok(fixture_write(s, &w, 1, &f), &f);
	assert_int_equal(fixture_int(s, S("SELECT count(*) FROM t")), 1);
	store_close(s);
}

struct blocked {
	struct store *s;
	enum err err;
};

static void *blocked_write(void *arg)
{
	struct blocked *b = arg;
	struct store_stmt w = STMT("INSERT INTO t (n) VALUES (1)");

	b->err = fixture_write(b->s, &w, 1, NULL);
	return NULL;
}

static void stop_ends_the_waiting(void **state)
{
	struct fixture *x = *state;
	sqlite3 *db = lock_elsewhere(x);
	struct blocked b = { x->store, OK };
	struct store_stmt q = STMT("SELECT 1");
	struct store_rows r;
	int64_t start = clock_mono();
	pthread_t t;

	pthread_create(&t, NULL, blocked_write, &b);
	poll_again(); /* either side of it is right */
	store_stop(x->store);
	pthread_join(t, NULL);
	assert_int_equal(b.err, E_DRAINING);
	assert_true(clock_mono() - start < 5 * CLOCK_SEC);
	assert_int_equal(store_read(x->store, STORE_FRESH, &q, 1, &x->arena, &r, NULL), E_DRAINING);
	sqlite3_close(db);
}

/* ---- disasters ----------------------------------------------------------------------------- */

static void a_full_disk_is_told_and_survived(void **state)
{
	struct fixture *x = *state;
	char *big = heap_alloc(1 << 20);
	struct store_stmt w[] = { STMT("INSERT INTO t (n) VALUES (1)"),
		STMT("INSERT INTO t (b) VALUES (?)", SV_BLOB(str_n(big, 1 << 20))) };
	struct rlimit was, tight = { 300000, RLIM_INFINITY };
	struct fail f = { 0 };
	enum err e;

	memset(big, 1, 1 << 20);
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &was);
	tight.rlim_max = was.rlim_max;
	setrlimit(RLIMIT_FSIZE, &tight);
	e = fixture_write(x->store, w, 2, &f);
	setrlimit(RLIMIT_FSIZE, &was);
	assert_true(e == E_STORE_UNAVAILABLE || e == E_STORE_UNKNOWN);
	assert_non_null(strstr(f.text, "disk"));
	assert_false(store_writable(x->store));
	assert_int_equal(fixture_int(x->store, S("SELECT count(*) FROM t")), 0);
	assert_ok(fixture_write(x->store, w, 2, &f), &f);
	assert_int_equal(fixture_int(x->store, S("SELECT count(*) FROM t")), 2);
	heap_free(big);
}

static void *tell_writes(void *arg)
{
	struct store *s = ((void **)arg)[0];
	int fd = *(int *)((void **)arg)[1];
	static atomic_int next;

	for (;;) {
		int id = next++;
		struct store_stmt w = STMT("INSERT INTO t (id) VALUES (?)", SV_INT(id));

		if (fixture_write(s, &w, 1, NULL) == OK && write(fd, &id, sizeof id) != sizeof id)
			_exit(1);
	}
	return NULL;
}

/* Child: eight threads write; each id goes into the pipe when its write was acknowledged. */
static pid_t write_in_child(const char *url, int fd)
{
	pid_t pid = fork();

	if (pid == 0) {
		struct store_config c = { .url = url };
		struct store *s;
		pthread_t t[8];
		void *arg[2];

		if (store_open(&s, &c, NULL) != OK)
			_exit(1);
		arg[0] = s;
		arg[1] = &fd;
		for (int i = 0; i < 8; i++)
			pthread_create(&t[i], NULL, tell_writes, arg);
		pthread_join(t[0], NULL);
	}
	return pid;
}

static void assert_all_there(struct fixture *x, const int *id, int n)
{
	struct store_stmt q = STMT("SELECT id FROM t ORDER BY id");
	struct store_rows r;
	struct fail f = { 0 };
	char *there = heap_zalloc(1 << 20);

	arena_clear(&x->arena);
	assert_ok(store_read(x->store, STORE_FRESH, &q, 1, &x->arena, &r, &f), &f);
	for (size_t i = 0; i < r.nrows; i++)
		there[store_int(&r, i, 0)] = 1;
	for (int i = 0; i < n; i++)
		assert_true(there[id[i]]);
	heap_free(there);
}

static void a_kill_loses_no_acknowledged_write(void **state)
{
	struct fixture *x = *state;
	int *id = heap_alloc(sizeof *id << 20);

	for (int round = 0; round < 5; round++) {
		int fd[2], n = 0;
		pid_t pid;

		store_close(x->store);
		x->store = NULL;
		assert_int_equal(pipe(fd), 0);
		pid = write_in_child(x->url, fd[1]);
		close(fd[1]);
		while (n < 200 * (round + 1) && read(fd[0], &id[n], sizeof *id) == sizeof *id)
			n++;
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		fixture_reopen(x);
		while (read(fd[0], &id[n], sizeof *id) == sizeof *id)
			n++;
		close(fd[0]);
		assert_true(n >= 200 * (round + 1));
		assert_all_there(x, id, n);
		fixture_exec(x->store, S("DELETE FROM t"));
	}
	heap_free(id);
}

/* ---- group commit -------------------------------------------------------------------------- */

#define WRITERS 64
static struct store *shared;
static atomic_int turn, wrong;

/* Each batch moves its own row; every third fails its guard, every seventh a constraint: neither may
 * touch those that are committed with it. */
static void *write_many(void *arg)
{
	int me = turn++;

	(void)arg;
	for (int i = 0; i < 30; i++) {
		struct store_stmt st[] = {
			STMT("UPDATE t SET n = n + 1 WHERE id = ?", SV_INT(me)),
			STMT1(E_NOT_FOUND, "UPDATE t SET n = n + 1 WHERE id = ?",
			    SV_INT(i % 3 == 0 ? -1 : me)),
			STMT("INSERT INTO t (id, n) VALUES (?, 0)", SV_INT(i % 7 == 1 ? me :
			    1000 + me * 100 + i)),
		};
		enum err want = i % 3 == 0 ? E_NOT_FOUND : i % 7 == 1 ? E_CONSTRAINT : OK;

		wrong += fixture_write(shared, st, 3, NULL) != want;
	}
	return NULL;
}

static void a_group_is_committed_but_each_batch_stands_alone(void **state)
{
	struct fixture *x = *state;
	struct store_stats before, after;
	pthread_t t[WRITERS];
	int good = 0;

	for (int i = 0; i < WRITERS; i++)
		fixture_exec(x->store, S("INSERT INTO t (id, n) VALUES (?, 0)", SV_INT(i)));
	for (int i = 0; i < 30; i++)
		good += i % 3 != 0 && i % 7 != 1;
	store_stats(x->store, &before);
	shared = x->store;
	turn = wrong = 0;
	for (int i = 0; i < WRITERS; i++)
		pthread_create(&t[i], NULL, write_many, NULL);
	for (int i = 0; i < WRITERS; i++)
		pthread_join(t[i], NULL);
	store_stats(x->store, &after);
	assert_int_equal(wrong, 0);
	assert_int_equal(fixture_int(x->store, S("SELECT count(*) FROM t WHERE id < 1000 AND n = ?",
	    SV_INT(2 * good))), WRITERS);
	assert_int_equal(fixture_int(x->store, S("SELECT count(*) FROM t WHERE id >= 1000")),
	    WRITERS * good);
	assert_int_equal(after.writes - before.writes, WRITERS * 30);
	assert_int_equal(after.batch_size_sum - before.batch_size_sum, WRITERS * 30);
	assert_true(after.commits - before.commits < WRITERS * 30 / 2);
	print_message("%d batches in %d commits\n", WRITERS * 30, (int)(after.commits - before.commits));
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(the_file_is_ours_alone),
		T(settings_are_as_promised),
		T(what_is_no_database_is_told),
		T(a_damaged_file_is_told),
		T(read_only_does_not_write),
		T(another_writer_is_waited_for),
		T(another_writer_is_not_waited_for_without_end),
		T(stop_ends_the_waiting),
		T(a_full_disk_is_told_and_survived),
		T(a_kill_loses_no_acknowledged_write),
		T(a_group_is_committed_but_each_batch_stands_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
