/* Revisions in the store: patches, whole documents, and the ways from one to the other. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/heap.h"
#include "routing/compactor.h"
#include "routing/difference.h"
#include "routing/document.h"
#include "routing/store_source.h"
#include "routing/table.h"
#include "store_fixture.h"

struct world {
	struct fixture x;
	struct route_table *t; /* the newest, as `put` last made it */
	int64_t now;
};

static int setup(void **state)
{
	struct world *w = heap_zalloc(sizeof *w);

	fixture_sqlite_migrated(&w->x);
	assert_int_equal(route_table_empty(&w->t), OK);
	w->now = 1000;
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	route_table_unref(w->t);
	fixture_release(&w->x);
	heap_free(w);
	return 0;
}

/* ---- writing --------------------------------------------------------------------------------- */

static struct route_table *built(const struct route_table *base, bool patch, const char *text)
{
	struct route_table *t = NULL;
	struct fail f = { 0 };
	struct route_doc d;
	char *z = strdup(text);

	for (char *c = z; *c != '\0'; c++)
		if (*c == '\'')
			*c = '"';
	if (route_doc_read(z, strlen(z), patch, &d, &f) != OK ||
	    route_table_build(base, &d, &t, &f) != OK)
		fail_msg("%s: %s", text, fail_text(&f));
	route_doc_release(&d);
	free(z);
	return t;
}

static enum err append(struct store *s, const struct route_put *p)
{
	struct store_stmt stmts[ROUTE_PUT_STMTS];
	struct route_put_vals vals;
	unsigned n = route_put_stmts(p, &vals, stmts);

	return fixture_write(s, stmts, n, NULL);
}

static struct route_put next_put(struct world *w, struct str document, bool patch)
{
	return (struct route_put){ .revision = route_table_revision(w->t) + 1,
		.base_at = route_table_origin(w->t)->at, .document = document, .patch = patch,
		.now = ++w->now };
}

/* The newest table from here on is what the store makes of it. */
static void follow(struct world *w)
{
	struct route_table *next;
	struct fail f = { 0 };

	if (route_revision_follow(w->x.store, w->t, &next, &f) != OK)
		fail_msg("%s", fail_text(&f));
	route_table_unref(w->t);
	w->t = next;
}

/* Both with ' for "; the number is added. */
static void put(struct world *w, bool patch, const char *members)
{
	struct route_table *next;
	struct route_put p;
	struct buf b;
	char text[8192];

	snprintf(text, sizeof text, "{'revision':%lld%s%s}", (long long)route_table_revision(w->t) + 1,
	    *members != '\0' ? "," : "", members);
	next = built(w->t, patch, text);
	buf_init(&b, 1 << 20);
	if (patch) {
		struct route_diff d;

		assert_int_equal(route_diff_make(w->t, next, &d), OK);
		assert_int_equal(route_diff_write(&d, ROUTE_PATCH, route_table_revision(next), &b), OK);
		route_diff_release(&d);
	} else {
		assert_int_equal(route_table_write(next, &b), OK);
	}
	p = next_put(w, buf_str(&b), patch);
	assert_int_equal(append(w->x.store, &p), OK);
	route_table_unref(next);
	buf_release(&b);
	follow(w);
	assert_int_equal(route_table_revision(w->t), p.revision);
}

static const char whole[] = "'projection_shards':{'p0':['http://h0'],'p1':['http://h1']},"
    "'projection_placement':{'fixed':'p0'}";

/* Revision n of the long chain places "moving" and one tenant of its own. */
static void put_chain(struct world *w, int to)
{
	char text[128];

	while (route_table_revision(w->t) < to) {
		int n = (int)route_table_revision(w->t) + 1;

		if (n == 1) {
			put(w, false, whole);
			continue;
		}
		snprintf(text, sizeof text, "'projection_placement':{'moving':'p%d','t%d':'p1'}", n % 2, n);
		put(w, true, text);
	}
}

/* ---- reading --------------------------------------------------------------------------------- */

static bool on(const struct route_table *t, const char *tenant, const char *shard)
{
	const struct route_shard *s = route_resolve(t, ROUTE_PROJECTION, str_c(tenant));

	return shard == NULL ? s == NULL : s != NULL && str_eqc(s->name, shard);
}

static void is_chain(const struct route_table *t, int n)
{
	char name[32];

	assert_int_equal(route_table_revision(t), n);
	assert_true(on(t, "fixed", "p0"));
	assert_true(on(t, "moving", n < 2 ? NULL : n % 2 ? "p1" : "p0"));
	snprintf(name, sizeof name, "t%d", n);
	assert_true(on(t, name, n < 2 ? NULL : "p1"));
	snprintf(name, sizeof name, "t%d", n + 1);
	assert_true(on(t, name, NULL));
}

static void load_chain(struct world *w, int n)
{
	struct route_table *t;
	struct fail f = { 0 };

	if (route_revision_load(w->x.store, n, &t, &f) != OK)
		fail_msg("%d: %s", n, fail_text(&f));
	is_chain(t, n);
	route_table_unref(t);
}

static enum err load_error(struct world *w, int64_t n)
{
	struct route_table *t = NULL;
	struct fail f = { 0 };
	enum err e = route_revision_load(w->x.store, n, &t, &f);

	route_table_unref(t);
	fail_clear(&f);
	return e;
}

static void run(struct world *w, const char *sql)
{
	fixture_exec(w->x.store, (struct store_stmt){ .sql = sql, .expect = STORE_ANY });
}

static int64_t number(struct world *w, const char *sql)
{
	return fixture_int(w->x.store, (struct store_stmt){ .sql = sql, .expect = STORE_ANY });
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void test_nothing_yet(void **state)
{
	struct world *w = *state;

	follow(w);
	assert_int_equal(route_table_revision(w->t), 0);
	assert_int_equal(load_error(w, 0), E_NOT_FOUND);
	assert_int_equal(load_error(w, 1), E_NOT_FOUND);
}

static void test_chain(void **state)
{
	struct world *w = *state;
	struct route_table *early, *late;

	put_chain(w, 10);
	early = route_table_ref(w->t);
	put_chain(w, 700); /* more than two pages of patches */
	is_chain(w->t, 700);
	for (int n = 1; n <= 700; n += 31)
		load_chain(w, n);
	load_chain(w, 700);
	assert_int_equal(load_error(w, 701), E_NOT_FOUND);
	assert_int_equal(load_error(w, INT64_MAX), E_NOT_FOUND);
	assert_int_equal(route_revision_follow(w->x.store, early, &late, NULL), OK);
	is_chain(late, 700);
	is_chain(early, 10);
	assert_int_equal(route_table_origin(late)->patched, route_table_origin(w->t)->patched);
	route_table_unref(late);
	assert_int_equal(route_revision_follow(w->x.store, w->t, &late, NULL), OK);
	assert_ptr_equal(late, w->t); /* nothing has changed */
	route_table_unref(late);
	route_table_unref(early);
}

static void test_list(void **state)
{
	struct world *w = *state;
	struct route_revision *v;
	int64_t before = 0, want = 40;
	struct arena a;
	size_t n;

	put_chain(w, 40);
	arena_init(&a, 1 << 20);
	do {
		assert_int_equal(route_revision_list(w->x.store, before, 7, &a, &v, &n, NULL), OK);
		for (size_t i = 0; i < n; i++)
			assert_int_equal(v[i].revision, want--);
		before = n > 0 ? v[n - 1].revision : 0;
	} while (n > 0);
	assert_int_equal(want, 0);
	arena_release(&a);
}

static void test_conflicts(void **state)
{
	struct world *w = *state;
	struct str doc = STR("{\"revision\":6}");
	struct route_put p;

	put_chain(w, 5);
	p = next_put(w, doc, true);
	p.revision = 7;
	assert_int_equal(append(w->x.store, &p), E_REVISION_CONFLICT);
	p.revision = 5;
	assert_int_equal(append(w->x.store, &p), E_REVISION_CONFLICT);
	p.revision = 6;
	p.base_at++; /* another revision 5 */
	assert_int_equal(append(w->x.store, &p), E_REVISION_CONFLICT);
	p.patch = false;
	assert_int_equal(append(w->x.store, &p), E_REVISION_CONFLICT);
	assert_int_equal(number(w, "SELECT count(*) FROM routing_snapshot"), 1);
	p.base_at--;
	assert_int_equal(append(w->x.store, &p), OK);
	assert_int_equal(append(w->x.store, &p), E_REVISION_CONFLICT);
}

struct writer {
	struct world *w;
	pthread_barrier_t *start;
	const struct route_put *p;
	atomic_int *won, *lost;
};

static void *write_once(void *arg)
{
	struct writer *x = arg;
	enum err e;

	pthread_barrier_wait(x->start);
	e = append(x->w->x.store, x->p);
	atomic_fetch_add(e == OK ? x->won : e == E_REVISION_CONFLICT ? x->lost : x->won + 100, 1);
	return NULL;
}

static void test_one_winner(void **state)
{
	struct world *w = *state;

	put_chain(w, 1);
	for (int round = 0; round < 100; round++) {
		atomic_int won = 0, lost = 0;
		pthread_barrier_t start;
		pthread_t t[4];
		char text[64];
		struct route_put p;
		struct writer x = { w, &start, &p, &won, &lost };

		snprintf(text, sizeof text, "{\"revision\":%d}", (int)route_table_revision(w->t) + 1);
		p = next_put(w, str_c(text), true);
		pthread_barrier_init(&start, NULL, 4);
		for (int i = 0; i < 4; i++)
			assert_int_equal(pthread_create(&t[i], NULL, write_once, &x), 0);
		for (int i = 0; i < 4; i++)
			pthread_join(t[i], NULL);
		pthread_barrier_destroy(&start);
		assert_int_equal(won, 1);
		assert_int_equal(lost, 3);
		follow(w);
	}
	assert_int_equal(route_table_revision(w->t), 101);
}

/* The store was replaced by a backup, in which the same numbers are other revisions. */
static void test_another_store(void **state)
{
	struct world *w = *state;

	put_chain(w, 5);
	run(w, "DELETE FROM routing_revision");
	run(w, "DELETE FROM routing_snapshot");
	follow(w); /* the table is from a store that is gone */
	assert_int_equal(route_table_revision(w->t), 0);
	put(w, false, whole);
	put(w, true, "'projection_placement':{'other':'p1'}");
	{
		struct route_table *mine = route_table_ref(w->t), *next;
		struct route_origin o = *route_table_origin(mine);

		o.at--; /* a revision 2 of another time */
		route_table_set_origin(mine, &o);
		assert_int_equal(route_revision_follow(w->x.store, mine, &next, NULL), OK);
		assert_int_equal(route_table_revision(next), 2);
		assert_int_equal(route_table_origin(next)->at, w->now);
		route_table_unref(next);
		route_table_unref(mine);
	}
}

/* The release before this one keeps whole documents in their rows. */
static void test_rows_of_the_release_before(void **state)
{
	struct world *w = *state;

	run(w, "INSERT INTO routing_revision (revision, document, at) VALUES (1, "
	    "'{\"revision\":1,\"projection_placement\":{\"fixed\":\"p0\"},"
	    "\"projection_shards\":{\"p0\":[\"http://h\"],\"p1\":[\"http://h\"]}}', 7)");
	follow(w);
	assert_true(on(w->t, "fixed", "p0"));
	put(w, true, "'projection_placement':{'fixed':'p1'}");
	run(w, "INSERT INTO routing_revision (revision, document, at) VALUES (3, "
	    "'{\"revision\":3,\"projection_placement\":{\"fixed\":\"p9\"},"
	    "\"projection_shards\":{\"p9\":[\"http://h\"]}}', 8)");
	follow(w);
	assert_int_equal(route_table_revision(w->t), 3);
	assert_true(on(w->t, "fixed", "p9"));
	assert_int_equal(route_table_origin(w->t)->base, 3);
	put(w, true, "'projection_placement':{'more':'p9'}");
	assert_int_equal(load_error(w, 2), OK);
	assert_int_equal(load_error(w, 4), OK);
}

static void test_snapshots(void **state)
{
	struct world *w = *state;
	struct route_table *t50;
	struct route_origin o;
	bool done;

	put_chain(w, 50);
	t50 = route_table_ref(w->t);
	assert_int_equal(route_snapshot_write(w->x.store, t50, 1, &done, NULL), OK);
	assert_true(done);
	assert_int_equal(route_snapshot_write(w->x.store, t50, 1, &done, NULL), OK);
	assert_false(done);
	put_chain(w, 60); /* another replica, which counts from 1 like this one did, finds it done */
	assert_int_equal(route_snapshot_write(w->x.store, w->t, 1, &done, NULL), OK);
	assert_false(done);
	for (int n = 1; n <= 60; n++)
		load_chain(w, n);
	route_table_unref(w->t);
	assert_int_equal(route_revision_load(w->x.store, 60, &w->t, NULL), OK);
	assert_int_equal(route_table_origin(w->t)->base, 50);
	/* of another store's revision 60: refused */
	o = *route_table_origin(w->t);
	o.at++;
	route_table_set_origin(w->t, &o);
	assert_int_equal(route_snapshot_write(w->x.store, w->t, 50, &done, NULL), OK);
	assert_false(done);
	assert_int_equal(number(w, "SELECT max(revision) FROM routing_snapshot"), 50);
	route_table_unref(t50);
}

/* An old revision, from before a snapshot, becomes the newest. */
static void test_rollback(void **state)
{
	struct world *w = *state;
	struct route_table *old;
	struct route_diff d;
	struct route_put p;
	struct buf b;
	bool done;

	put_chain(w, 30);
	assert_int_equal(route_snapshot_write(w->x.store, w->t, 1, &done, NULL), OK);
	put_chain(w, 40);
	assert_int_equal(route_revision_load(w->x.store, 10, &old, NULL), OK);
	assert_int_equal(route_diff_make(w->t, old, &d), OK);
	assert_int_equal(d.n, 30); /* t11 to t40 go; the moving one is where it was */
	buf_init(&b, 1 << 20);
	assert_int_equal(route_diff_write(&d, ROUTE_PATCH, 41, &b), OK);
	p = next_put(w, buf_str(&b), true);
	assert_int_equal(append(w->x.store, &p), OK);
	follow(w);
	assert_true(on(w->t, "t10", "p1") && on(w->t, "t11", NULL) && on(w->t, "moving", "p0"));
	route_diff_release(&d);
	route_table_unref(old);
	buf_release(&b);
}

/* Patches until there are more bytes of them since the last snapshot than are never too many; there are
 * `snapshots` meanwhile, and one more then. */
static void grow(struct world *w, struct route_compactor *c, int64_t snapshots)
{
	size_t from = route_table_origin(w->t)->patched;
	int64_t until = clock_mono() + 300 * CLOCK_SEC;
	char members[7000], *at;

	for (int n = 0; route_table_origin(w->t)->patched - from <= 256 << 10; n++) {
		at = members + sprintf(members, "'projection_placement':{'x':'p0'");
		for (int i = 0; i < 200; i++)
			at += sprintf(at, ",'tenant-%d-%d':'p%d'", i, n, snapshots % 2 == 0);
		strcpy(at, "}");
		assert_int_equal(number(w, "SELECT count(*) FROM routing_snapshot"), snapshots);
		put(w, true, members);
		route_compactor_offer(c, w->t);
		route_compactor_offer(c, w->t);
	}
	while (number(w, "SELECT count(*) FROM routing_snapshot") == snapshots) {
		assert_true(clock_mono() < until);
		poll_again();
	}
	assert_int_equal(number(w, "SELECT max(revision) FROM routing_snapshot"),
	    route_table_revision(w->t));
}

static void test_compactor(void **state)
{
	struct world *w = *state;
	struct route_compactor *c;

	assert_int_equal(route_compactor_new(w->x.store, &c), OK);
	put(w, false, whole);
	grow(w, c, 1);
	grow(w, c, 2); /* counted from the first snapshot, not from the document that was put */
	route_compactor_free(c);
}

static const char *const damage[] = {
	"DELETE FROM routing_revision WHERE revision = 6",
	"UPDATE routing_revision SET document = '{\"revision\":6,\"projection_placement\":{\"x\":\"gone\"}}' "
	"WHERE revision = 6",
	"UPDATE routing_revision SET document = 'no JSON' WHERE revision = 6",
	"UPDATE routing_revision SET patch = 0 WHERE revision = 10",
	"UPDATE routing_snapshot SET document = '{\"revision\":2}'",
	"UPDATE routing_snapshot SET document = '{'",
};

/* What is in force is another thing; what is stored and can't be used says so. */
static void test_damage(void **state)
{
	struct world *w = *state;

	put_chain(w, 10);
	for (size_t i = 0; i < sizeof damage / sizeof damage[0]; i++) {
		struct route_table *t;
		struct fail f = { 0 };

		run(w, damage[i]);
		assert_int_equal(route_revision_load(w->x.store, 0, &t, &f), E_ROUTING_INVALID);
		assert_true(strlen(fail_text(&f)) > 10);
		fail_clear(&f);
		run(w, "DELETE FROM routing_revision");
		run(w, "DELETE FROM routing_snapshot");
		follow(w);
		put_chain(w, 10);
	}
}

static void test_store_fails(void **state)
{
	struct world *w = *state;
	struct route_table *old, *t = NULL;
	enum err e = E_INTERNAL;
	bool done;

	put_chain(w, 5);
	old = route_table_ref(w->t);
	put_chain(w, 300);
	for (long n = 1; e != OK; n++) {
		(void)store_fail_after(w->x.store, n);
		e = route_revision_follow(w->x.store, old, &t, NULL);
		(void)store_fail_after(w->x.store, 0);
		assert_true(e == OK || e == E_STORE_UNAVAILABLE);
	}
	is_chain(t, 300);
	is_chain(old, 5);
	route_table_unref(t);
	e = E_INTERNAL;
	for (long n = 1; e != OK; n++) {
		(void)store_fail_after(w->x.store, n);
		e = route_revision_load(w->x.store, 290, &t, NULL);
		(void)store_fail_after(w->x.store, 0);
		assert_true(e == OK || e == E_STORE_UNAVAILABLE);
	}
	is_chain(t, 290);
	route_table_unref(t);
	e = E_INTERNAL;
	for (long n = 1; e != OK; n++) {
		(void)store_fail_after(w->x.store, n);
		e = route_snapshot_write(w->x.store, w->t, 1, &done, NULL);
		(void)store_fail_after(w->x.store, 0);
		assert_true(done == (e == OK));
	}
	route_table_unref(old);
}

static void test_no_memory(void **state)
{
	struct world *w = *state;
	struct route_table *old, *t = NULL;
	enum err e = E_NOMEM;

	put_chain(w, 3);
	old = route_table_ref(w->t);
	put_chain(w, 6);
	for (long n = 1; e != OK; n++) {
		heap_fail_after(n);
		e = route_revision_follow(w->x.store, old, &t, NULL);
		heap_fail_after(0);
	}
	is_chain(t, 6);
	is_chain(old, 3);
	route_table_unref(t);
	route_table_unref(old);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_nothing_yet), T(test_chain), T(test_list), T(test_conflicts), T(test_one_winner),
		T(test_another_store), T(test_rows_of_the_release_before), T(test_snapshots),
		T(test_rollback), T(test_compactor), T(test_damage), T(test_store_fails),
		T(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
