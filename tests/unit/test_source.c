#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/heap.h"
#include "routing/source.h"
#include "routing/store_source.h"
#include "routing/table.h"
#include "store_fixture.h"

struct world {
	struct fixture x;
	char path[128];
	struct route_source *src;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	unsigned changes;
};

static int setup(void **state)
{
	struct world *w = heap_zalloc(sizeof *w);

	fixture_sqlite_migrated(&w->x);
	snprintf(w->path, sizeof w->path, "%s/routing.json", w->x.dir);
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->cond, NULL);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	route_source_free(w->src);
	fixture_release(&w->x);
	heap_free(w);
	return 0;
}

static void open_source(struct world *w, const char *spec)
{
	assert_int_equal(route_source_new(w->x.store, spec, NULL, &w->src, NULL), OK);
}

static void open_file(struct world *w)
{
	char spec[160];

	snprintf(spec, sizeof spec, "file:%s", w->path);
	open_source(w, spec);
}

static void write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

/* The way deployments do it: beside, then over. A look never sees half of it. */
static void put_file(struct world *w, const char *text)
{
	char beside[sizeof w->path + 8];

	snprintf(beside, sizeof beside, "%s.new", w->path);
	write_file(beside, text);
	assert_int_equal(rename(beside, w->path), 0);
}

/* The revision that a load gives; -1 when it fails as expected. */
static int64_t load(struct world *w, enum err want)
{
	struct route_table *t = NULL;
	struct fail f = { 0 };
	int64_t revision = -1;
	enum err e = route_source_load(w->src, NULL, &t, &f);

	if (e != want)
		fail_msg("%s: %s", err_code(e), fail_text(&f));
	if (e == OK)
		revision = route_table_revision(t);
	route_table_unref(t);
	fail_clear(&f);
	return revision;
}

static void test_specs(void **state)
{
	static const char *const bad[] = { "", "stored", "http://x", "nats:", "nats:b", "nats:/k", "nats:b/k" };
	struct world *w = *state;

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct route_source *s;

		assert_int_equal(route_source_new(w->x.store, bad[i], NULL, &s, NULL), E_CONFIG);
		route_source_free(s);
	}
	open_source(w, "store");
	assert_true(route_source_is_store(w->src));
}

static void test_file(void **state)
{
	struct world *w = *state;

	open_file(w);
	assert_false(route_source_is_store(w->src));
	load(w, E_ROUTING_INVALID);
	put_file(w, "{\"revision\":3}");
	assert_int_equal(load(w, OK), 3);
	put_file(w, "{\"revision\":3");
	load(w, E_ROUTING_INVALID);
	put_file(w, "{\"revision\":3,\"revision\":4}");
	load(w, E_ROUTING_INVALID);
	put_file(w, "{\"revision\":2}"); /* an operator may go back */
	assert_int_equal(load(w, OK), 2);
}

/* Revisions in the store are test_store_source.c's business. */
static void test_store(void **state)
{
	struct world *w = *state;
	struct route_put p = { .revision = 1, .document = STR("{\"revision\":1}"), .now = 1 };
	struct store_stmt stmts[ROUTE_PUT_STMTS];
	struct route_put_vals vals;
	unsigned n = route_put_stmts(&p, &vals, stmts);

	open_source(w, "store");
	assert_int_equal(load(w, OK), 0);
	assert_int_equal(fixture_write(w->x.store, stmts, n, NULL), OK);
	assert_int_equal(load(w, OK), 1);
}

/* ---- watching -------------------------------------------------------------------------------- */

static void changed(void *ctx)
{
	struct world *w = ctx;
	struct route_table *t = NULL;

	(void)route_source_load(w->src, NULL, &t, NULL);
	route_table_unref(t);
	pthread_mutex_lock(&w->lock);
	w->changes++;
	pthread_cond_broadcast(&w->cond);
	pthread_mutex_unlock(&w->lock);
}

static void wait_changes(struct world *w, unsigned n)
{
	struct timespec until;
	int rc = 0;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 10;
	pthread_mutex_lock(&w->lock);
	while (w->changes < n && rc == 0)
		rc = pthread_cond_timedwait(&w->cond, &w->lock, &until);
	assert_int_equal(w->changes, n);
	pthread_mutex_unlock(&w->lock);
}

static void test_watch(void **state)
{
	struct world *w = *state;

	open_file(w);
	put_file(w, "{\"revision\":1}");
	assert_int_equal(load(w, OK), 1);
	assert_int_equal(route_source_watch(w->src, changed, w), OK);
	put_file(w, "{\"revision\":2}");
	wait_changes(w, 1);
	put_file(w, "not JSON"); /* told of once, not at every look */
	wait_changes(w, 2);
	unlink(w->path);
	wait_changes(w, 3);
	put_file(w, "{\"revision\":3}");
	wait_changes(w, 4);
	route_source_unwatch(w->src);
	assert_int_equal(w->changes, 4);
	assert_int_equal(load(w, OK), 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_specs), T(test_file), T(test_store), T(test_watch),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
