#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <sched.h>
#include <stdio.h>

#include "authz/principal_cache.h"
#include "base/clock.h"
#include "base/heap.h"
#include "base/loop.h"
#include "base/pool.h"
#include "iam/principal.h"
#include "store/change.h"
#include "lane_fixture.h"
#include "store_fixture.h"

/* The test is the worker. */
struct world {
	struct fixture x;
	struct lane lane;
	struct principal_cache *cache;
	struct id ada, sid;
};

static void exec(struct world *w, struct store_stmt st)
{
	fixture_exec(w->x.store, st);
}

static struct str id_str(const struct id *id)
{
	return str_n((const char *)id->b, 16);
}

static int64_t seq(struct world *w)
{
	return fixture_int(w->x.store, change_seq_stmt);
}

static int64_t change(struct world *w, enum change_kind kind, struct id id)
{
	struct store_val v[3];

	exec(w, change_stmt(kind, id_str(&id), 1, v));
	return seq(w);
}

static void assign(struct world *w, struct id principal, const char *tenant, const char *role)
{
	struct id id = id_new(clock_wall());

	exec(w, (struct store_stmt)STMT("INSERT INTO assignment (id, principal, tenant, role, created_at) "
	                                "VALUES (?, ?, ?, ?, 1)",
	    SV_ID(&id), SV_ID(&principal), SV_Z(tenant), SV_Z(role)));
}

static void add_user(struct world *w, struct id id, const char *email)
{
	exec(w, (struct store_stmt)STMT("INSERT INTO user (id, email, email_fold, created_at, updated_at) "
	                                "VALUES (?, ?, ?, 1, 1)",
	    SV_ID(&id), SV_Z(email), SV_Z(email)));
}

static void add_session(struct world *w, struct id id, struct id principal, int64_t expires)
{
	exec(w, (struct store_stmt)STMT("INSERT INTO session (id, principal, token_hash, amr, auth_time, "
	                                "last_used_at, idle_expires_at, expires_at, created_at) "
	                                "VALUES (?, ?, x'00', 'pwd', 1, 1, ?, ?, 1)",
	    SV_ID(&id), SV_ID(&principal), SV_INT(expires), SV_INT(expires)));
}

static void make_cache(struct world *w, size_t max)
{
	assert_int_equal(principal_cache_new(w->lane.loop, w->lane.pool, w->x.store, max, &w->cache), OK);
	principal_cache_flush(w->cache, seq(w));
}

static int setup(void **state)
{
	struct world *w = heap_zalloc(sizeof *w);

	fixture_sqlite_migrated(&w->x);
	lane_init(&w->lane, 64);
	w->ada = id_new(clock_wall());
	w->sid = id_new(clock_wall());
	add_user(w, w->ada, "ada@example.com");
	assign(w, w->ada, "globex", "tenant-member");
	assign(w, w->ada, "acme", "tenant-member");
	assign(w, w->ada, "acme", "clerk");
	add_session(w, w->sid, w->ada, clock_wall() + 3600 * CLOCK_SEC);
	make_cache(w, 100);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	lane_stop(&w->lane);
	principal_cache_free(w->cache);
	lane_release(&w->lane);
	fixture_release(&w->x);
	heap_free(w);
	return 0;
}

struct seen {
	unsigned calls;
	enum err e;
	size_t assignments;
	bool with_session, live;
	char name[64];
};

static void seen_cb(void *arg, enum err e, struct principal *p, const struct session_state *s)
{
	struct seen *seen = arg;

	*seen = (struct seen){ .calls = seen->calls + 1, .e = e, .with_session = s != NULL };
	if (p != NULL) {
		seen->assignments = p->n;
		snprintf(seen->name, sizeof seen->name, "%.*s", STR_ARG(p->name));
	}
	if (s != NULL)
		seen->live = s->live;
}

static enum err get(struct world *w, struct seen *s)
{
	return principal_cache_get(w->cache, w->ada, NULL, seen_cb, s);
}

static enum err get_session(struct world *w, struct seen *s)
{
	return principal_cache_get(w->cache, w->ada, &w->sid, seen_cb, s);
}

static void test_load(void **state)
{
	struct world *w = *state;
	struct principal *p;
	size_t first;

	assert_int_equal(principal_load(w->x.store, w->ada, &p, NULL), OK);
	assert_int_equal(p->kind, PRINCIPAL_USER);
	assert_false(p->disabled);
	assert_int_equal(p->n, 3);
	assert_int_equal(principal_in_tenant(p, STR("acme"), &first), 2);
	assert_true(str_eqc(p->assignments[first].role, "clerk"));
	assert_int_equal(principal_in_tenant(p, STR("globex"), &first), 1);
	assert_int_equal(principal_in_tenant(p, STR("acm"), &first), 0);
	assert_int_equal(principal_in_tenant(p, STR("*"), &first), 0);
	assert_int_equal(principal_in_tenant(p, STR("zz"), &first), 0);
	principal_unref(principal_ref(p));
	principal_unref(p);
	assert_int_equal(principal_load(w->x.store, w->sid, &p, NULL), E_NOT_FOUND);
}

static void test_load_service_account(void **state)
{
	struct world *w = *state;
	struct id id = id_new(clock_wall());
	struct principal *p;

	exec(w, (struct store_stmt)STMT("INSERT INTO service_account (id, name, disabled, created_at, "
	                                "updated_at) VALUES (?, 'robot', 1, 1, 1)", SV_ID(&id)));
	change(w, CHANGE_PRINCIPAL, id);
	assert_int_equal(principal_load(w->x.store, id, &p, NULL), OK);
	assert_int_equal(p->kind, PRINCIPAL_SERVICE_ACCOUNT);
	assert_true(p->disabled);
	assert_true(str_eqc(p->name, "robot"));
	assert_int_equal(p->n, 0);
	assert_int_equal(p->as_of, seq(w));
	principal_unref(p);
}

static void test_session_load(void **state)
{
	struct world *w = *state;
	int64_t now = clock_wall();
	struct session_state s;

	assert_int_equal(session_state_load(w->x.store, w->sid, now, &s, NULL), OK);
	assert_true(s.live);
	assert_true(id_eq(s.principal, w->ada));
	assert_int_equal(session_state_load(w->x.store, w->sid, now + 7200 * CLOCK_SEC, &s, NULL), OK);
	assert_false(s.live);
	assert_int_equal(session_state_load(w->x.store, w->ada, now, &s, NULL), OK);
	assert_false(s.live);
	exec(w, (struct store_stmt)STMT("UPDATE session SET ended_at = 5 WHERE id = ?", SV_ID(&w->sid)));
	assert_int_equal(session_state_load(w->x.store, w->sid, now, &s, NULL), OK);
	assert_false(s.live);
}

static void test_hit_after_miss(void **state)
{
	struct world *w = *state;
	struct seen a = { 0 }, b = { 0 };

	assert_int_equal(get_session(w, &a), E_NOT_READY);
	assert_int_equal(a.calls, 0);
	lane_settle(&w->lane);
	assert_int_equal(a.calls, 1);
	assert_int_equal(a.e, OK);
	assert_int_equal(a.assignments, 3);
	assert_true(a.with_session && a.live);
	assert_int_equal(get_session(w, &b), OK);
	assert_int_equal(b.calls, 1);
	assert_string_equal(b.name, "ada@example.com");
	assert_int_equal(get(w, &b), OK);
	assert_false(b.with_session);
}

static void test_lookups_share_a_load(void **state)
{
	struct world *w = *state;
	struct store_stats before, after;
	struct seen s[50] = { 0 };

	store_stats(w->x.store, &before);
	for (size_t i = 0; i < 50; i++)
		assert_int_equal(get(w, &s[i]), E_NOT_READY);
	lane_settle(&w->lane);
	store_stats(w->x.store, &after);
	for (size_t i = 0; i < 50; i++)
		assert_int_equal(s[i].calls, 1);
	assert_int_equal(after.reads - before.reads, 1);
}

static void test_unknown(void **state)
{
	struct world *w = *state;
	struct id nobody = id_new(clock_wall());
	struct seen s = { 0 };

	assert_int_equal(principal_cache_get(w->cache, nobody, NULL, seen_cb, &s), E_NOT_READY);
	lane_settle(&w->lane);
	assert_int_equal(s.calls, 1);
	assert_int_equal(s.e, E_NOT_FOUND);
	/* that there is none is remembered */
	assert_int_equal(principal_cache_get(w->cache, nobody, NULL, seen_cb, &s), OK);
	assert_int_equal(s.e, E_NOT_FOUND);
	/* until the feed names it */
	add_user(w, nobody, "new@example.com");
	principal_cache_drop(w->cache, nobody, change(w, CHANGE_PRINCIPAL, nobody));
	assert_int_equal(principal_cache_get(w->cache, nobody, NULL, seen_cb, &s), E_NOT_READY);
	lane_settle(&w->lane);
	assert_int_equal(s.e, OK);
}

static void test_drop_forgets(void **state)
{
	struct world *w = *state;
	uint64_t epoch = principal_cache_epoch(w->cache);
	struct seen s = { 0 };

	assert_int_equal(get_session(w, &s), E_NOT_READY);
	lane_settle(&w->lane);
	assert_int_equal(principal_cache_epoch(w->cache), epoch);
	assign(w, w->ada, "zen", "tenant-member");
	principal_cache_drop(w->cache, w->ada, change(w, CHANGE_PRINCIPAL, w->ada));
	assert_int_not_equal(principal_cache_epoch(w->cache), epoch);
	assert_int_equal(get_session(w, &s), E_NOT_READY);
	lane_settle(&w->lane);
	assert_int_equal(s.assignments, 4);
	exec(w, (struct store_stmt)STMT("UPDATE session SET ended_at = 5 WHERE id = ?", SV_ID(&w->sid)));
	principal_cache_drop_session(w->cache, w->sid, change(w, CHANGE_SESSION, w->sid));
	assert_int_equal(get_session(w, &s), E_NOT_READY);
	lane_settle(&w->lane);
	assert_int_equal(s.e, OK);
	assert_false(s.live);
}

/* The load read before the change; its result arrives after the feed has named the key. */
static void test_overtaken_load_is_repeated(void **state)
{
	struct world *w = *state;
	struct seen s = { 0 };

	assert_int_equal(get(w, &s), E_NOT_READY);
	lane_rest(&w->lane); /* the old state has been read and lies in the inbox */
	assign(w, w->ada, "zen", "tenant-member");
	principal_cache_drop(w->cache, w->ada, change(w, CHANGE_PRINCIPAL, w->ada));
	loop_drain(w->lane.loop);
	assert_int_equal(s.calls, 0);
	lane_settle(&w->lane);
	assert_int_equal(s.calls, 1);
	assert_int_equal(s.assignments, 4);
}

/* The same for what did not exist when it was read. */
static void test_overtaken_absence_is_repeated(void **state)
{
	struct world *w = *state;
	struct id late = id_new(clock_wall());
	struct seen s = { 0 };

	assert_int_equal(principal_cache_get(w->cache, late, NULL, seen_cb, &s), E_NOT_READY);
	lane_rest(&w->lane);
	add_user(w, late, "late@example.com");
	principal_cache_drop(w->cache, late, change(w, CHANGE_PRINCIPAL, late));
	loop_drain(w->lane.loop);
	assert_int_equal(s.calls, 0);
	lane_settle(&w->lane);
	assert_int_equal(s.calls, 1);
	assert_int_equal(s.e, OK);
}

/* The change was made before the load read, and named afterwards: the result includes it and is
 * taken. */
static void test_load_that_includes_the_change_is_taken(void **state)
{
	struct world *w = *state;
	struct store_stats before, after;
	struct seen s = { 0 };
	int64_t at;

	lane_close(&w->lane);
	assert_int_equal(get(w, &s), E_NOT_READY);
	assign(w, w->ada, "zen", "tenant-member");
	at = change(w, CHANGE_PRINCIPAL, w->ada);
	store_stats(w->x.store, &before);
	lane_open(&w->lane);
	lane_rest(&w->lane);
	principal_cache_drop(w->cache, w->ada, at);
	loop_drain(w->lane.loop);
	assert_int_equal(s.calls, 1);
	assert_int_equal(s.assignments, 4);
	store_stats(w->x.store, &after);
	assert_int_equal(after.reads - before.reads, 1);
}

static void test_flush_repeats_loads(void **state)
{
	struct world *w = *state;
	struct seen s = { 0 };

	assert_int_equal(get_session(w, &s), E_NOT_READY);
	lane_rest(&w->lane);
	assign(w, w->ada, "zen", "tenant-member"); /* no change row: a restored store */
	principal_cache_flush(w->cache, seq(w));
	loop_drain(w->lane.loop);
	assert_int_equal(s.calls, 0);
	lane_settle(&w->lane);
	assert_int_equal(s.calls, 1);
	assert_int_equal(s.assignments, 4);
	assert_int_equal(get_session(w, &s), OK);
	principal_cache_flush(w->cache, seq(w));
	assert_int_equal(get_session(w, &s), E_NOT_READY);
	lane_settle(&w->lane);
}

/* A store that lags behind the feed for good: refused, not looped. */
static void test_store_behind_the_feed(void **state)
{
	struct world *w = *state;
	struct seen s = { 0 };

	principal_cache_applied(w->cache, seq(w) + 100);
	assert_int_equal(get(w, &s), E_NOT_READY);
	lane_settle(&w->lane);
	assert_int_equal(s.calls, 1);
	assert_int_equal(s.e, E_STATE_STALE);
	principal_cache_flush(w->cache, seq(w));
	assert_int_equal(get(w, &s), E_NOT_READY);
	lane_settle(&w->lane);
	assert_int_equal(s.e, OK);
}

static void test_store_error_reaches_all(void **state)
{
	struct world *w = *state;
	struct seen a = { 0 }, b = { 0 };

	exec(w, (struct store_stmt)STMT("ALTER TABLE session RENAME TO session_away"));
	assert_int_equal(get_session(w, &a), E_NOT_READY);
	assert_int_equal(get_session(w, &b), E_NOT_READY);
	lane_settle(&w->lane);
	assert_int_equal(a.calls, 1);
	assert_int_equal(b.calls, 1);
	assert_int_not_equal(a.e, OK);
	assert_int_not_equal(a.e, E_NOT_FOUND);
	assert_int_equal(a.e, b.e);
	/* nothing of the failure stays */
	exec(w, (struct store_stmt)STMT("ALTER TABLE session_away RENAME TO session"));
	assert_int_equal(get_session(w, &a), E_NOT_READY);
	lane_settle(&w->lane);
	assert_int_equal(a.e, OK);
	assert_true(a.live);
}

static void test_bounded(void **state)
{
	struct world *w = *state;
	struct seen s = { 0 };
	struct id ids[4];

	principal_cache_free(w->cache);
	make_cache(w, 2);
	for (size_t i = 0; i < 4; i++) {
		char email[32];

		ids[i] = id_new(clock_wall());
		snprintf(email, sizeof email, "u%zu@example.com", i);
		add_user(w, ids[i], email);
		assert_int_equal(principal_cache_get(w->cache, ids[i], NULL, seen_cb, &s), E_NOT_READY);
		lane_settle(&w->lane);
	}
	assert_int_equal(principal_cache_get(w->cache, ids[3], NULL, seen_cb, &s), OK);
	assert_int_equal(principal_cache_get(w->cache, ids[2], NULL, seen_cb, &s), OK);
	assert_int_equal(principal_cache_get(w->cache, ids[0], NULL, seen_cb, &s), E_NOT_READY);
	lane_settle(&w->lane);
	/* 3 was used before 2, so it went */
	assert_int_equal(principal_cache_get(w->cache, ids[2], NULL, seen_cb, &s), OK);
	assert_int_equal(principal_cache_get(w->cache, ids[3], NULL, seen_cb, &s), E_NOT_READY);
	lane_settle(&w->lane);
	assert_string_equal(s.name, "u3@example.com");
}

static void test_too_many_loads(void **state)
{
	struct world *w = *state;
	struct seen s = { 0 };
	unsigned started = 0;
	enum err e;

	lane_close(&w->lane);
	do {
		e = principal_cache_get(w->cache, id_new(clock_wall()), NULL, seen_cb, &s);
		started += e == E_NOT_READY;
	} while (e == E_NOT_READY && started < 100000);
	assert_int_equal(e, E_OVERLOADED);
	lane_open(&w->lane);
	lane_settle(&w->lane);
	assert_int_equal(s.calls, started);
}

static void test_no_memory(void **state)
{
	struct world *w = *state;
	struct seen s = { 0 };
	enum err e = E_NOMEM;

	for (long n = 1; e == E_NOMEM; n++) {
		lane_close(&w->lane);
		heap_fail_after(n);
		e = get_session(w, &s);
		heap_fail_after(0);
		lane_open(&w->lane);
		lane_settle(&w->lane);
	}
	/* what a failed lookup had started serves the one that worked */
	assert_true(e == OK || e == E_NOT_READY);
	assert_int_equal(s.calls, 1);
	assert_int_equal(s.e, OK);
}

/* ---- a worker, a lane of four and a writer at the same time ---------------------------------- */

struct storm {
	struct world *w;
	struct pool *lane;
	struct loop *loop;
	struct principal_cache *cache;
	struct loop_hook hook;
	long told; /* how many assignments ada has, as the feed has told this worker */
	unsigned lookups, open;
	bool stale;
};

struct drop_msg {
	struct loop_msg msg;
	struct storm *st;
	int64_t seq;
	long assignments;
};

static void storm_cb(void *arg, enum err e, struct principal *p, const struct session_state *s)
{
	struct storm *st = arg;

	(void)s;
	st->open--;
	/* never less than what this worker had been told of */
	if (e == OK && (long)p->n < st->told)
		st->stale = true;
	if (e != OK)
		st->stale = true;
}

static int64_t storm_hook(struct loop_hook *h)
{
	struct storm *st = (struct storm *)((char *)h - offsetof(struct storm, hook));

	for (int i = 0; i < 4; i++) {
		enum err e;

		st->open++;
		st->lookups++;
		e = principal_cache_get(st->cache, st->w->ada, NULL, storm_cb, st);
		if (e != OK && e != E_NOT_READY)
			st->stale = true;
	}
	return 100;
}

static void dropped_cb(struct loop_msg *m)
{
	struct drop_msg *d = (struct drop_msg *)m;

	principal_cache_drop(d->st->cache, d->st->w->ada, d->seq);
	d->st->told = d->assignments;
	heap_free(d);
}

static void *storm_worker(void *arg)
{
	loop_run(((struct storm *)arg)->loop);
	return NULL;
}

static void test_storm(void **state)
{
	struct world *w = *state;
	struct storm st = { .w = w, .hook.cb = storm_hook, .told = 3 };
	pthread_t t;

	assert_int_equal(loop_new(&st.loop), OK);
	assert_int_equal(pool_new(&st.lane, "storm", 4, 64), OK);
	assert_int_equal(principal_cache_new(st.loop, st.lane, w->x.store, 4, &st.cache), OK);
	loop_hook_add(st.loop, &st.hook);
	assert_int_equal(pthread_create(&t, NULL, storm_worker, &st), 0);
	for (long i = 0; i < 100; i++) {
		struct drop_msg *d = heap_zalloc(sizeof *d);
		char tenant[24];

		snprintf(tenant, sizeof tenant, "t%ld", i);
		assign(w, w->ada, tenant, "tenant-member");
		*d = (struct drop_msg){ .msg.cb = dropped_cb, .st = &st, .assignments = 3 + i + 1,
			.seq = change(w, CHANGE_PRINCIPAL, w->ada) };
		loop_post(st.loop, &d->msg);
	}
	loop_stop(st.loop);
	pthread_join(t, NULL);
	while (st.open > 0) {
		loop_drain(st.loop);
		sched_yield();
	}
	pool_free(st.lane);
	loop_drain(st.loop);
	assert_false(st.stale);
	assert_true(st.lookups > 0);
	principal_cache_free(st.cache);
	loop_free(st.loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_load), T(test_load_service_account), T(test_session_load),
		T(test_hit_after_miss), T(test_lookups_share_a_load), T(test_unknown),
		T(test_drop_forgets), T(test_overtaken_load_is_repeated),
		T(test_overtaken_absence_is_repeated), T(test_load_that_includes_the_change_is_taken),
		T(test_flush_repeats_loads), T(test_store_behind_the_feed),
		T(test_store_error_reaches_all), T(test_bounded), T(test_too_many_loads),
		T(test_no_memory), T(test_storm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
