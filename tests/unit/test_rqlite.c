/* What happens to the rqlite engine when nodes die, stall or lose answers: nothing acknowledged is
 * lost, nothing refused appears, nothing happens twice. Three real nodes, and a proxy that eats
 * answers or holds requests back. */
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
#include "lossy_proxy.h"
#include "rqlited.h"
#include "store_fixture.h"

#define S(...) ((struct store_stmt)STMT(__VA_ARGS__))
#define PATIENCE (300 * CLOCK_SEC)

static struct rqlited cluster;
static struct store *store;

static struct store *open_url(const char *url, int64_t timeout_us)
{
	struct store_config c = { .url = url, .timeout_us = timeout_us };
	struct fail f = { 0 };
	struct store *s;

	assert_ok(store_open(&s, &c, &f), &f);
	return s;
}

static int cluster_up(void **state)
{
	(void)state;
	rqlited_start(&cluster, 3);
	store = open_url(cluster.url, 0);
	return 0;
}

static int cluster_down(void **state)
{
	(void)state;
	store_close(store);
	rqlited_stop(&cluster);
	return 0;
}

static int reset(void **state)
{
	(void)state;
	fixture_exec(store, S("DROP TABLE IF EXISTS t"));
	fixture_exec(store, S("CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER) STRICT"));
	return 0;
}

/* ---- writers while the leader goes ---------------------------------------------------------- */

#define WRITERS 16 /* enough to ride in groups */
#define EACH_MAX 4000

struct writer {
	int me;
	int n; /* writes tried */
	unsigned char outcome[EACH_MAX]; /* enum err of write i */
};

static struct writer writers[WRITERS];
static atomic_bool stop_writing;
static atomic_int acknowledged;

static void *write_on(void *arg)
{
	struct writer *w = arg;

	for (w->n = 0; w->n < EACH_MAX && !stop_writing; w->n++) {
		struct store_stmt st[] = {
			STMT("INSERT INTO t (id, n) VALUES (?, ?)", SV_INT(w->me * EACH_MAX + w->n),
			    SV_INT(w->n)),
			/* a counter for each writer: a batch that happens twice would show */
			STMT1(0, "UPDATE t SET n = n + 1 WHERE id = ?", SV_INT(-1 - w->me)),
		};
		enum err e = fixture_write(store, st, 2, NULL);

		w->outcome[w->n] = (unsigned char)e;
		acknowledged += e == OK;
	}
	return NULL;
}

static bool is_there(int id)
{
	return fixture_int(store, S("SELECT count(*) FROM t WHERE id = ?", SV_INT(id))) == 1;
}

static void wait_for_acknowledged(int more)
{
	int64_t until = clock_mono() + PATIENCE;
	int from = acknowledged;

	while (acknowledged < from + more && clock_mono() < until)
		poll_again();
	assert_true(acknowledged >= from + more);
}

static void compare_with_the_store(void)
{
	int ok = 0, refused = 0, unknown = 0;

	for (int i = 0; i < WRITERS; i++) {
		int64_t rows;

		for (int k = 0; k < writers[i].n; k++) {
			enum err e = writers[i].outcome[k];

			ok += e == OK;
			unknown += e == E_STORE_UNKNOWN;
			if (e == OK || e == E_STORE_UNKNOWN)
				continue;
			refused++;
			assert_int_equal(e, E_STORE_UNAVAILABLE);
			assert_false(is_there(i * EACH_MAX + k));
		}
		rows = fixture_int(store, S("SELECT count(*) FROM t WHERE id BETWEEN ? AND ?",
		    SV_INT(i * EACH_MAX), SV_INT(i * EACH_MAX + EACH_MAX - 1)));
		assert_int_equal(rows, fixture_int(store, S("SELECT n FROM t WHERE id = ?",
		    SV_INT(-1 - i))));
	}
	for (int i = 0; i < WRITERS; i++)
		for (int k = 0; k < writers[i].n; k++)
			if (writers[i].outcome[k] == OK && k % 16 == 0)
				assert_true(is_there(i * EACH_MAX + k));
	assert_true(fixture_int(store, S("SELECT count(*) FROM t WHERE id >= 0")) >= ok);
	assert_true(fixture_int(store, S("SELECT count(*) FROM t WHERE id >= 0")) <= ok + unknown);
	print_message("%d acknowledged, %d refused, %d unknown\n", ok, refused, unknown);
}

static void under_writes(void (*disturb)(int leader), void (*mend)(int leader))
{
	pthread_t t[WRITERS];
	int leader = rqlited_leader(&cluster);

	stop_writing = false;
	acknowledged = 0;
	for (int i = 0; i < WRITERS; i++) {
		writers[i] = (struct writer){ .me = i };
		fixture_exec(store, S("INSERT INTO t (id, n) VALUES (?, 0)", SV_INT(-1 - i)));
		pthread_create(&t[i], NULL, write_on, &writers[i]);
	}
	wait_for_acknowledged(100);
	disturb(leader);
	wait_for_acknowledged(100); /* by another leader */
	mend(leader);
	wait_for_acknowledged(100);
	stop_writing = true;
	for (int i = 0; i < WRITERS; i++)
		pthread_join(t[i], NULL);
	compare_with_the_store();
}

static void kill_it(int leader)
{
	rqlited_kill(&cluster, leader);
}

static void restart_it(int leader)
{
	rqlited_restart(&cluster, leader);
	rqlited_wait_ready(&cluster, leader);
}

static void pause_it(int leader)
{
	rqlited_pause(&cluster, leader);
}

static void resume_it(int leader)
{
	rqlited_resume(&cluster, leader);
	rqlited_wait_ready(&cluster, leader);
}

static void a_killed_leader_loses_nothing(void **state)
{
	(void)state;
	under_writes(kill_it, restart_it);
}

static void a_stalled_leader_loses_nothing(void **state)
{
	(void)state;
	under_writes(pause_it, resume_it);
}

static void without_a_majority_nothing_is_acknowledged(void **state)
{
	struct store *s = open_url(cluster.url, CLOCK_SEC);
	struct store_stmt w = S("INSERT INTO t (id) VALUES (1)");
	struct store_stmt q = S("SELECT count(*) FROM t");
	int leader = rqlited_leader(&cluster);
	struct store_rows r;
	struct fail f = { 0 };
	struct arena a;
	enum err e;

	(void)state;
	arena_init(&a, 1 << 20);
	rqlited_kill(&cluster, (leader + 1) % 3);
	rqlited_kill(&cluster, (leader + 2) % 3);
	e = fixture_write(s, &w, 1, &f);
	assert_true(e == E_STORE_UNKNOWN || e == E_STORE_UNAVAILABLE);
	assert_true(f.text[0] != '\0');
	assert_int_equal(store_read(s, STORE_LINEAR, &q, 1, &a, &r, &f), E_STORE_UNAVAILABLE);
	assert_ok(store_read(s, STORE_STALE, &q, 1, &a, &r, &f), &f);
	rqlited_restart(&cluster, (leader + 1) % 3);
	rqlited_restart(&cluster, (leader + 2) % 3);
	rqlited_wait_ready(&cluster, (leader + 1) % 3);
	rqlited_wait_ready(&cluster, (leader + 2) % 3);
	rqlited_leader(&cluster);
	fixture_int(store, S("SELECT 1"));
	store_close(s);
	arena_release(&a);
}

static void a_follower_alone_is_enough_to_be_told_of(void **state)
{
	int follower = (rqlited_leader(&cluster) + 1) % 3;
	struct store *s;
	char url[64];

	(void)state;
	snprintf(url, sizeof url, "rqlite:http://127.0.0.1:%d", cluster.node[follower].http);
	s = open_url(url, 0); /* it redirects us to the leader */
	fixture_exec(s, S("INSERT INTO t (id) VALUES (7)"));
	assert_int_equal(fixture_int(s, S("SELECT id FROM t")), 7);
	store_close(s);
}

static void nobody_there_is_told_in_time(void **state)
{
	struct store_config c = { .timeout_us = CLOCK_SEC };
	int64_t start = clock_mono();
	struct fail f = { 0 };
	struct store *s;
	char url[64];

	(void)state;
	snprintf(url, sizeof url, "rqlite:http://127.0.0.1:%d", free_port());
	c.url = url;
	assert_int_equal(store_open(&s, &c, &f), E_STORE_UNAVAILABLE);
	assert_non_null(strstr(f.text, url + 7));
	assert_true(clock_mono() - start < 5 * CLOCK_SEC);
	c.url = "rqlite:ftp://there";
	assert_int_equal(store_open(&s, &c, &f), E_CONFIG);
	c.url = "rqlite:http://a:1/path";
	assert_int_equal(store_open(&s, &c, &f), E_CONFIG);
	c.url = "mysql:there";
	assert_int_equal(store_open(&s, &c, &f), E_CONFIG);
}

static void a_leader_at_an_address_that_is_none_is_reached_through_others(void **state)
{
	struct rqlited astray;
	struct store *s;
	char url[64];

	(void)state;
	rqlited_start_astray(&astray, 2);
	snprintf(url, sizeof url, "rqlite:http://127.0.0.1:%d",
	    astray.node[1 - rqlited_leader(&astray)].http);
	s = open_url(url, 0);
	fixture_exec(s, S("CREATE TABLE t (id INTEGER PRIMARY KEY) STRICT"));
	fixture_exec(s, S("INSERT INTO t (id) VALUES (7)"));
	assert_int_equal(fixture_int(s, S("SELECT id FROM t")), 7);
	store_close(s);
	rqlited_stop(&astray);
}

static void mutual_tls_is_spoken(void **state)
{
	struct store_config c = { .timeout_us = CLOCK_SEC };
	char ca[96], cert[96], key[96];
	struct rqlited tls;
	struct store *s;
	struct fail f = { 0 };

	(void)state;
	rqlited_start_tls(&tls, 1);
	snprintf(ca, sizeof ca, "%s/ca.pem", tls.dir);
	snprintf(cert, sizeof cert, "%s/client.pem", tls.dir);
	snprintf(key, sizeof key, "%s/client.key", tls.dir);
	c.url = tls.url;
	assert_int_equal(store_open(&s, &c, &f), E_STORE_UNAVAILABLE); /* whose certificate is that? */
	c.ca = ca;
	assert_int_equal(store_open(&s, &c, &f), E_STORE_UNAVAILABLE); /* who are we? */
	c.cert = cert;
	c.key = key;
	c.timeout_us = PATIENCE;
	assert_ok(store_open(&s, &c, &f), &f);
	fixture_exec(s, S("CREATE TABLE t (id INTEGER PRIMARY KEY) STRICT"));
	fixture_exec(s, S("INSERT INTO t (id) VALUES (7)"));
	assert_int_equal(fixture_int(s, S("SELECT id FROM t")), 7);
	store_close(s);
	rqlited_stop(&tls);
}

/* ---- a proxy that loses answers ------------------------------------------------------------- */

static struct lossy_proxy proxy;

static struct store *proxy_start(int64_t timeout_us)
{
	char url[64];

	lossy_proxy_start(&proxy, cluster.node[rqlited_leader(&cluster)].http);
	snprintf(url, sizeof url, "rqlite:http://127.0.0.1:%d", proxy.port);
	return open_url(url, timeout_us);
}

static void proxy_stop(struct store *s)
{
	store_close(s);
	lossy_proxy_stop(&proxy);
}

static void a_lost_answer_is_asked_for_again(void **state)
{
	struct store *s = proxy_start(0);
	struct store_stmt st[] = { STMT("INSERT INTO t (id, n) VALUES (1, 0)"),
		STMT1(E_NOT_FOUND, "UPDATE t SET n = n + 1 WHERE id = 1") };
	struct fail f = { 0 };

	(void)state;
	proxy.eat = 3;
	assert_ok(fixture_write(s, st, 2, &f), &f);
	assert_int_equal(proxy.eaten, 3);
	assert_string_equal(f.text, "");
	assert_int_equal(fixture_int(store, S("SELECT n FROM t WHERE id = 1")), 1);
	proxy_stop(s);
}

static void a_lost_refusal_stays_a_refusal(void **state)
{
	struct store *s = proxy_start(0);
	struct store_stmt st[] = { STMT("INSERT INTO t (id, n) VALUES (1, 0)"),
		STMT1(E_NOT_FOUND, "UPDATE t SET n = n + 1 WHERE id = 2") };
	struct fail f = { 0 };

	(void)state;
	proxy.eat = 1;
	assert_int_equal(fixture_write(s, st, 2, &f), E_NOT_FOUND);
	assert_int_equal(proxy.eaten, 1);
	assert_int_equal(fixture_int(store, S("SELECT count(*) FROM t")), 0);
	proxy_stop(s);
}

/* The first attempt is held back on its way; the second is refused by its guard; then the world
 * changes so that the first would succeed, and it arrives: it must not happen any more. */
static void a_late_attempt_is_fenced_off(void **state)
{
	struct store *s = proxy_start(0);
	struct store_stmt st[] = { STMT1(E_NOT_FOUND, "UPDATE t SET n = n + 1 WHERE id = 1") };
	struct store_batch b = { id_new(clock_wall()), st, 1 };
	struct fail f = { 0 };

	(void)state;
	proxy.hold = 1;
	assert_int_equal(store_write(s, &b, NULL, &f), E_NOT_FOUND);
	assert_int_equal(proxy.held, 1);
	fixture_exec(store, S("INSERT INTO t (id, n) VALUES (1, 0)"));
	proxy_stop(s); /* lets the first attempt go, and waits for its answer */
	assert_int_equal(fixture_int(store, S("SELECT n FROM t")), 0);
	/* nor does the same op_id work again: it was given up */
	assert_int_equal(store_write(store, &b, NULL, &f), E_STORE_UNAVAILABLE);
	assert_int_equal(fixture_int(store, S("SELECT n FROM t")), 0);
}

static void the_same_op_id_is_done_once(void **state)
{
	struct store_stmt st[] = { STMT1(E_NOT_FOUND, "UPDATE t SET n = n + 1 WHERE id = 1") };
	struct store_batch b = { id_new(clock_wall()), st, 1 };
	struct fail f = { 0 };

	(void)state;
	fixture_exec(store, S("INSERT INTO t (id, n) VALUES (1, 0)"));
	for (int i = 0; i < 3; i++)
		assert_ok(store_write(store, &b, NULL, &f), &f);
	assert_int_equal(fixture_int(store, S("SELECT n FROM t")), 1);
}

static struct store *through_proxy;
static atomic_int turn, wrong;

/* Loses an answer for every third write; every fourth is to be refused. */
static void write_through_proxy(int i, const struct store_stmt *st, size_t n)
{
	proxy.eat += i % 3 == 0;
	wrong += fixture_write(through_proxy, st, n, NULL) != (i % 4 == 3 ? E_NOT_FOUND : OK);
}

/* Each batch that is not refused counts its writer's row up once. */
static void *write_batches(void *arg)
{
	int me = turn++;

	(void)arg;
	for (int i = 0; i < 12; i++) {
		struct store_stmt st[] = {
			STMT1(0, "UPDATE t SET n = n + 1 WHERE id = ?", SV_INT(me)),
			STMT1(E_NOT_FOUND, "UPDATE t SET n = n + 0 WHERE id = ?",
			    SV_INT(i % 4 == 3 ? -1 : me)),
		};

		write_through_proxy(i, st, 2);
	}
	return NULL;
}

/* The same in one statement: the op_id tells what a lost answer would have. */
static void *write_singles(void *arg)
{
	int me = turn++;

	(void)arg;
	for (int i = 0; i < 12; i++) {
		struct store_stmt st = STMT1(E_NOT_FOUND, "UPDATE t SET n = n + 1 WHERE id = ?",
		    SV_INT(i % 4 == 3 ? -1 : me));

		write_through_proxy(i, &st, 1);
	}
	return NULL;
}

static void all_survive_lost_answers(void *(*write)(void *), struct store_stats *stats)
{
	pthread_t t[WRITERS];

	through_proxy = proxy_start(0);
	turn = wrong = 0;
	for (int i = 0; i < WRITERS; i++)
		fixture_exec(store, S("INSERT INTO t (id, n) VALUES (?, 0)", SV_INT(i)));
	for (int i = 0; i < WRITERS; i++)
		pthread_create(&t[i], NULL, write, NULL);
	for (int i = 0; i < WRITERS; i++)
		pthread_join(t[i], NULL);
	assert_int_equal(wrong, 0);
	assert_int_equal(fixture_int(store, S("SELECT count(*) FROM t WHERE n = 9")), WRITERS);
	assert_true(proxy.eaten > WRITERS);
	store_stats(through_proxy, stats);
	proxy_stop(through_proxy);
}

static void groups_survive_lost_answers(void **state)
{
	struct store_stats stats;

	(void)state;
	all_survive_lost_answers(write_batches, &stats);
	assert_true(stats.commits < stats.batch_size_sum);
	print_message("%d batches in %d entries, %d answers lost\n", (int)stats.batch_size_sum,
	    (int)stats.commits, proxy.eaten);
}

static void singles_survive_lost_answers(void **state)
{
	struct store_stats stats;

	(void)state;
	all_survive_lost_answers(write_singles, &stats);
}

static void all_answers_lost_is_unknown(void **state)
{
	struct store *s = proxy_start(CLOCK_SEC);
	struct store_stmt st = STMT("INSERT INTO t (id, n) VALUES (1, 0)");
	struct fail f = { 0 };

	(void)state;
	proxy.eat = 1000000;
	assert_int_equal(fixture_write(s, &st, 1, &f), E_STORE_UNKNOWN);
	assert_int_equal(f.err, E_STORE_UNKNOWN);
	proxy_stop(s);
	assert_int_equal(fixture_int(store, S("SELECT count(*) FROM t")), 1);
}

static void old_op_ids_are_tidied_away(void **state)
{
	int64_t now = clock_wall();
	struct store_stmt st = STMT("INSERT INTO t (id, n) VALUES (1, 0)");
	struct store_batch old = { id_new(now - 7200 * CLOCK_SEC), &st, 1 };
	struct store_val v = SV_ID(&old.op_id);
	struct store_stmt count = { .sql = "SELECT count(*) FROM op WHERE op_id = ?", .v = &v, .n = 1 };
	struct fail f = { 0 };

	(void)state;
	assert_ok(store_write(store, &old, NULL, &f), &f);
	assert_int_equal(fixture_int(store, count), 1);
	assert_ok(store_tidy(store, now, &f), &f);
	assert_int_equal(fixture_int(store, count), 0);
	assert_true(fixture_int(store, S("SELECT count(*) FROM op")) > 0);
}

#define T(name) cmocka_unit_test_setup(name, reset)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_follower_alone_is_enough_to_be_told_of),
		T(nobody_there_is_told_in_time),
		T(a_leader_at_an_address_that_is_none_is_reached_through_others),
		T(mutual_tls_is_spoken),
		T(the_same_op_id_is_done_once),
		T(a_lost_answer_is_asked_for_again),
		T(a_lost_refusal_stays_a_refusal),
		T(a_late_attempt_is_fenced_off),
		T(groups_survive_lost_answers),
		T(singles_survive_lost_answers),
		T(all_answers_lost_is_unknown),
		T(old_op_ids_are_tidied_away),
		T(a_killed_leader_loses_nothing),
		T(a_stalled_leader_loses_nothing),
		T(without_a_majority_nothing_is_acknowledged),
	};

	return cmocka_run_group_tests(tests, cluster_up, cluster_down);
}
