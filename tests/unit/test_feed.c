/* The change feed on a real store, and its pokes over a real nats-server that comes and goes. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "rqlited.h"
#include "store/change.h"
#include "store_fixture.h"

#define PATIENCE (20 * CLOCK_SEC)
#define NEVER (3600 * CLOCK_SEC)
#define S(...) ((struct store_stmt)STMT(__VA_ARGS__))

/* What the hooks of one feed were told. */
struct replica {
	struct feed *feed;
	atomic_int applied, flushes, fresh;
	atomic_int_fast64_t last_seq, fresh_seq;
	atomic_bool disorder;
	pthread_mutex_t hold; /* held by a test: apply waits */
	char keys[256];       /* of all changes, "kind:key " each; read after a sync */
};

static void apply(void *ctx, const struct change *c, size_t n, bool flush, int64_t seq)
{
	struct replica *r = ctx;

	pthread_mutex_lock(&r->hold);
	for (size_t i = 0; i < n; i++) {
		size_t used = strlen(r->keys);

		if (c[i].seq <= r->last_seq)
			r->disorder = true;
		r->last_seq = c[i].seq;
		snprintf(r->keys + used, sizeof r->keys - used, "%d:%.*s ", c[i].kind,
		    STR_ARG(c[i].key));
	}
	r->last_seq = seq;
	r->applied += (int)n;
	r->flushes += flush;
	pthread_mutex_unlock(&r->hold);
}

static void fresh(void *ctx, int64_t seq, int64_t wall)
{
	struct replica *r = ctx;

	(void)wall;
	r->fresh_seq = seq;
	r->fresh++;
}

static void replica_start(struct replica *r, struct store *s, struct feed_config c)
{
	struct feed_hooks h = { r, apply, fresh };
	struct fail f = { 0 };

	*r = (struct replica){ .hold = PTHREAD_MUTEX_INITIALIZER };
	c.from = fixture_int(s, change_seq_stmt);
	c.replica = id_new(clock_wall());
	r->last_seq = c.from;
	assert_ok(feed_start(&r->feed, s, &c, &h, &f), &f);
}

static void replica_stop(struct replica *r)
{
	feed_stop(r->feed);
	assert_false(r->disorder);
}

static void wait_for(const char *what, atomic_int *count, int at_least)
{
	int64_t until = clock_mono() + PATIENCE;

	while (*count < at_least && clock_mono() < until)
		poll_again();
	if (*count < at_least)
		fail_msg("%s: %d of %d after %d s", what, *count, at_least,
		    (int)(PATIENCE / CLOCK_SEC));
}

static void change(struct store *s, enum change_kind kind, const char *key)
{
	struct store_val v[3];

	fixture_exec(s, change_stmt(kind, str_c(key), clock_wall(), v));
}

static int setup(void **state)
{
	struct fixture *x = calloc(1, sizeof *x);

	fixture_sqlite_migrated(x);
	*state = x;
	return 0;
}

static int teardown(void **state)
{
	fixture_release(*state);
	free(*state);
	return 0;
}

/* ---- the feed ------------------------------------------------------------------------------ */

static void a_sync_has_applied_what_was_written(void **state)
{
	struct fixture *x = *state;
	struct replica r;
	struct feed_stats st;

	change(x->store, CHANGE_ROLE, "");
	replica_start(&r, x->store, (struct feed_config){ .poll_us = NEVER });
	change(x->store, CHANGE_PRINCIPAL, "p1");
	change(x->store, CHANGE_TENANT, "acme");
	change(x->store, CHANGE_CREDENTIAL, "c1");
	assert_int_equal(feed_sync(r.feed, PATIENCE), OK);
	assert_string_equal(r.keys, "1:p1 4:acme 7:c1 ");
	assert_int_equal(feed_seq(r.feed), 4);
	assert_int_equal(r.fresh_seq, 4);
	assert_int_equal(r.flushes, 0);
	assert_true(feed_age(r.feed) < PATIENCE);
	feed_stats(r.feed, &st);
	assert_int_equal(st.lag_count, 3);
	assert_int_equal(st.lag_hist[11], 3);
	assert_true(st.lag_us_sum >= st.lag_us_max && st.lag_us_max < (uint64_t)PATIENCE);
	replica_stop(&r);
}

static void a_poll_finds_what_nobody_told(void **state)
{
	struct fixture *x = *state;
	struct replica r;

	replica_start(&r, x->store, (struct feed_config){ .poll_us = 5 * CLOCK_MS });
	change(x->store, CHANGE_SESSION, "s1");
	wait_for("applied", &r.applied, 1);
	replica_stop(&r);
}

static void more_than_a_page_comes_in_order(void **state)
{
	struct fixture *x = *state;
	struct replica r;

	replica_start(&r, x->store, (struct feed_config){ .poll_us = NEVER });
	fixture_exec(x->store, S("INSERT INTO change (kind, key, at) WITH RECURSIVE c (x) AS (SELECT 1"
	    " UNION ALL SELECT x + 1 FROM c WHERE x < 2000) SELECT 'session', x'01', x FROM c"));
	assert_int_equal(feed_sync(r.feed, PATIENCE), OK);
	assert_int_equal(r.applied, 2000);
	assert_int_equal(feed_seq(r.feed), 2000);
	replica_stop(&r);
}

/* The feed has been asked that often. */
static void wait_asked(struct replica *r, uint64_t syncs)
{
	int64_t until = clock_mono() + PATIENCE;
	struct feed_stats st;

	for (feed_stats(r->feed, &st); st.syncs < syncs && clock_mono() < until; feed_stats(r->feed, &st))
		poll_again();
	assert_true(st.syncs >= syncs);
}

static void *sync_once(void *arg)
{
	struct replica *r = arg;

	if (feed_sync(r->feed, PATIENCE) != OK)
		r->disorder = true;
	return NULL;
}

static void a_sync_waits_for_apply_and_shares_the_read(void **state)
{
	struct fixture *x = *state;
	struct feed_stats st;
	struct replica r;
	pthread_t t[32];

	replica_start(&r, x->store, (struct feed_config){ .poll_us = NEVER });
	assert_int_equal(feed_sync(r.feed, PATIENCE), OK);
	pthread_mutex_lock(&r.hold);
	change(x->store, CHANGE_KEY, "");
	assert_int_equal(feed_sync(r.feed, 30 * CLOCK_MS), E_STATE_STALE);
	for (int i = 0; i < 32; i++)
		pthread_create(&t[i], NULL, sync_once, &r);
	wait_asked(&r, 2 + 32);
	assert_int_equal(feed_sync(r.feed, 30 * CLOCK_MS), E_STATE_STALE);
	pthread_mutex_unlock(&r.hold);
	for (int i = 0; i < 32; i++)
		pthread_join(t[i], NULL);
	assert_int_equal(r.applied, 1);
	feed_stats(r.feed, &st);
	assert_true(st.polls < 12);
	replica_stop(&r);
}

static void missing_rows_drop_every_cache(void **state)
{
	struct fixture *x = *state;
	struct replica r;

	change(x->store, CHANGE_ROLE, "");
	replica_start(&r, x->store, (struct feed_config){ .poll_us = NEVER });
	assert_int_equal(feed_sync(r.feed, PATIENCE), OK);
	assert_int_equal(r.flushes, 0);
	/* rows were trimmed while we slept */
	change(x->store, CHANGE_ROLE, "");
	change(x->store, CHANGE_ROLE, "");
	fixture_exec(x->store, S("DELETE FROM change WHERE seq <= 2"));
	assert_int_equal(feed_sync(r.feed, PATIENCE), OK);
	assert_int_equal(r.flushes, 1);
	assert_int_equal(feed_seq(r.feed), 3);
	assert_int_equal(feed_sync(r.feed, PATIENCE), OK);
	assert_int_equal(r.flushes, 1);
	/* an older backup was restored, and has grown past us since */
	fixture_exec(x->store, S("UPDATE change SET at = at + 1"));
	change(x->store, CHANGE_ROLE, "");
	assert_int_equal(feed_sync(r.feed, PATIENCE), OK);
	assert_int_equal(r.flushes, 2);
	assert_int_equal(feed_seq(r.feed), 4);
	/* an empty one */
	fixture_exec(x->store, S("DELETE FROM change"));
	assert_int_equal(feed_sync(r.feed, PATIENCE), OK);
	assert_int_equal(r.flushes, 3);
	assert_int_equal(feed_seq(r.feed), 0);
	replica_stop(&r);
}

static void a_kind_of_a_newer_release_drops_every_cache(void **state)
{
	struct fixture *x = *state;
	struct replica r;

	replica_start(&r, x->store, (struct feed_config){ .poll_us = NEVER });
	change(x->store, CHANGE_ROUTING, "");
	fixture_exec(x->store, S("INSERT INTO change (kind, key, at) VALUES ('novelty', x'', 1)"));
	assert_int_equal(feed_sync(r.feed, PATIENCE), OK);
	assert_int_equal(r.flushes, 1);
	assert_int_equal(r.applied, 1);
	assert_int_equal(feed_seq(r.feed), 2);
	replica_stop(&r);
}

static void old_rows_are_trimmed_but_the_newest(void **state)
{
	struct fixture *x = *state;
	struct replica r;
	int64_t until = clock_mono() + PATIENCE;

	fixture_exec(x->store, S("INSERT INTO change (kind, key, at) VALUES ('role', x'', 1),"
	    " ('role', x'', 2), ('role', x'', 3)"));
	replica_start(&r, x->store, (struct feed_config){ .poll_us = CLOCK_MS, .trim_us = 1 });
	while (fixture_int(x->store, S("SELECT count(*) FROM change")) > 1 && clock_mono() < until)
		;
	assert_int_equal(fixture_int(x->store, S("SELECT min(seq) FROM change")), 3);
	change(x->store, CHANGE_TENANT, "t");
	assert_int_equal(feed_sync(r.feed, PATIENCE), OK);
	assert_int_equal(r.flushes, 0);
	assert_string_equal(r.keys, "4:t ");
	replica_stop(&r);
	assert_true(fixture_int(x->store, S("SELECT count(*) FROM change")) >= 1);
}

static void a_store_that_fails_makes_the_state_stale(void **state)
{
	struct fixture *x = *state;
	struct feed_stats st;
	struct replica r;
	int64_t age;

	replica_start(&r, x->store, (struct feed_config){ .poll_us = NEVER });
	assert_int_equal(feed_sync(r.feed, PATIENCE), OK);
	fixture_exec(x->store, S("ALTER TABLE change RENAME TO gone"));
	age = feed_age(r.feed);
	assert_int_equal(feed_sync(r.feed, 50 * CLOCK_MS), E_STATE_STALE);
	assert_true(feed_age(r.feed) >= age + 50 * CLOCK_MS);
	feed_stats(r.feed, &st);
	assert_true(st.errors > 0);
	fixture_exec(x->store, S("ALTER TABLE gone RENAME TO change"));
	change(x->store, CHANGE_ROLE, "");
	assert_int_equal(feed_sync(r.feed, PATIENCE), OK);
	assert_int_equal(r.applied, 1);
	replica_stop(&r);
}

/* ---- NATS ---------------------------------------------------------------------------------- */

static pid_t nats_start(int port)
{
	char p[16];
	pid_t pid = fork();

	snprintf(p, sizeof p, "%d", port);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (freopen("/dev/null", "w", stderr) != NULL)
			execlp("nats-server", "nats-server", "-a", "127.0.0.1", "-p", p, NULL);
		_exit(127);
	}
	return pid;
}

static void nats_kill(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void wait_connected(struct replica *r, bool want)
{
	int64_t until = clock_mono() + PATIENCE;
	struct feed_stats st;

	do {
		poll_again();
		feed_stats(r->feed, &st);
	} while (st.nats_connected != want && clock_mono() < until);
	if (st.nats_connected != want)
		fail_msg("NATS is %sconnected (is nats-server there? run `make deps`)",
		    want ? "not " : "");
}

static void pokes_reach_the_other_replica(void **state)
{
	struct fixture *x = *state;
	int port = free_port();
	pid_t pid = nats_start(port);
	struct feed_stats sa, sb;
	struct replica a, b;
	char url[64];

	snprintf(url, sizeof url, "nats://127.0.0.1:%d", port);
	replica_start(&a, x->store, (struct feed_config){ .poll_us = NEVER, .nats_url = url });
	replica_start(&b, x->store, (struct feed_config){ .poll_us = NEVER, .nats_url = url });
	wait_connected(&a, true);
	wait_connected(&b, true);
	for (int i = 0; i < 20; i++) {
		change(x->store, CHANGE_PRINCIPAL, "p");
		if (i % 2)
			feed_poke(a.feed, true);
		else
			assert_int_equal(feed_sync(a.feed, PATIENCE), OK);
		wait_for("applied by the other", &b.applied, i + 1);
	}
	feed_stats(a.feed, &sa);
	feed_stats(b.feed, &sb);
	/* nobody polls, so each change came by a poke; one may tell of two */
	assert_true(sa.pokes_sent > 0 && sb.pokes_received > 0 && sb.pokes_sent == 0);
	assert_true(sa.pokes_received < 3); /* its own are ignored; one for the connection */
	replica_stop(&a);
	replica_stop(&b);
	nats_kill(pid);
}

static void a_server_that_comes_and_goes_is_no_error(void **state)
{
	struct fixture *x = *state;
	int port = free_port();
	struct replica a, b;
	char url[64];
	pid_t pid;

	snprintf(url, sizeof url, "nats://127.0.0.1:%d", port);
	/* not there at the start */
	replica_start(&a, x->store, (struct feed_config){ .poll_us = NEVER, .nats_url = url });
	replica_start(&b, x->store, (struct feed_config){ .poll_us = NEVER, .nats_url = url });
	change(x->store, CHANGE_ROLE, "");
	assert_int_equal(feed_sync(a.feed, PATIENCE), OK);
	pid = nats_start(port);
	wait_connected(&a, true);
	wait_connected(&b, true);
	wait_for("applied once connected", &b.applied, 1);
	/* killed in the middle: a still works, b hears of it when the server is back */
	nats_kill(pid);
	wait_connected(&a, false);
	wait_connected(&b, false);
	change(x->store, CHANGE_ROLE, "");
	assert_int_equal(feed_sync(a.feed, PATIENCE), OK);
	assert_int_equal(a.applied, 2);
	assert_int_equal(b.applied, 1);
	pid = nats_start(port);
	wait_for("applied after the reconnect", &b.applied, 2);
	wait_connected(&a, true);
	wait_connected(&b, true);
	change(x->store, CHANGE_ROLE, "");
	feed_poke(a.feed, true);
	wait_for("poked again", &b.applied, 3);
	nats_kill(pid);
	replica_stop(&a);
	replica_stop(&b);
}

static void a_bad_nats_url_is_told(void **state)
{
	struct fixture *x = *state;
	struct feed_config c = { .nats_url = "nats://127.0.0.1:port" };
	struct feed_hooks h = { NULL, apply, fresh };
	struct fail f = { 0 };
	struct feed *feed;

	assert_int_equal(feed_start(&feed, x->store, &c, &h, &f), E_CONFIG);
	assert_null(feed);
	assert_non_null(strstr(f.text, c.nats_url));
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_sync_has_applied_what_was_written),
		T(a_poll_finds_what_nobody_told),
		T(more_than_a_page_comes_in_order),
		T(a_sync_waits_for_apply_and_shares_the_read),
		T(missing_rows_drop_every_cache),
		T(a_kind_of_a_newer_release_drops_every_cache),
		T(old_rows_are_trimmed_but_the_newest),
		T(a_store_that_fails_makes_the_state_stale),
		T(pokes_reach_the_other_replica),
		T(a_server_that_comes_and_goes_is_no_error),
		T(a_bad_nats_url_is_told),
	};

	log_configure(LOG_ERROR, true);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
